"""A trial's network as a file to take away, with its card."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from optuna.trial import FrozenTrial, TrialState
from torch.nn import functional

from models import classifier, datasets, network, onnx_graph
from search import errors, files, words
from search.exports import cards
from search.ledger import studies, summaries
from search.reports import confirmations
from search.storage import databases
from search.study import judgements, specs
from search.training import networks, records, replays


@dataclasses.dataclass(frozen=True)
class Choice:
    """A trial to export, and how it was chosen.

    Attributes:
        searched: the file of the search that it comes from: by which images that chose.
        confirmed: where it was.
    """

    study: studies.Study
    trial: FrozenTrial
    how: str
    searched: specs.StudySpec
    confirmed: confirmations.Confirmation | None = None

    @property
    def caution(self) -> str | None:
        """Why the accuracy of this very model on the test set is too high, or None."""
        return judgements.caution_of_model(self.searched, self.best_of)

    @property
    def best_of(self) -> int:
        """How many configurations the test set chose it from, beside a search's own choice."""
        return len(self.confirmed.entries) if self.confirmed else 1


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written, and how good it is."""

    choice: Choice
    files: tuple[pathlib.Path, ...]
    accuracy: float
    replay: replays.Replay

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


def choose(database: databases.Database, study: studies.Study, trial: FrozenTrial | None = None) -> Choice:
    """That trial; or of the best confirmed configuration the first, or the study's best.

    Raises:
        errors.InputError: no trial is complete, or this one is not.
    """
    if study.spec.training is None:
        raise errors.InputError(f"study {study.name!r} has an objective of its own, whose models export cannot make")
    if trial is not None:
        if trial.state != TrialState.COMPLETE:
            raise errors.InputError(
                f"--trial must name a complete trial of study {study.name!r}: trial {trial.number} is "
                f"{trial.state.name}"
            )
        return Choice(study, trial, "It was asked for by its number.", study.spec)
    found = confirmations.read(database, study)
    if found is not None:
        confirming, runs = studies.find(database, found.name), found.best.runs
        if confirming is not None:
            how = (
                f"Its settings have the best mean accuracy of {len(found.entries)} that were confirmed of "
                f"{words.code(study.name)}."
            )
            return Choice(confirming, runs.trials[min(runs.trials)], how, study.spec, found)
    best = summaries.summary(database, study).best
    if best is None:
        raise errors.InputError(f"study {study.name!r} has no complete trial yet: there is nothing to export")
    return Choice(study, best, f"It has the best value of study {words.code(study.name)}.", study.spec)


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
