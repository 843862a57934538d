import dataclasses
import gzip
import multiprocessing
import pathlib
import shutil

import numpy
import pytest
import torch
import torchvision

from models import data, errors, provenance, sources


def test_tensors_are_bitwise_totensor(data_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The resident images are what torchvision's ToTensor gives, bit for bit, and so are the labels."""
    loaded = data.fashion_mnist(data_dir)
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, path in sources.find(data_dir).items():
        raw.joinpath(name).write_bytes(
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        )
    for train, images, labels in (
        (True, loaded.train_images, loaded.train_labels),
        (False, loaded.test_images, loaded.test_labels),
    ):
        theirs = torchvision.datasets.FashionMNIST(tmp_path, train=train, transform=torchvision.transforms.ToTensor())
        assert images.shape == (len(theirs), 784)
        assert images.dtype == numpy.float32
        assert labels.dtype == numpy.int64
        for index in range(0, len(theirs), 997):
            image, label = theirs[index]
            assert image.flatten().numpy().tobytes() == images[index].tobytes()
            assert label == labels[index]
        assert numpy.array_equal(labels, theirs.targets)


def test_holdout_keeps_the_test_set_for_the_end() -> None:
    """The hold-out takes a sixth of the training images, always the same ones, and none of the test set."""
    whole = data.synthetic(train=600)
    apart = whole.holdout()
    assert len(apart.train_images) == 500
    assert len(apart.test_images) == 100
    both = numpy.concatenate([apart.train_images, apart.test_images])
    assert sorted(map(bytes, both)) == sorted(map(bytes, whole.train_images))
    assert numpy.array_equal(apart.test_images, whole.holdout().test_images)


def test_order_is_a_fresh_shuffle_per_epoch() -> None:
    """Each (seed, epoch) has its own permutation of all samples, the same on every call."""
    first = data.order(0, 1, 100)
    assert numpy.array_equal(numpy.sort(first), numpy.arange(100))
    assert numpy.array_equal(first, data.order(0, 1, 100))
    assert not numpy.array_equal(first, data.order(0, 2, 100))
    assert not numpy.array_equal(first, data.order(1, 1, 100))
    assert not numpy.array_equal(data.order(1, 2, 100), data.order(2, 1, 100))


@pytest.fixture
def folder(data_dir: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The real files, lying plainly in a folder of their own."""
    for path in sources.find(data_dir).values():
        shutil.copy(path, tmp_path / path.name)
    return tmp_path


def test_a_plain_folder_will_do(folder: pathlib.Path) -> None:
    """Files that lie in the folder itself, without torchvision's sub-folders, are used in place."""
    assert len(data.fashion_mnist(folder).train_images) == 60_000
    assert not (folder / sources.RAW).exists()


def test_a_truncated_file_is_named(folder: pathlib.Path) -> None:
    """A file cut short is an error that names it, its size and what it should be."""
    victim = next(folder.glob("t10k-images*"))
    victim.write_bytes(victim.read_bytes()[:100_000])
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


def test_without_any_source_the_ways_are_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing has the data, the error names the folder, the option and the package, and leaves nothing behind."""
    monkeypatch.setattr(sources, "SYSTEM_FOLDER", tmp_path / "nowhere")
    monkeypatch.setattr(sources, "MIRROR_SECONDS", 0.001)
    monkeypatch.setattr(sources, "_from_torchvision", lambda _: (_ for _ in ()).throw(OSError("no network")))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sources.FETCHERS, "torchvision's download", sources._from_torchvision)
    with pytest.raises(errors.DataError) as raised:
        data.fashion_mnist(tmp_path / "data")
    for way in (
        "FashionMNIST/raw",
        "take a data folder that has them",
        "dataset-fashion-mnist",
        "no network",
        "no apt-get",
    ):
        assert way in str(raised.value)
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".fashion-mnist.lock"]


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


def test_all_images_are_there_once(data_dir: pathlib.Path) -> None:
    """What workers load stays bytes, and what a hold-out trains on and evaluates are views of one array."""
    whole = data.fashion_mnist_bytes(data_dir)
    assert data.pixels(whole.test_images).tobytes() == data.fashion_mnist(data_dir).test_images.tobytes()
    assert whole.train_images.nbytes == 60_000 * 784
    apart = whole.holdout()
    assert apart.train_images.base is not None
    assert apart.train_images.base is apart.test_images.base
    assert apart.train_images.base.nbytes == whole.train_images.nbytes


def test_checksums_that_are_known_are_those_of_the_content(data_dir: pathlib.Path) -> None:
    """They stand for sums over all images; a set that was changed has none that is known."""
    whole = data.fashion_mnist(data_dir)
    for each in (whole, whole.holdout()):
        assert each.checksum == provenance.compute(each)
    assert dataclasses.replace(whole, train_labels=whole.test_labels).checksum is None
    assert data.synthetic().checksum is None


def test_the_synthetic_set_is_pytorchs() -> None:
    """Its numbers are what they were when PyTorch drew them, bit for bit: stored trainings can be repeated."""
    generator = torch.Generator().manual_seed(5)
    prototypes = torch.rand(10, 784, generator=generator)
    ours = data.synthetic(train=50, test=20, seed=5)
    for images, labels in ((ours.train_images, ours.train_labels), (ours.test_images, ours.test_labels)):
        theirs = torch.randint(10, (len(labels),), generator=generator)
        noise = torch.rand(len(labels), 784, generator=generator)
        assert numpy.array_equal(labels, theirs.numpy())
        assert images.tobytes() == (0.5 * prototypes[theirs] + 0.5 * noise).numpy().tobytes()
