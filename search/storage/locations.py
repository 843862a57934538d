"""Where the files of studies are kept: a folder, or a bucket of an S3-like service, as a URL without secrets."""

import os
import pathlib
import re
from urllib import parse

from search import errors

# services whose objects appear whole or not at all, by the names that fsspec knows them under
SERVICES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
HIDDEN = "***"
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
LONGEST_PART_BYTES = 255  # of a name on a disk
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check(url: str, place: str = "store") -> str:
    """The folder's path, absolute, or the bucket's URL, in its one form.

    Args:
        place: what errors begin with.

    Raises:
        errors.InputError: neither, or one with a password in it.
    """
    scheme = SCHEME.match(url)
    if scheme is None:
        return _folder(url, place)
    name = scheme[1].lower()
    rest = url[scheme.end() :]
    if "@" in rest or "?" in rest or "#" in rest:
        raise errors.InputError(
            f"{place} must hold no password, key or option: these come from the environment, as AWS_ACCESS_KEY_ID, "
            f"AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL_S3; got {name}://{HIDDEN}"
        )
    if name in ("file", "local"):
        return _folder(_file_path(rest, place), place)
    if name not in SERVICES:
        known = ", ".join(f"{each}://" for each in SERVICES)
        raise errors.InputError(f"{place} must be a folder or begin with one of {known}, got {name}://")
    bucket, *prefix = [part for part in rest.split("/") if part] or [""]
    if not BUCKET.fullmatch(bucket) or {".", ".."} & set(prefix) or not "".join(prefix).isprintable():
        raise errors.InputError(f"{place} must be {name}://BUCKET or {name}://BUCKET/PREFIX, got {url!r}")
    return f"{name}://{'/'.join([bucket, *prefix])}"


def is_folder(location: str) -> bool:
    """Whether a location, as `check` gives it, is a folder."""
    return SCHEME.match(location) is None


def encoded(path: str, is_prefix: bool = False) -> str:
    """A path as it is written in the place: no part of it leads elsewhere, whatever it holds.

    Raises:
        errors.InputError: an empty part, or one that is too long for a disk.
    """
    parts = path.split("/")
    for part in parts[:-1] if is_prefix else parts:
        if not part:
            raise errors.InputError(f"a path in a store must have no empty part, got {path!r}")
    written = [parse.quote(part, safe="", errors="surrogatepass") for part in parts]
    written = [f"%2E{part[1:]}" if part.startswith(".") else part for part in written]
    if any(len(part) > LONGEST_PART_BYTES for part in written):
        raise errors.InputError(
            f"a path in a store must have parts of at most {LONGEST_PART_BYTES} bytes, got {path!r}"
        )
    return "/".join(written)


def decoded(written: str) -> str:
    """The path that `encoded` was given."""
    return parse.unquote(written, errors="surrogatepass")


def _folder(path: str, place: str) -> str:
    if not path.strip() or "\0" in path:
        raise errors.InputError(f"{place} must be a folder or a URL such as s3://bucket/prefix, got {path!r}")
    return os.path.abspath(pathlib.Path(path).expanduser())  # noqa: PTH100  # resolve() would follow links


def _file_path(rest: str, place: str) -> str:
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash:
        raise errors.InputError(f"{place} must be file:///FOLDER, with three slashes, got file://{rest!r}")
    return parse.unquote(f"/{path}")
