"""What a shell offers behind a word of ours: names of studies and of study files, values of options and parameters.

It looks only: nothing is made, nothing is said, and what cannot be read offers nothing.
"""

import contextlib
import json
import pathlib
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from search import errors
from search.storage import addresses, glances
from search.study import specs

STUDY_FILE = "search:study_file"  # the attribute that holds it
FROM_FILES, FROM_BOTH = (
    ("create", "fetch", "simulate"),
    ("run",),
)  # commands that take a study file's name; others one of the storage
ENGINES = ("auto", "cpu", "cpu-bf16", "cuda", "cuda-bf16", "cuda-tf32", "reference")
DEVICES = ("cpu", "cuda", "cuda:0")
LARGEST_FILE = 1_000_000  # bytes of a study file that is read to complete its parameters

Found = list[CompletionItem[str]]


def studies(context: click.Context, parameter: click.Parameter, incomplete: str) -> Found:
    """Names of studies and of study files, as the command takes them; behind a folder, files."""
    if "/" in incomplete or "\\" in incomplete:
        return [CompletionItem(incomplete, type="file")]
    command = context.info_name
    named: list[str] = [] if command in FROM_FILES else glances.names(_storage(context))
    if command in (*FROM_FILES, *FROM_BOTH):
        named += specs.names()
        named += [path.name for path in sorted(pathlib.Path().glob("*.toml")) if path.name != "pyproject.toml"]
    given = context.params.get(parameter.name or "")
    taken = given if isinstance(given, tuple) else ()
    return _items((name for name in named if name not in taken), incomplete)


def settings(context: click.Context, parameter: click.Parameter, incomplete: str) -> Found:
    """`PARAMETER=`, and behind it the choices of a study's parameter."""
    spec = _spec(context)
    if spec is None:
        return []
    settings = {each.name: getattr(each.distribution, "choices", ()) for each in spec.space.parameters}
    name, equals, _ = incomplete.partition("=")
    if not equals:
        given = context.params.get(parameter.name or "") or ()
        taken = {setting.partition("=")[0] for setting in given}
        left = [each for each in settings if each.startswith(name) and each not in taken]
        if len(left) != 1 or not settings[left[0]]:
            return _items((f"{each}=" for each in left), incomplete)
        name = left[0]  # no doubt: its values at once
    return _items((f"{name}={choice}" for choice in settings.get(name, ())), incomplete)


def storages(context: click.Context, parameter: click.Parameter, incomplete: str) -> Found:
    """Addresses: of SQLite files here, and how one of a Postgres begins."""
    files = sorted([*pathlib.Path().glob("*.db"), *pathlib.Path("runs").glob("*.db")])
    return _items([*map(addresses.of_file, files), addresses.DEFAULT_URL, "postgresql://"], incomplete)


def of_option(flag: str) -> Callable[[click.Context, click.Parameter, str], Found] | None:
    """What completes a setting of workers; None where nothing is known of it."""
    known = {"--engine": ENGINES, "--device": DEVICES, "--allow-objectives": ("all", "none"), "--gpus": ("all", "none")}
    if flag not in known:
        return None
    return lambda context, parameter, incomplete: _items(known[flag], incomplete)


def _items(values: Iterable[str], incomplete: str) -> Found:
    """Those that go on like the word; a name that no terminal can show is left out."""
    found = dict.fromkeys(value for value in values if value.startswith(incomplete) and value.isprintable())
    return [CompletionItem(value) for value in found]


def _storage(context: click.Context) -> str:
    """The address that the command would take; none, where it would refuse it."""
    given = context.params.get("storage")
    with contextlib.suppress(errors.SearchError):
        file = context.params.get("password_file")
        return addresses.complete(given, file) if given and file else addresses.from_environment(given)
    return ""


def _spec(context: click.Context) -> specs.StudySpec | None:
    name = str(context.params.get("name") or "")
    with contextlib.suppress(errors.SearchError, ValueError, OSError):
        stored = glances.attribute(_storage(context), name, STUDY_FILE)
        if stored is not None:
            return specs.parse_stored(json.loads(stored), name)
        path = specs.path_of(name)
        return specs.load(path) if path.stat().st_size < LARGEST_FILE else None
    return None
