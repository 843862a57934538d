"""Files written whole or not at all, and secrets read from one."""

import os
import pathlib
import shutil
import tempfile

from search import errors


def write(path: pathlib.Path, content: bytes) -> None:
    """Puts a file in place, in one step; where that fails, what was there stays.

    Raises:
        OSError: the folder is not there, or cannot be written.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}", delete=False) as file:
        beside = pathlib.Path(file.name)
        try:
            file.write(content)
            file.flush()
            beside.chmod(0o644)  # a temporary file is its owner's alone
            beside.replace(path)
        except OSError:
            beside.unlink()
            raise


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
