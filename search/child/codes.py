"""What code an objective is: the files of the user's that it was imported from, each with a checksum."""

import hashlib
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence

MOST_FILES = 50  # that a trial keeps
LARGEST_BYTES = 10_000_000  # of a file that a command names: a larger one is data
LONGEST_NAME = 255
NOT_THEIRS = (pathlib.Path(os.__file__).resolve().parent, pathlib.Path(__file__).resolve().parent)
OTHERS = ("site-packages", "dist-packages")  # folders of what was installed, though they lie in the user's own


def of(module: str, folder: str) -> dict[str, str]:
    """Checksums of the objective's module, and of all others that it has imported from its folder, by their paths.

    What is imported later, inside the objective, is not among them.
    """
    home = pathlib.Path(folder).resolve()
    found = {}
    for name, loaded in list(sys.modules.items()):
        path = _file(loaded)
        if path is not None and (name == module or _is_beneath(path, home)):
            found[path.relative_to(home).as_posix() if path.is_relative_to(home) else path.name] = path
    first = sorted(found, key=lambda name: (found[name] != _file(sys.modules.get(module)), name))
    sums = {name: checksum(found[name]) for name in first[:MOST_FILES]}
    return {name: value for name, value in sums.items() if value is not None}


def of_program(command: Sequence[str | Sequence[str]], home: pathlib.Path) -> dict[str, str]:
    """The same of a program: of each word of its command that is a file there, also behind a `=`."""
    words = [word for each in command for word in ([each] if isinstance(each, str) else each)]
    names = [word.rpartition("=")[2] for word in words if "{" not in word]
    files = {name: home / name for name in names if name and len(name) < LONGEST_NAME and (home / name).is_file()}
    sums = {name: checksum(path) for name, path in files.items() if path.stat().st_size <= LARGEST_BYTES}
    return {name: value for name, value in sums.items() if value is not None}


def changes(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """In which files code that ran differs from that which ran later, a phrase each."""
    found = [
        f"{path} has changed since" if path in now else f"{path} is no longer imported"
        for path in sorted(then)
        if now.get(path) != then[path]
    ]
    return (*found, *(f"{path} was not imported then" for path in sorted(set(now) - set(then))))


def checksum(path: pathlib.Path) -> str | None:
    """Of a file's content, 16 digits; None where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return None


def _file(module: object) -> pathlib.Path | None:
    name = getattr(module, "__file__", None)
    return pathlib.Path(name).resolve() if isinstance(name, str) else None


def _is_beneath(path: pathlib.Path, home: pathlib.Path) -> bool:
    """Whether it is the user's: home may be /, where all is."""
    if not path.is_relative_to(home) or any(path.is_relative_to(each) for each in NOT_THEIRS):
        return False
    return not any(part in OTHERS for part in path.relative_to(home).parts)
