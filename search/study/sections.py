"""The tables of a study file, each with the rules for its keys."""

from typing import Annotated, Any, Literal

import pydantic

from search.storage import locations
from search.study import (
    deadlines,
    destinations,
    names,
    notices,
    programs,
    pruners,
    samplers,
    validation,
    warm_starts,
)

OBJECTIVE = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"
SEED_LIMIT = 2**32  # torch's CPU generator takes 32 bits


class StudySection(validation.Section):
    """[study]: what it is called and what it seeks."""

    name: str
    direction: Literal["maximize", "minimize"] = "maximize"
    # where it is left out: "accuracy" of [training], "value" of an objective of the user's own
    metric: Annotated[str, pydantic.Field(min_length=1, max_length=100)] = ""
    seed: Annotated[int, pydantic.Field(ge=0, lt=SEED_LIMIT)] = 0

    @property
    def sign(self) -> int:
        """By which a value is multiplied to be the better the larger it is."""
        return 1 if self.direction == "maximize" else -1

    @pydantic.field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        return names.study(name)


class Training(validation.Section):
    """[training]: how every trial is trained."""

    dataset: Literal["fashion-mnist", "mnist", "synthetic"] = "fashion-mnist"
    epochs: Annotated[int, pydantic.Field(ge=1, le=validation.LARGEST)] = 10
    evaluate_on: Literal["test", "validation"] = "test"  # what a stored text means; see NEW
    value: Literal["last", "mean-of-last-3"] = "last"
    engine: str = "auto"
    precision: Literal["float32", "tf32", "bf16"] = "float32"  # the coarsest that "auto" may take
    # beside accuracy and loss of each epoch, which are always recorded
    record: Annotated[list[Literal["train_accuracy", "batch_losses"]], pydantic.Field(default_factory=list)]


# what a new study's file means where it leaves these keys of [training] out: its stored text says them. The defaults
# above are what a stored text means, for ever: that of an earlier version, which had no other
NEW = {"evaluate_on": "validation", "value": "last"}


class Sampler(validation.Section):
    """[sampler]: who proposes configurations."""

    name: str = "tpe"
    startup_trials: Annotated[int, pydantic.Field(ge=0, le=validation.LARGEST)] | None = None

    @pydantic.field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in samplers.NAMES:
            raise ValueError(f"must be one of {', '.join(samplers.NAMES)}")
        return name


class Pruning(validation.Section):
    """[pruning]: which trials end early."""

    hopeless: bool | None = None
    pruner: str | None = None
    startup_trials: Annotated[int, pydantic.Field(ge=0)] | None = None
    warmup_epochs: Annotated[int, pydantic.Field(ge=0)] | None = None
    percentile: Annotated[float, pydantic.Field(ge=0, le=100)] | None = None
    reduction_factor: Annotated[int, pydantic.Field(ge=2)] | None = None
    min_resource: Annotated[int, pydantic.Field(ge=1, le=validation.LARGEST)] | None = None
    max_resource: Annotated[int, pydantic.Field(ge=1, le=validation.LARGEST)] | None = None
    checkpoints: Annotated[int, pydantic.Field(ge=0, le=validation.LARGEST)] | None = None

    @pydantic.field_validator("pruner")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in pruners.PRUNERS:
            raise ValueError(f"must be one of {', '.join(pruners.PRUNERS)}")
        return name

    @property
    def is_on(self) -> bool:
        """Whether any trial may be pruned by a rule of the file."""
        return bool(self.hopeless) or self.pruner is not None

    @property
    def settings(self) -> dict[str, float]:
        """Options of the population pruner that the file gives."""
        return {key: value for key in pruners.OPTIONS if (value := getattr(self, key)) is not None}


class Trial(validation.Section):
    """[trial]: the process that trains a trial by code of the user's own.

    Attributes:
        process: "warm": kept for the next trial, with what it has imported; "fresh": a new one for each.
        max_seconds: of a trial in all, over all its owners; `silent_seconds`: without a report or any output.
        gpus: how many it takes where workers have any.
        store: folder or fsspec URL for checkpoints that are too large for the database, and for artifacts.
    """

    process: Literal["warm", "fresh"] = "warm"
    max_seconds: Annotated[float, pydantic.Field(gt=0)] | None = None
    silent_seconds: Annotated[float, pydantic.Field(gt=0)] | None = None
    gpus: Annotated[int, pydantic.Field(ge=1, le=1_024)] = 1
    store: Annotated[str, pydantic.Field(min_length=1, max_length=1_000)] | None = None

    @pydantic.field_validator("store")
    @classmethod
    def _place(cls, store: str | None) -> str | None:
        if store is not None:
            locations.check(store, "trial.store")
        return store


TRIAL = Trial()


class Publish(validation.Section):
    """[publish]: where workers send what they find, while they find it.

    Attributes:
        to: destinations (`destinations.read`), one or several; None for nowhere.
        seconds: between two looks at what has changed.
    """

    to: str | list[str] | None = None
    seconds: Annotated[float, pydantic.Field(ge=1, le=86_400)] = 10

    @pydantic.field_validator("to", mode="before")
    @classmethod
    def _known(cls, to: Any) -> Any:
        destinations.read_all(to, "publish.to")
        return to

    @property
    def destinations(self) -> list[destinations.Destination]:
        """Each of them, once."""
        return destinations.read_all(self.to, "publish.to")


PUBLISH = Publish()


class Budget(validation.Section):
    """[budget]: how many trials, for how long, when it is enough, and what is too much."""

    trials: Annotated[int, pydantic.Field(ge=1, le=validation.LARGEST)]
    hours: Annotated[float, pydantic.Field(gt=0)] | None = None
    target: float | None = None
    patience: Annotated[int, pydantic.Field(ge=1, le=validation.LARGEST)] | None = None
    deadline: Annotated[str, pydantic.BeforeValidator(deadlines.read)] | None = None
    regret: Annotated[float, pydantic.Field(gt=0)] | None = None
    epoch_seconds: Annotated[float, pydantic.Field(gt=0)] | None = None
    max_failures: Annotated[int, pydantic.Field(ge=0, le=validation.LARGEST)] = 10


def limits(given: dict[str, Any]) -> dict[str, Any]:
    """Some keys of [budget], read as in a file.

    Raises:
        errors.InputError: key, rule and value.
    """
    return {key: getattr(validation.validate(Budget, {"trials": 1, key: given[key]}, "extend"), key) for key in given}


class File(validation.Section):
    """The whole file."""

    objective: Annotated[str, pydantic.Field(pattern=OBJECTIVE)] | None = None
    command: programs.Command | None = None
    metric: programs.Metric | None = None
    trial: Trial = TRIAL
    study: StudySection
    training: Training | None = None
    space: Annotated[dict[str, Any], pydantic.Field(min_length=1)]
    sampler: Sampler = Sampler()
    pruning: Pruning = Pruning()
    budget: Budget
    publish: Publish = PUBLISH
    notify: notices.Notify = notices.NOTIFY
    enqueue: Annotated[list[dict[str, Any]], pydantic.Field(default_factory=list)]
    warm_start: warm_starts.WarmStart | None = None

    @property
    def is_own(self) -> bool:
        """Whether it trains code of the user's own."""
        return self.objective is not None or self.command is not None
