"""Where a SQLite file lies: whether it can be read or written there, and whether it is still the same one."""

import logging
import os
import pathlib
from typing import Any

import psutil
import sqlalchemy
from sqlalchemy import exc

from search import errors
from search.storage import addresses

log = logging.getLogger("search")

# SQLite's log needs memory that all its processes share: on these, those of one machine do
NETWORK_MOUNTS = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gluster", "beegfs", "gpfs", "sshfs", "s3fs")


def check(file: pathlib.Path) -> None:
    """Makes the folder of a SQLite file where it is missing.

    Raises:
        errors.InputError: it cannot be made, or cannot be written, or the file cannot.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.InputError(f"--storage: the folder of {file} cannot be made: {error.strerror}") from error
    check_file(file)
    for place in (file.parent, file):  # the log lies beside the file
        if place.exists() and not os.access(place, os.W_OK):
            raise errors.Misplaced(f"--storage must be a file that can be written, and {place} is read-only")
    if (kind := _mount(file)).removeprefix("fuse.").startswith(NETWORK_MOUNTS):
        log.warning(
            "event=network-mount file=%s type=%s note='SQLite is for the processes of one machine; for several, take "
            "Postgres'",
            file,
            kind,
        )


def is_there(file: pathlib.Path) -> bool:
    """Whether there is a file, or anything else of its name.

    Raises:
        errors.Misplaced: nobody may look there.
    """
    try:
        return file.exists()
    except PermissionError as error:
        raise errors.Misplaced(f"--storage must be a file that can be read, and {file} is not: {error.strerror}") from (
            error
        )


def check_to_read(file: pathlib.Path) -> None:
    """Passes a SQLite file that may be read where it lies.

    Raises:
        errors.InputError: it is a folder, or may not be read.
    """
    check_file(file)
    if not os.access(file, os.R_OK):
        raise errors.Misplaced(f"--storage must be a file that can be read, and {file} is not: Permission denied")


def check_file(file: pathlib.Path) -> None:
    """Passes what is no folder, and no log without its file.

    Raises:
        errors.InputError: it is.
    """
    if file.is_dir():
        raise errors.InputError(f"--storage must name a file, got the folder {file}")
    for log_file in (file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-journal")):
        if not file.exists() and log_file.exists():  # SQLite would empty it, with all that it holds of the file
            raise errors.Misplaced(
                f"--storage: {file} is not there, but its log {log_file.name} is: put the file back where it was"
            )


def _mount(file: pathlib.Path) -> str:
    """The type of the file system that a path is on."""
    place, mounts = file.resolve(), psutil.disk_partitions(all=True)
    on = [mount for mount in mounts if place.is_relative_to(mount.mountpoint)]
    # of several at one place the last lies on top
    return max(enumerate(on), key=lambda each: (len(each[1].mountpoint), each[0]))[1].fstype if on else ""


def stay_with(engine: sqlalchemy.Engine, file: pathlib.Path) -> None:
    """A file that is away is not made anew, and nothing is written to one that was moved or replaced."""

    def connecting(_: Any, __: Any, arguments: list[Any], options: dict[str, Any]) -> None:
        query = arguments[0].partition("?")[2] if options.get("uri") else ""
        arguments[0] = f"file:{addresses.uri_path(file)}?{query}{'&' if query else ''}mode=rw"
        options["uri"] = True

    def connected(_: Any, record: sqlalchemy.pool.ConnectionPoolEntry) -> None:
        record.info["file"] = identity(file)

    def checked_out(_: Any, record: sqlalchemy.pool.ConnectionPoolEntry, __: Any) -> None:
        if identity(file) != record.info["file"]:
            raise exc.DisconnectionError(f"{file} was moved or replaced")

    sqlalchemy.event.listen(engine, "do_connect", connecting)
    sqlalchemy.event.listen(engine, "connect", connected)
    sqlalchemy.event.listen(engine, "checkout", checked_out)


def identity(file: pathlib.Path) -> tuple[int, int] | None:
    """Device and inode of a file; None where it is away."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
