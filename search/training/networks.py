"""Trains one trial and reports its epochs."""

import functools
import pathlib
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from models import backends, blas, data, recipes
from models.data import Dataset
from models.engine import State
from search.space import spaces
from search.study import ladders, specs
from search.training import hopeless, objectives, records, seeds, trainers


class NetworkObjective:
    """Trains the configurations of one study on one engine and device.

    Attributes:
        backends: what it can train with, as lines of `models.backends`.
        slots: how many trainings at once it is made for.
        value: which accuracies a trial's value is of (`training.value`).

    Args:
        slots: trainings at once; None for as many as fill the device, where that is no CPU.

    Raises:
        models.errors.ModelError: the dataset, engine or device is not to be had.
    """

    def __init__(
        self,
        spec: specs.StudySpec,
        data_dir: pathlib.Path,
        device: str = "cpu",
        engine: str | None = None,
        slots: int | None = 1,
    ) -> None:
        if spec.training is None:
            raise ValueError(f"study {spec.name!r} has no [training]")
        blas.use_one_thread()  # one worker per core
        self._spec, self._training = spec, spec.training
        self.value = self._training.value
        self._ladder = ladders.of(spec.pruning, spec.training)
        self._data_dir = data_dir
        self._data = self._load()
        if self._training.evaluate_on == "validation":
            self._data = self._data.holdout()
        name, precision = engine or self._training.engine, self._training.precision
        self._trainers = trainers.Trainers(name, device, self._data, slots, precision, spec.budget.trials)
        self.backends, self.slots = self._trainers.backends, self._trainers.slots
        self._last = self.backends[0]

    def __call__(self, trial: objectives.Trial) -> objectives.Result:
        """Trains a trial to its last epoch, or until the network is known to be hopeless."""
        recipe, saved = self.recipe(trial.params, trial.repeat), trial.saved
        record, resume = records.Record(), None
        if saved:
            record = records.Record.after(saved.values, saved.history)
            resume = State(recipe, saved.epoch, saved.weights)
        judge = hopeless.Hopeless(recipe, self._data, record.memory) if self._spec.pruning.hopeless else None
        # what an earlier owner found, or would have looked for, before it ended
        record.reason = (record.reason or trial.should_prune()) if saved else judge.before() if judge else None
        asked_for = self._training.record
        asked = {"tick": trial.check_stop, "train_accuracy": "train_accuracy" in asked_for}
        chosen = trial.backend or self.choose(trial.params)
        trainer, self._last = self._trainers.of(chosen), chosen
        epochs = trainer.engine.train(recipe, self._data, resume, **asked)  # type: ignore[arg-type]
        while not record.reason and (epoch := next(epochs, None)) is not None:
            record.add(epoch, trainer.provenance, "batch_losses" in asked_for)
            record.reason = judge.after(epoch) if judge else None
            record.memory = judge.memory if judge else None
            after = objectives.Checkpoint(epoch.number, epoch.state().weights, list(record.values), record.history())
            trial.report(epoch.number, epoch.accuracy, record.epoch_attrs(), after)
            if self._ladder is not None and epoch.number in self._ladder.rungs:  # it may pause, and end so
                trial.keep(self._end_attrs(record, recipe, trainer))
            record.reason = record.reason or trial.should_prune()
        state = TrialState.PRUNED if record.reason else TrialState.COMPLETE
        return objectives.Result(
            state, records.value(record.values, self.value), self._end_attrs(record, recipe, trainer)
        )

    def _end_attrs(self, record: records.Record, recipe: recipes.Recipe, by: trainers.Trainer) -> dict[str, Any]:
        found = {records.ENGINE.name: by.engine.name, records.DEVICE.name: by.engine.device}
        return {**found, **self._trainers.reason(recipe, by), **record.end_attrs(recipe.seed)}

    @property
    def provenance(self) -> dict[str, str]:
        """What the last bits of the last training depend on."""
        return self._trainers.of(self._last).provenance

    def choose(self, params: spaces.Params) -> str:
        """What a new trial of a configuration is trained with, from its first claim to its end."""
        return str(self._trainers.choose(self.recipe(params)).backend)

    def expect(self, trials: int) -> None:
        """How many trials there are to be, which decides how many share the device; at first the study file's."""
        self._trainers.expect(trials)

    def backend_of(self, trial: FrozenTrial) -> str | None:
        """What a stored trial was trained with last, where that is to be had here; None where a choice is open."""
        trained = records.TRAINED.find(trial)
        if not trained:
            return None
        last = trained[-1]["with"]
        found = backends.Backend(last.get("engine", ""), backends.kind_of(last.get("device", "")))
        return str(found) if str(found) in self.backends else None

    @functools.cached_property
    def whole(self) -> Dataset:
        """The dataset with its test set, whatever trials are evaluated on."""
        return self._load() if self._training.evaluate_on == "validation" else self._data

    def _load(self) -> Dataset:
        return data.load(self._training.dataset, self._data_dir)

    def need(self, params: spaces.Params, backend: str | None = None) -> int:
        """Bytes that the training of a configuration takes beside the dataset, at most, as an estimate."""
        recipe = self.recipe(params)
        engine = self._trainers.of(backend or self.choose(params)).engine
        return engine.footprint(recipe) + (hopeless.footprint(recipe) if self._spec.pruning.hopeless else 0)

    def recipe(self, params: spaces.Params, repeat: int = 0) -> recipes.Recipe:
        """The training of a configuration. The seed is the study's, the same for every configuration.

        So studies of one factor compare like with like. A repeat has a seed of its own, the same in every study of
        that seed.
        """
        seed = seeds.of(self._spec.study.seed, repeat)
        return recipes.Recipe(**params, epochs=self._training.epochs, seed=seed)  # type: ignore[arg-type]
