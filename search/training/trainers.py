"""The engines of one objective: those that it begins with at once, others when a trial needs them to go on."""

import dataclasses
import threading

from models import backends, engine, provenance
from models.data import Dataset
from models.engines import choices
from models.recipes import Recipe
from search.training import records


@dataclasses.dataclass(frozen=True)
class Trainer:
    """An engine, and what the last bits of its trainings depend on."""

    engine: engine.Engine
    provenance: dict[str, str]
    backend: str


class Trainers:
    """Of a dataset and a device.

    Attributes:
        backends: what it can train with, as lines of `models.backends`: what it begins with first.
        slots: trainings at once.

    Args:
        name: of the engine, or "auto".
        slots: None for as many as fill the device; on the CPU that is one, since workers are processes.
        precision: the coarsest that "auto" may take.
        trials: that there are to be: the fastest engine is chosen for no more at once.

    Raises:
        models.errors.DeviceError: no such engine, or no such device on this machine.
    """

    def __init__(
        self,
        name: str,
        device: str,
        data: Dataset,
        slots: int | None = 1,
        precision: str = backends.FLOAT32,
        trials: int = 0,
    ) -> None:
        self._choices, self._data = choices.Choices(name, device, precision=precision), data
        self.backends = tuple(map(str, self._choices.able))
        self._known: dict[str, Trainer] = {}
        self._lock = threading.Lock()
        first = self.of(self.backends[0])  # now: no epoch of a trial must wait for it
        self.slots = slots or (1 if device == "cpu" else engine.capacity(first.engine))
        self.expect(trials)

    def expect(self, trials: int) -> None:
        """See `trials`: a budget may have grown since."""
        self._choices.fill(min(self.slots, trials or self.slots))

    def of(self, backend: str) -> Trainer:
        """The one that a trial is to be trained with."""
        with self._lock:
            if backend not in self._known:
                found = self._choices.load(backends.parse(backend))
                found.prepare(self._data)
                self._known[backend] = Trainer(found, provenance.of(found, self._data), backend)
            return self._known[backend]

    def choose(self, recipe: Recipe) -> choices.Choice:
        """What a new training of a recipe begins with, and why."""
        return self._choices.pick(recipe, self._data)

    def reason(self, recipe: Recipe, trainer: Trainer) -> dict[str, str]:
        """The attribute that says why a trial was trained so, where this worker chose."""
        known = self._choices.known(recipe)
        is_chosen = known is not None and known.why and str(known.backend) == trainer.backend
        return {records.CHOICE.name: known.why} if known is not None and is_chosen else {}
