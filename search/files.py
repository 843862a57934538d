"""Files written whole or not at all, and secrets read from one."""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

from search import errors

# of Windows, with any ending
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LONGEST_NAME = 100  # characters; an ending of the caller's comes behind it


def safe_name(name: str) -> str:
    """A file name, on any system, for what people or other tools have named; no two names share one.

    One of letters, digits, `.`, `_` and `-` stays as it is; in another, what it may not hold becomes `_`, and eight
    digits of its hash end it.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".-")
    is_reserved = RESERVED.fullmatch(plain)
    if plain == name and 0 < len(name) <= LONGEST_NAME and not is_reserved:
        return name
    if is_reserved:
        plain = plain.replace(".", "_")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: LONGEST_NAME - 9] or 'study'}-{digest}"


def write(path: pathlib.Path, content: bytes) -> None:
    """Puts a file in place, in one step; where that fails, what was there stays.

    Raises:
        OSError: the folder is not there, or cannot be written.
    """
    with replacing(path) as beside:
        beside.write_bytes(content)


@contextlib.contextmanager
def replacing(path: pathlib.Path, force: bool = True) -> Iterator[pathlib.Path]:
    """A file beside one, to be written: it takes its place once it is whole; where that fails, nothing is left of it.

    Args:
        force: replace what is there.

    Raises:
        OSError: the folder is not there, or cannot be written; FileExistsError without `force`.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}")  # of four bytes each
    except OSError as error:
        error.filename = str(path)  # what was asked for, not the name beside it that nobody knows
        raise
    os.close(handle)
    beside = pathlib.Path(name)
    try:
        yield beside
        # Windows renames and deletes no file that is open
        beside.chmod(0o644)  # a temporary file is its owner's alone
        if force:
            beside.replace(path)
        else:
            put_in_place(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def put_in_place(part: pathlib.Path, path: pathlib.Path) -> None:
    """Gives a finished file of the same folder or disk its name; it never replaces a file, as a rename would.

    Raises:
        FileExistsError: there is a file of that name.
        OSError: the folder cannot be written.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # FAT and some network mounts know no links
        with part.open("rb") as content, path.open("xb") as file:
            try:
                shutil.copyfileobj(content, file)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.close()
                path.unlink()
                raise


def read_secret(path: pathlib.Path, option: str) -> str:
    """What a secret file holds, without the newline that editors leave.

    Raises:
        errors.InputError: it cannot be read, or is empty; the message names the option.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise errors.InputError(f"{option} {path} cannot be read: {reason}") from error
    if not secret:
        raise errors.InputError(f"{option} {path} must hold a secret, got an empty file")
    return secret
