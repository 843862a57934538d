"""FashionMNIST, or a small synthetic set, resident as tensors; the hold-out; the order of samples."""

import dataclasses
import pathlib

import numpy
import torch

from models import sources
from models.datasets import CLASSES, IMAGE_PIXELS, TRAINING_IMAGES, held_out

HOLDOUT_SEED = 0


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images float32 (n, 784) in [0, 1], labels int64 (n,), all on one device."""

    name: str
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor

    def to(self, device: str) -> "Dataset":
        """The same set on `device`; itself where it is there already."""
        tensors = {
            field.name: getattr(self, field.name).to(device)
            for field in dataclasses.fields(self)
            if field.name != "name"
        }
        return dataclasses.replace(self, **tensors)

    def holdout(self) -> "Dataset":
        """Evaluates on training images set apart, so that the test set is kept for the end.

        A sixth of the training images (10,000 of 60,000), drawn once with a fixed seed, take the place of the test set.
        """
        n = len(self.train_images)
        shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(HOLDOUT_SEED))
        held = held_out(n)
        apart, kept = shuffled[:held].sort().values, shuffled[held:].sort().values
        return Dataset(
            f"{self.name}-validation",
            self.train_images[kept],
            self.train_labels[kept],
            self.train_images[apart],
            self.train_labels[apart],
        )


def fashion_mnist(root: str | pathlib.Path) -> Dataset:
    """FashionMNIST from `root`, or from the first source that has it (see `sources.find`).

    The images are bitwise what torchvision's `ToTensor` gives: uint8 / 255 in float32.

    Raises:
        errors.DataError: a file is damaged or foreign, or no source has the set.
    """
    files = sources.find(pathlib.Path(root))
    train_images, train_labels, test_images, test_labels = (
        torch.from_numpy(sources.load(files[name], name)) for name in sources.NAMES
    )
    return Dataset(
        "fashion-mnist",
        train_images.reshape(-1, IMAGE_PIXELS).float().div_(255),
        train_labels.long(),
        test_images.reshape(-1, IMAGE_PIXELS).float().div_(255),
        test_labels.long(),
    )


def synthetic(train: int = TRAINING_IMAGES["synthetic"], test: int = 200, seed: int = 0) -> Dataset:
    """A small set with FashionMNIST's shapes that a linear model learns in an epoch: ten noisy prototypes."""
    generator = torch.Generator().manual_seed(seed)
    prototypes = torch.rand(CLASSES, IMAGE_PIXELS, generator=generator)

    def draw(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.randint(CLASSES, (n,), generator=generator)
        noise = torch.rand(n, IMAGE_PIXELS, generator=generator)
        return (0.5 * prototypes[labels] + 0.5 * noise), labels

    return Dataset("synthetic", *draw(train), *draw(test))


def order(seed: int, epoch: int, n: int) -> torch.Tensor:
    """The order of samples in an epoch: a fresh shuffle of `range(n)` per (seed, epoch), (n,) int64, on the CPU."""
    # SeedSequence mixes the pair well; torch's CPU generator uses 32 bits of its seed
    mixed = int(numpy.random.SeedSequence((seed, epoch)).generate_state(1)[0])
    return torch.randperm(n, generator=torch.Generator().manual_seed(mixed))
