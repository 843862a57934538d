"""A trial's network as a file to take away, with its card."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from models import classifier, datasets, network, onnx_graph
from search import errors, files
from search.exports import cards
from search.exports.choices import Choice
from search.training import networks, records, replays


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written, and how good it is."""

    choice: Choice
    files: tuple[pathlib.Path, ...]
    accuracy: float
    replay: replays.Replay

    @property
    def note(self) -> str | None:
        """Where the weights are not those of the stored training."""
        return None if self.replay.is_same else self.replay.sentence()

    @property
    def caution(self) -> str | None:
        """See `choices.Choice`."""
        return self.choice.caution

    def sentence(self) -> str:
        """For people."""
        return (
            f"trial {self.choice.trial.number} of study {self.choice.study.name!r} written to "
            f"{', '.join(map(str, self.files))}; accuracy {self.accuracy:.4f} on the test set"
        )

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        choice, found = self.choice, self.choice.confirmed
        seeds = list(found.best.runs.values.values()) if found else []
        return {
            "study": choice.study.name,
            "trial": choice.trial.number,
            "files": [str(path) for path in self.files],
            "accuracy": self.accuracy,
            "confirmed": found
            and {
                "mean": found.best.runs.mean,
                "seeds": len(seeds),
                "accuracies": seeds,
                "corrected": found.corrected and found.corrected.mean,
            },
            "same_as_stored": self.replay.is_same,
            "evaluate_on": choice.searched.training and choice.searched.training.evaluate_on,
            "caution": choice.caution,
        }


def check_path(path: pathlib.Path, onnx: bool, force: bool) -> tuple[pathlib.Path, ...]:
    """The files that an export writes: model, card, picture, and the ONNX graph.

    Raises:
        errors.InputError: one is there already and may not be replaced, or its folder is not there.
    """
    paths = [path, path.with_suffix(".md"), path.with_name(f"{path.stem}-confusion.png")]
    paths += [path.with_suffix(".onnx")] if onnx else []
    if not path.parent.is_dir():
        raise errors.InputError(f"--to {path} must lie in a folder that exists, got {path.parent}")
    if path.suffix != ".safetensors":
        raise errors.InputError(f"--to must end in .safetensors, got {path}")
    for each in paths:
        if each.is_dir() or (each.exists() and not force):
            raise errors.InputError(f"--to {path}: {each} exists already; --force replaces it")
    return tuple(paths)


def export(
    choice: Choice,
    objective: networks.NetworkObjective,
    paths: Sequence[pathlib.Path],
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> Exported:
    """Trains the trial again, and writes what `check_path` named.

    Raises:
        errors.InputError: the files cannot be written.
    """
    replay, weights = replays.retrain(choice.trial, objective, on_epoch)
    recipe, data = objective.recipe(choice.trial.params, records.repeat_of(choice.trial)), objective.whole
    about = {"study": choice.study.name, "trial": str(choice.trial.number), "dataset": data.name}
    about |= {"evaluate_on": choice.searched.training.evaluate_on} if choice.searched.training else {}
    about |= {"caution": choice.caution} if choice.caution else {}
    model = classifier.build(recipe, weights, datasets.CLASS_NAMES[data.name], about)
    logits, labels = model.logits(network.tensor(data.test_images)), torch.from_numpy(data.test_labels)
    facts = cards.Facts(
        study=choice.study.name,
        trial=choice.trial.number,
        dataset=data.name,
        chosen=choice.how,
        searched=choice.searched,
        confirmed=choice.confirmed,
        caution=choice.caution,
        matrix=classifier.confusion(logits, labels),
        loss=float(functional.cross_entropy(logits, labels)),
        replay=replay,
        provenance=objective.provenance,
    )
    path, card, picture, *graph = paths
    written = {
        path: classifier.dump(model),
        card: cards.markdown(model, facts, path.name, picture.name).encode(),
        picture: cards.picture(model, facts).png,
        **{each: onnx_graph.dump(model) for each in graph},
    }
    for each, content in written.items():
        try:
            files.write(each, content)
        except OSError as error:
            raise errors.InputError(f"{each} cannot be written: {error.strerror}") from error
    return Exported(choice, tuple(paths), facts.accuracy, replay)
