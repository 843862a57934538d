"""FashionMNIST, MNIST, or a small synthetic set, resident as arrays; the hold-out; the order of samples."""

import dataclasses
import pathlib

import numpy

from models import sources
from models.datasets import CLASSES, IMAGE_PIXELS, TEST_IMAGES, TRAINING_IMAGES, held_out
from models.generators import Generator

HOLDOUT_SEED = 0
# a quarter of a second of a worker's start; `sources.load` checks the files that they follow from
CHECKSUMS = {
    "fashion-mnist": "a64cc0dca83e19f4",
    "fashion-mnist-validation": "25810deb5b9eb38b",
    "mnist": "55c41ac0f5a8c456",
    "mnist-validation": "f1f12ce0d0d07628",
}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images (n, 784), labels int64 (n,).

    Images are float32 in [0, 1], or bytes, of which `pixels` makes that: a quarter of the memory.
    """

    name: str
    train_images: numpy.ndarray
    train_labels: numpy.ndarray
    test_images: numpy.ndarray
    test_labels: numpy.ndarray
    # of the content, where it is known without reading it again: see `provenance.checksum`
    checksum: str | None = dataclasses.field(default=None, init=False)

    def holdout(self) -> "Dataset":
        """Evaluates on training images set apart, so that the test set is kept for the end.

        A sixth of the training images (10,000 of 60,000), drawn once with a fixed seed, take the place of the test set.
        Both are views of one array.
        """
        n = len(self.train_images)
        shuffled = Generator(HOLDOUT_SEED).permutation(n)
        held = held_out(n)
        kept = n - held
        rows = numpy.concatenate([numpy.sort(shuffled[held:]), numpy.sort(shuffled[:held])])
        images, labels = self.train_images[rows], self.train_labels[rows]
        found = Dataset(f"{self.name}-validation", images[:kept], labels[:kept], images[kept:], labels[kept:])
        return found if self.checksum is None else _known(found)


def pixels(images: numpy.ndarray) -> numpy.ndarray:
    """Images as float32 in [0, 1]: bitwise what torchvision's `ToTensor` gives of bytes."""
    return images if images.dtype == numpy.float32 else images / numpy.float32(255)


def fashion_mnist(root: str | pathlib.Path) -> Dataset:
    """FashionMNIST from `root`, or from the first source that has it (see `sources.find`).

    Raises:
        errors.DataError: a file is damaged or foreign, or no source has the set.
    """
    found = fashion_mnist_bytes(root)
    train, test = pixels(found.train_images), pixels(found.test_images)
    return _known(dataclasses.replace(found, train_images=train, test_images=test))


def fashion_mnist_bytes(root: str | pathlib.Path) -> Dataset:
    """The same with images of bytes, which the engines train on to the same bits.

    Raises:
        errors.DataError: a file is damaged or foreign, or no source has the set.
    """
    return _published("fashion-mnist", pathlib.Path(root))


def load(name: str, root: str | pathlib.Path) -> Dataset:
    """The dataset of a name of `datasets.CLASS_NAMES`; images of a published one are bytes.

    Raises:
        errors.DataError: a file is damaged or foreign, or no source has the set.
    """
    return synthetic() if name == "synthetic" else _published(name, pathlib.Path(root))


def _published(name: str, root: pathlib.Path) -> Dataset:
    files = sources.find(root, name)
    train_images, train_labels, test_images, test_labels = (
        sources.load(files[each], each, name) for each in sources.NAMES
    )
    return _known(
        Dataset(
            name,
            train_images.reshape(-1, IMAGE_PIXELS),
            train_labels.astype(numpy.int64),
            test_images.reshape(-1, IMAGE_PIXELS),
            test_labels.astype(numpy.int64),
        )
    )


def _known(found: Dataset) -> Dataset:
    """One whose content was checked when it was read."""
    object.__setattr__(found, "checksum", CHECKSUMS[found.name])
    return found


def synthetic(
    train: int = TRAINING_IMAGES["synthetic"], test: int = TEST_IMAGES["synthetic"], seed: int = 0
) -> Dataset:
    """A small set with FashionMNIST's shapes that a linear model learns in an epoch: ten noisy prototypes."""
    generator = Generator(seed)
    half = numpy.float32(0.5)
    prototypes = half * generator.uniform(CLASSES * IMAGE_PIXELS).reshape(CLASSES, IMAGE_PIXELS)

    def draw(n: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        labels = generator.integers(CLASSES, n)
        noise = generator.uniform(n * IMAGE_PIXELS).reshape(n, IMAGE_PIXELS)
        return prototypes[labels] + half * noise, labels

    return Dataset("synthetic", *draw(train), *draw(test))


def order(seed: int, epoch: int, n: int) -> numpy.ndarray:
    """The order of samples in an epoch: a fresh shuffle of `range(n)` per (seed, epoch), (n,) int64."""
    # SeedSequence mixes the pair well; the generator uses 32 bits of its seed
    mixed = int(numpy.random.SeedSequence((seed, epoch)).generate_state(1)[0])
    return Generator(mixed).permutation(n)
