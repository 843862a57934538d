import dataclasses
import gzip
import pathlib

import numpy
import pytest
import torch
import torchvision

from models import data, provenance, sources

published = pytest.mark.parametrize("dataset", sources.PUBLISHED)


@published
def test_tensors_are_bitwise_totensor(data_dir: pathlib.Path, tmp_path: pathlib.Path, dataset: str) -> None:
    """The resident images are what torchvision's ToTensor gives, bit for bit, and so are the labels."""
    loaded = data.load(dataset, data_dir)
    raw = tmp_path / sources.PUBLISHED[dataset].title / "raw"
    raw.mkdir(parents=True)
    for name, path in sources.find(data_dir, dataset).items():
        raw.joinpath(name).write_bytes(
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        )
    for train, images, labels in (
        (True, loaded.train_images, loaded.train_labels),
        (False, loaded.test_images, loaded.test_labels),
    ):
        kind = getattr(torchvision.datasets, sources.PUBLISHED[dataset].title)
        theirs = kind(tmp_path, train=train, transform=torchvision.transforms.ToTensor())
        assert images.shape == (len(theirs), 784)
        assert images.dtype == numpy.uint8
        images = data.pixels(images)
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


def test_all_images_are_there_once(data_dir: pathlib.Path) -> None:
    """What workers load stays bytes, and what a hold-out trains on and evaluates are views of one array."""
    whole = data.fashion_mnist_bytes(data_dir)
    assert data.pixels(whole.test_images).tobytes() == data.fashion_mnist(data_dir).test_images.tobytes()
    assert whole.train_images.nbytes == 60_000 * 784
    apart = whole.holdout()
    assert apart.train_images.base is not None
    assert apart.train_images.base is apart.test_images.base
    assert apart.train_images.base.nbytes == whole.train_images.nbytes


@published
def test_checksums_that_are_known_are_those_of_the_content(data_dir: pathlib.Path, dataset: str) -> None:
    """They stand for sums over all images; a set that was changed has none that is known."""
    whole = data.load(dataset, data_dir)
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
