"""A trained network as a file, and what it says of images."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping

import safetensors
import torch
from safetensors import torch as tensors
from torch import nn

from models import datasets, errors, network, recipes, weights

FORMAT = "optuna-search-service-1"


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A network with the settings it was trained with.

    Attributes:
        classes: names of the ten classes, in the order of the logits.
        about: what else the file says of itself.
    """

    recipe: recipes.Recipe
    network: nn.Sequential
    classes: tuple[str, ...]
    about: Mapping[str, str]

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Of (n, 784) float32 images in [0, 1]: (n, 10) float32."""
        with torch.inference_mode():
            return torch.cat([self.network(rows) for rows in images.split(network.EVALUATION_ROWS)])

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Of (n, 784) float32 images in [0, 1]: (n, 10) float32, rows that sum to 1."""
        return self.logits(images).softmax(dim=1)


def build(
    recipe: recipes.Recipe, trained: weights.Weights, classes: tuple[str, ...], about: Mapping[str, str]
) -> Classifier:
    """A classifier from weights in the order of `weights.initial`."""
    return Classifier(recipe, network.build(recipe, trained).eval(), classes, dict(about))


def confusion(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """How often an image of a class (row) was taken for one of another (column): (10, 10) int64."""
    pairs = labels * datasets.CLASSES + logits.argmax(dim=1)
    return torch.bincount(pairs, minlength=datasets.CLASSES**2).reshape(datasets.CLASSES, datasets.CLASSES)


def dump(model: Classifier) -> bytes:
    """The file's content: safetensors, named as `nn.Sequential` names its state, with the settings as metadata."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    settings = json.dumps(dataclasses.asdict(model.recipe))
    metadata = {**model.about, "format": FORMAT, "recipe": settings, "classes": json.dumps(model.classes)}
    return tensors.save(state, metadata)


def load(path: pathlib.Path) -> Classifier:
    """A model file.

    Raises:
        errors.ModelFileError: there is none, it is none of ours, or it is damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (OSError, safetensors.SafetensorError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise errors.ModelFileError(f"{path} must be a model file as an export writes it: {what}") from error
    if metadata.get("format") != FORMAT:
        raise errors.ModelFileError(
            f"{path} must be a model file as an export writes it (format {FORMAT}), got {metadata.get('format')!r}"
        )
    try:
        recipe = recipes.Recipe(**json.loads(metadata.pop("recipe")))
        classes = tuple(json.loads(metadata.pop("classes")))
        built = network.build(recipe)
        built.load_state_dict(state)
    except (KeyError, TypeError, ValueError, RuntimeError, errors.RecipeError) as error:
        reason = str(error).replace("\n", " ")
        raise errors.ModelFileError(f"{path} is damaged: its weights or settings do not fit: {reason}") from error
    return Classifier(recipe, built.eval(), classes, metadata)
