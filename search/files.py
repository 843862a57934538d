"""Writes a file whole or not at all."""

import pathlib
import tempfile


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
