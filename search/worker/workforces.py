"""How the workers of this machine train, and whether they can."""

import dataclasses
import os
import pathlib

from search import errors
from search.ledger import presence
from search.storage import databases
from search.study import specs
from search.training import objectives
from search.worker import progress

SLOTS_LIMIT = 1_024


@dataclasses.dataclass(frozen=True)
class Workforce:
    """How the workers of this machine train.

    Attributes:
        workers: processes; None for as many as fill the cores.
        slots: trials at once in each process.
        grace_seconds: see `presence`; `patience_seconds`: see `databases`; `save_seconds`: see `objectives`.
    """

    workers: int | None = None
    data_dir: pathlib.Path = pathlib.Path("data")
    device: str = "cpu"
    engine: str | None = None
    grace_seconds: float = presence.GRACE_SECONDS
    patience_seconds: float = databases.PATIENCE_SECONDS
    save_seconds: float = objectives.SAVE_SECONDS
    slots: int = 1

    @property
    def count(self) -> int:
        """How many there will be."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.workers or max(1, cores // self.slots)

    def arguments(self, name: str) -> list[str]:
        """What follows `search work`."""
        found = [name, "--data-dir", str(self.data_dir), "--device", self.device, "--grace", str(self.grace_seconds)]
        found += ["--patience", str(self.patience_seconds), "--checkpoint-seconds", str(self.save_seconds)]
        found += ["--slots", str(self.slots)]
        return [*found, "--engine", self.engine] if self.engine else found


def check_training(spec: specs.StudySpec, workforce: Workforce) -> None:
    """What all workers need is looked for once, before any of them starts.

    Raises:
        errors.InputError: an objective or slots that are not to be had here.
        models.errors.ModelError: data, engine or device that are not.
    """
    check_slots(spec, workforce.slots, workforce.device)
    if spec.training is None:
        from search.training import functions

        functions.load(spec.objective or "")
        return
    if spec.training.dataset == "fashion-mnist":
        from models import sources

        with progress.spinner("looking for FashionMNIST ..."):
            for name, path in sources.find(workforce.data_dir).items():
                sources.load(path, name)
    engine = workforce.engine or spec.training.engine
    if workforce.device != "cpu" or engine != "auto":
        from models import engines  # imports torch

        engines.load(engine, workforce.device)


def check_slots(spec: specs.StudySpec, slots: int, device: str) -> None:
    """Where several trials can train in one process.

    Raises:
        errors.InputError: not here.
    """
    if slots > 1 and spec.training is None:
        raise errors.InputError(
            f"--slots must be 1 for the objective of study {spec.name!r}, got {slots}: code of your own is interrupted "
            "by a signal, which only one trial of a process can have; start more workers instead"
        )
    if slots > 1 and device != "cpu":
        raise errors.InputError(f"--slots must be 1 on device {device!r}, got {slots}: only the CPU has slots so far")
