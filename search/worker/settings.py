"""How workers train: each setting once, for the command line, the environment, Python and the workers' own command."""

import dataclasses
import fnmatch
import os
import pathlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pydantic

from search import errors, events
from search.ledger import presence
from search.storage import databases, locations, stores
from search.training import objectives
from search.worker import devices

SLOTS_LIMIT = 1_024


@dataclasses.dataclass(frozen=True)
class Option:
    """How a setting is given from outside.

    Attributes:
        flag: of the command line.
        variable: of the environment; None for none.
        metavar: what stands for the value in a help text; None for the name of its type.
    """

    flag: str
    variable: str | None
    help: str
    metavar: str | None = None


def _checked_store(store: str | None) -> str | None:
    return None if store is None else locations.check(store, "--store")


class Settings(pydantic.BaseModel):
    """How the workers of this machine train.

    Attributes:
        workers: processes; None for as many as fill the cores.
        data_dir: folder of the datasets.
        device: cpu, cuda or cuda:N; None for cuda where there are `gpus`, else cpu.
        engine: None for the study file's.
        slots: trials at once in each process; None for one, or as many as fill a GPU.
        grace_seconds: see `presence`; `patience_seconds`: see `databases`; `save_seconds`: see `objectives`.
        allow_objectives: which functions named by a study in the database may be imported and called here.
        gpus: those that workers take theirs of: all, none, or numbers and UUIDs; None leaves them alone.
        per_gpu: workers that share one.
        gpu_locks: folder in which workers say which they have; None for the user's own on this machine.
        trials_dir: folder of what trials of the user's own code print and write; None for one beside the database.
        store: where files of trials go whose study names no place; None for beside the database.
        log_format: of the workers' log; see `events`.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    workers: Annotated[
        int | None,
        pydantic.Field(ge=1),
        Option("--workers", None, "Worker processes.  [default: one per core and slot]"),
    ] = None
    data_dir: Annotated[
        pathlib.Path, Option("--data-dir", "SEARCH_DATA", "Folder of the datasets; filled on first use.")
    ] = pathlib.Path("data")
    device: Annotated[
        str | None, Option("--device", "SEARCH_DEVICE", "cpu, cuda or cuda:N.  [default: cpu, beside --gpus cuda]")
    ] = None
    engine: Annotated[str | None, Option("--engine", "SEARCH_ENGINE", "Engine, in place of the study file's.")] = None
    grace_seconds: Annotated[
        float,
        pydantic.Field(ge=0.3),
        Option(
            "--grace",
            "SEARCH_GRACE_SECONDS",
            "Silence after which a worker counts as gone; the same for all workers of a study.",
            "SECONDS",
        ),
    ] = presence.GRACE_SECONDS
    patience_seconds: Annotated[
        float,
        pydantic.Field(ge=0),
        Option(
            "--patience",
            "SEARCH_PATIENCE_SECONDS",
            "How long a worker waits for a database that is away, before it gives up.",
            "SECONDS",
        ),
    ] = databases.PATIENCE_SECONDS
    save_seconds: Annotated[
        float,
        pydantic.Field(ge=0),
        Option(
            "--checkpoint-seconds",
            "SEARCH_CHECKPOINT_SECONDS",
            "Training between two checkpoints of a trial, at least.",
            "SECONDS",
        ),
    ] = objectives.SAVE_SECONDS
    slots: Annotated[
        int | None,
        pydantic.Field(ge=1, le=SLOTS_LIMIT),
        Option(
            "--slots",
            "SEARCH_SLOTS",
            "Trials at once in each worker process, which share its memory of the dataset.  [default: 1, on a GPU as "
            "many as its engine has room for]",
            "TRIALS",
        ),
    ] = None
    trials_dir: Annotated[
        pathlib.Path | None,
        Option(
            "--trials-dir",
            "SEARCH_TRIALS_DIR",
            "Folder of what trials of your own code print and write here.  [default: a folder beside the database]",
        ),
    ] = None
    allow_objectives: Annotated[
        str,
        pydantic.Field(min_length=1),
        Option(
            "--allow-objectives",
            "SEARCH_ALLOW_OBJECTIVES",
            "Objectives of studies in the database that may run here: all, none, or modules and module:function, "
            "separated by commas.",
            "NAMES",
        ),
    ] = "all"
    gpus: Annotated[
        str | None,
        pydantic.AfterValidator(devices.check),
        Option(
            "--gpus",
            "SEARCH_GPUS",
            "GPUs of which each worker takes its own: all, none, or numbers and UUIDs, separated by commas.",
            "NAMES",
        ),
    ] = None
    per_gpu: Annotated[
        int,
        pydantic.Field(ge=1, le=devices.SHARED_LIMIT),
        Option("--per-gpu", "SEARCH_PER_GPU", "Workers that share a GPU.", "WORKERS"),
    ] = 1
    gpu_locks: Annotated[
        pathlib.Path | None,
        Option(
            "--gpu-locks",
            "SEARCH_GPU_LOCKS",
            "Folder in which workers say which GPUs are theirs; the same for all containers of a machine.",
        ),
    ] = None
    store: Annotated[
        str | None,
        pydantic.AfterValidator(_checked_store),
        Option(
            "--store",
            stores.VARIABLE,
            "Folder or s3://BUCKET/PREFIX for files of trials, where the study file names none.  "
            "[default: a folder beside the database]",
            "PLACE",
        ),
    ] = None

    log_format: Annotated[
        Literal["plain", "json"],
        Option("--log-format", events.VARIABLE, "Lines of the log on stderr: plain, or a JSON object each."),
    ] = "plain"

    @classmethod
    def from_environment(cls, **given: Any) -> "Settings":
        """What is given; for what is not, or None, what the environment says, or else the default.

        Raises:
            errors.InputError: a value that breaks the rule of its setting.
            TypeError: no such setting.
        """
        if unknown := sorted(set(given) - set(cls.model_fields)):
            raise TypeError(f"no setting of workers is called {unknown[0]!r}; there are {', '.join(cls.model_fields)}")
        values = {name: value for name, value in given.items() if value is not None}
        for name, option in options():
            if name not in values and option.variable and os.environ.get(option.variable):
                values[name] = os.environ[option.variable]
        try:
            return cls(**values)
        except pydantic.ValidationError as error:
            problem = error.errors()[0]
            rule = problem["msg"].replace("Input should be", "must be")
            raise errors.InputError(f"{problem['loc'][0]}: {rule}, got {problem['input']!r}") from error

    @property
    def count(self) -> int:
        """How many processes there will be."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.workers or max(1, cores // self.at_once)

    @property
    def at_once(self) -> int:
        """Trials at once in each process, as far as that is known before an engine is there."""
        return self.slots or 1

    @property
    def has_gpus(self) -> bool:
        """Whether a worker has GPUs of its own, or places on them."""
        return self.gpus not in (None, devices.NONE)

    @property
    def training_device(self) -> str:
        """The device that networks of `[training]` are trained on."""
        return self.device or ("cuda" if self.has_gpus else "cpu")

    def folder(self, storage: str) -> pathlib.Path:
        """Of what trials of the user's own code print and write here.

        Args:
            storage: address of their database.
        """
        return self.trials_dir or stores.beside(storage, ".trials")

    def allows(self, objective: str) -> bool:
        """Whether `module:function` or `command:...` of a study in the database may run here; `*` is for anything."""
        names = [word.strip() for word in self.allow_objectives.split(",")]
        if names in (["all"], ["none"]):
            return names == ["all"]
        module = objective.partition(":")[0]
        if module == "command":  # no name of a module allows a program
            return any(":" in name and fnmatch.fnmatchcase(objective, name) for name in names)
        return any(fnmatch.fnmatchcase(objective if ":" in name else module, name) for name in names)

    def arguments(self, *which: str) -> list[str]:
        """What follows `search work` for the study of a name, or for any: what says which comes first."""
        words = [*which]
        for field, option in options():
            if field != "workers" and (value := getattr(self, field)) is not None:
                words += [option.flag, str(value)]
        return words


def options() -> Iterator[tuple[str, Option]]:
    """The settings by name, in their order, each with how it is given from outside."""
    for name, field in Settings.model_fields.items():
        yield name, next(each for each in field.metadata if isinstance(each, Option))
