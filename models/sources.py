"""Finds FashionMNIST's four files, verified: a folder, Debian's package, torchvision's download, or apt."""

import gzip
import hashlib
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable

import filelock
import numpy

from models import errors

# MD5 of the unpacked files, which are the same bytes in every distribution; the .gz files differ.
MD5 = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
NAMES = tuple(MD5)
SYSTEM_FOLDER = pathlib.Path("/usr/share/datasets/fashion-mnist")
DEBIAN_PACKAGE = "dataset-fashion-mnist"
RAW = pathlib.Path("FashionMNIST", "raw")
MIRROR_SECONDS = 20
APT_SECONDS = 600

Files = dict[str, pathlib.Path]


def find(root: pathlib.Path) -> Files:
    """The four files by name, unpacked or as .gz, from the first source that has them.

    In order: `root/FashionMNIST/raw` (torchvision's layout) or `root` itself; a system-wide package; torchvision's
    download; `apt-get download` on Debian and Ubuntu, without root. The last two leave the files under `root`.

    Raises:
        errors.DataError: no source has them, or `root` cannot be written.
    """
    if files := _in_folder(root) or _in_folder(SYSTEM_FOLDER):
        return files
    try:
        root.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(root / ".fashion-mnist.lock"):
            return _in_folder(root) or _fetch(root)
    except OSError as error:
        raise errors.DataError(f"data folder {root} cannot be written ({error})") from error


def load(path: pathlib.Path, name: str) -> numpy.ndarray:
    """One idx file as uint8: images (n, 28, 28), labels (n,).

    Raises:
        errors.DataError: the content is not FashionMNIST's `name`.
    """
    try:
        if path.suffix == ".gz":
            content = numpy.frombuffer(bytearray(gzip.decompress(path.read_bytes())), numpy.uint8)
        else:
            content = numpy.fromfile(path, numpy.uint8)
    except (OSError, EOFError, zlib.error) as error:
        raise errors.DataError(f"{path} cannot be read: {error}; delete it, or take another data folder") from error
    found = hashlib.md5(content.data, usedforsecurity=False).hexdigest()
    if found != MD5[name]:
        raise errors.DataError(
            f"{path} is not FashionMNIST's {name}: {len(content)} bytes with MD5 {found}, "
            f"must be {MD5[name]}; it is truncated or foreign: delete it, or take another data folder"
        )
    dimensions = int(content[3])
    shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions].tobytes())
    return content[4 + 4 * dimensions :].reshape(shape)


def _in_folder(root: pathlib.Path) -> Files | None:
    """The files in torchvision's layout or plainly in the folder; None where there is none of them."""
    for folder in (root / RAW, root):
        found = {name: path for name in NAMES for path in (folder / f"{name}.gz", folder / name) if path.is_file()}
        if len(found) == len(NAMES):
            return found
    return None


def _fetch(root: pathlib.Path) -> Files:
    """Tries each source of the network; puts verified files under `root` or nothing."""
    reasons = []
    for source, fetch in FETCHERS.items():
        # beside the goal, so that moving a file into place is one atomic rename
        with tempfile.TemporaryDirectory(dir=root, prefix=".fetch-") as stage:
            try:
                files = fetch(pathlib.Path(stage).resolve())
                for name, path in files.items():
                    load(path, name)
            except (OSError, RuntimeError, ImportError, subprocess.SubprocessError, errors.DataError) as error:
                reasons.append(f"{source}: {_last_line(error)}")
                continue
            (root / RAW).mkdir(parents=True, exist_ok=True)
            for path in files.values():
                path.replace(root / RAW / path.name)
        return {name: root / RAW / path.name for name, path in files.items()}
    raise errors.DataError(
        f"no FashionMNIST in {root} or {SYSTEM_FOLDER}, and no source has it ({'; '.join(reasons)}): "
        f"put {', '.join(NAMES)} (or their .gz) into {root / RAW}, or take a data folder that has them, "
        f"or install the package {DEBIAN_PACKAGE}"
    )


def _from_torchvision(stage: pathlib.Path) -> Files:
    import torchvision  # a second of import that only a first run pays

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(MIRROR_SECONDS)
    try:
        torchvision.datasets.FashionMNIST(str(stage), download=True)
    finally:
        socket.setdefaulttimeout(before)
    return {name: stage / RAW / name for name in NAMES}


def _from_apt(stage: pathlib.Path) -> Files:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise FileNotFoundError("no apt-get and dpkg-deb on this machine")
    try:
        _run(stage, "apt-get", "download", DEBIAN_PACKAGE)
    except subprocess.CalledProcessError:
        # no package lists (a fresh container) or stale ones: fetch our own, which needs no root
        own = [f"-oDir::State::lists={stage}/lists", f"-oDir::Cache={stage}/cache"]
        for folder in ("lists/partial", "cache/archives/partial"):
            (stage / folder).mkdir(parents=True)
        _run(stage, "apt-get", *own, "update")
        _run(stage, "apt-get", *own, "download", DEBIAN_PACKAGE)
    (archive,) = stage.glob(f"{DEBIAN_PACKAGE}_*.deb")
    _run(stage, "dpkg-deb", "-x", str(archive), "unpacked")
    unpacked = stage / "unpacked" / SYSTEM_FOLDER.relative_to("/")
    for name in NAMES:
        (unpacked / name).write_bytes(gzip.decompress((unpacked / f"{name}.gz").read_bytes()))
    return {name: unpacked / name for name in NAMES}


FETCHERS: dict[str, Callable[[pathlib.Path], Files]] = {
    "torchvision's download": _from_torchvision,
    "apt-get download": _from_apt,
}


def _run(folder: pathlib.Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=APT_SECONDS)


def _last_line(error: BaseException) -> str:
    text = (getattr(error, "stderr", None) or str(error)).strip()
    return text.splitlines()[-1] if text else type(error).__name__
