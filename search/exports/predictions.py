"""What an exported model takes images for."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from models import classifier, data, datasets, errors, network, pictures


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Of one image: all classes with their probabilities, the most probable first; and what was done to the image."""

    path: pathlib.Path
    ranked: dict[str, float]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        name, probability = next(iter(self.ranked.items()))
        found = {"image": str(self.path), "class": name, "probability": probability}
        return {**found, "probabilities": self.ranked, "notes": list(self.notes)}


@dataclasses.dataclass(frozen=True)
class Tested:
    """A model on a test set: loss is mean cross-entropy, nats; recalls by class.

    Attributes:
        evaluate_on: by which images its search chose, as its file says it; None where it does not.
        caution: why the accuracy is too high, or None.
    """

    images: int
    accuracy: float
    loss: float
    recalls: dict[str, float]
    evaluate_on: str | None = None
    caution: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return dataclasses.asdict(self)


def of_images(
    model: pathlib.Path, images: Sequence[pathlib.Path], resize: bool = False, invert: bool = False
) -> list[Prediction]:
    """What a model file takes image files for, in their order; nothing is said unless all of them can be read.

    Raises:
        models.errors.ModelFileError, models.errors.PictureError: a file is not what it must be.
    """
    loaded = classifier.load(model)
    read = [pictures.read(path, resize, invert) for path in images]
    shares = loaded.probabilities(torch.stack([pixels for pixels, _ in read])).tolist()
    found = []
    for path, (_, notes), row in zip(images, read, shares, strict=True):
        ranked = sorted(zip(loaded.classes, row, strict=True), key=lambda pair: -pair[1])
        found.append(Prediction(path, dict(ranked), notes))
    return found


def of_test_set(model: pathlib.Path, data_dir: pathlib.Path) -> Tested:
    """How a model file does on the test set of the data it was trained on.

    Raises:
        models.errors.ModelFileError: the file is not what it must be.
        models.errors.DataError: the dataset is not to be had.
    """
    loaded = classifier.load(model)
    name = loaded.about.get("dataset", "fashion-mnist")
    if name not in datasets.CLASS_NAMES:
        known = ", ".join(datasets.CLASS_NAMES)
        raise errors.ModelFileError(f"{model} must have been trained on one of {known}, got {name!r}")
    whole = data.load(name, data_dir)
    logits, labels = loaded.logits(network.tensor(whole.test_images)), torch.from_numpy(whole.test_labels)
    matrix = classifier.confusion(logits, labels)
    recalls = (matrix.diagonal() / matrix.sum(dim=1).clamp(min=1)).tolist()
    loss = float(functional.cross_entropy(logits, labels))
    accuracy = float(matrix.trace() / matrix.sum())
    by_class = dict(zip(loaded.classes, recalls, strict=True))
    told = {key: loaded.about.get(key) for key in ("evaluate_on", "caution")}
    return Tested(len(whole.test_labels), accuracy, loss, by_class, **told)
