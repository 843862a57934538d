"""Which engine trains a recipe: the one that was asked for, or for "auto" the fastest of a device by measurement.

A GPU is no reason by itself: a single network of (64, 3, 128) is done sooner on a core than on one whose launches
take longer than their work. So where there are several to choose from, each trains the recipe's shape for a moment,
once per machine, device, driver and source; what was found is kept in a table that all processes of the machine share.
"""

import dataclasses
import functools
import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence

from models import backends, engine, engines
from models.backends import Backend
from models.data import Dataset
from models.engines import selfchecks, tables
from models.recipes import Recipe

log = logging.getLogger(__name__)

ENOUGH_SECONDS = 0.1  # of steps that count
LIMIT_SECONDS = 2.0  # for an engine, its start apart
FIRST_STEPS, GROWTH = 4, 4
LONE = ("cpu", "cpu-bf16")  # each trains in the thread that asks
ROUNDS = 3
GAIN = 1.05  # by which a coarser one must be faster


@dataclasses.dataclass(frozen=True)
class Choice:
    """A backend, and what speaks for it, in words; empty where there was nothing to choose."""

    backend: Backend
    why: str = ""


class Choices:
    """What a name and a device mean.

    Attributes:
        among: what new trainings choose from.
        able: what can be gone on with, these first; a team that is larger than the device is trained by a smaller one,
            which gives the same bits.
        slots: trainings at once that it is to be the fastest for.

    Args:
        name: "auto" or an engine's.
        device: "cpu", "cuda" or "cuda:1".
        among: in place of what the device has.
        precision: the coarsest of `backends.PRECISIONS` that "auto" may take.
    """

    def __init__(
        self,
        name: str,
        device: str = "cpu",
        slots: int = 1,
        among: Sequence[Backend] = (),
        precision: str = backends.FLOAT32,
    ) -> None:
        self._device, self.slots = device, slots
        self.among = tuple(among or _meant(name, device, precision))
        rest = [] if name != "auto" else [Backend("cpu"), Backend("reference")]
        beside = [*_in_teams(self.among), *rest]
        self.able = (*self.among, *(each for each in beside if each not in self.among))
        self._known: dict[str, Choice] = {}
        self._lock = threading.Lock()
        self._made: dict[str, engine.Engine] = {}
        self._making = threading.Lock()

    def load(self, backend: Backend) -> engine.Engine:
        """An engine of its own for it; teams of any size have one device, and share its launches.

        Raises:
            errors.DeviceError: there is none of that name, or no such device here.
        """
        device = engines.check(backend.engine, "cpu" if backend.device == "cpu" else self._device)
        if backend.engine not in engines.IN_TEAMS:
            return engines.make(backend.engine, device)
        with self._making:
            found = self._made[backend.engine] = self._made.get(backend.engine) or engines.make(backend.engine, device)
        return found if backend.team == 1 else found.in_teams(backend.team)  # type: ignore[attr-defined]

    def pick(self, recipe: Recipe, data: Dataset) -> Choice:
        """What a new training of a recipe is begun with."""
        candidates = [each for each in (*self.among, *self._teams) if not self._is_float32_too(each, recipe)]
        if len(candidates) < 2:
            return Choice((candidates or self.among)[0])
        shape = shape_of(recipe)
        with self._lock:
            if shape not in self._known:
                found = tables.remembered(candidates, shape, lambda: self._measure(candidates, recipe, data))
                self._known[shape] = self._judge(shape, found, candidates)
        return self._known[shape]

    @functools.cached_property
    def _teams(self) -> list[Backend]:
        """Those that the device has room for in every slot, and that train there as one block does."""
        found = []
        for backend in self.among:
            if backend.device == "cpu" or backend.team > 1:
                continue
            alone = self.load(backend)
            room = engine.capacity(alone) // self.slots
            sizes = [team for team in engine.teams(alone) if 1 < team <= room]
            try:
                wrong = selfchecks.other_bits(alone, sizes) if sizes else []
            except Exception as error:  # noqa: BLE001  # no launch of a team may take the single blocks away
                log.warning("event=unavailable engine=%s teams=%r reason=%r", backend.engine, sizes, str(error))
                continue
            if wrong:
                log.warning("event=distrusted engine=%s device=%s teams=%r", backend.engine, self._device, wrong)
            found += [dataclasses.replace(backend, team=team) for team in sizes if team not in wrong]
        return found

    def _is_float32_too(self, backend: Backend, recipe: Recipe) -> bool:
        """Whether it trains the recipe as the float32 engine beside it does, bit for bit."""
        return backend.engine in engines.PRECISIONS and not engines.is_coarser(backend.engine, recipe)

    def fill(self, slots: int) -> None:
        """From now on it is to be the fastest for so many trainings at once."""
        with self._lock:
            if slots != self.slots:
                self.slots = slots
                self._known.clear()
                self.__dict__.pop("_teams", None)

    def known(self, recipe: Recipe) -> Choice | None:
        """What was picked for recipes of this shape, if anything was."""
        return self._known.get(shape_of(recipe))

    def _measure(self, among: list[Backend], recipe: Recipe, data: Dataset) -> dict[str, list[float]]:
        if any(each.engine not in LONE for each in among):
            return {str(each): [*step_seconds(self.load(each), recipe, data)] for each in among}
        turns = among * ROUNDS  # they are close, and a core may be shared
        found = [(each, step_seconds(self.load(each), recipe, data, time.thread_time)) for each in turns]
        return {str(each): [*min(taken for other, taken in found if other == each)] for each in among}

    def _judge(self, shape: str, found: dict[str, list[float]], among: Sequence[Backend] = ()) -> Choice:
        """The least time for a step of one network, where as many train at once as there are slots for."""
        among = among or self.among
        shared = {each: found[str(each)][0] / max(1, min(self.slots, int(found[str(each)][1]))) for each in among}
        best = min(among, key=lambda each: shared[each] * (1 if each.precision == backends.FLOAT32 else GAIN))
        told = ", ".join(f"{each.label} {_time(shared[each])}" for each in among)
        slots = "" if self.slots == 1 else f" and network, {self.slots} at once"
        why = f"{best.label}: measured for {shape}, a step{slots}: {told}"
        log.info("event=engine-chosen engine=%s reason=%r", best.label, why)
        return Choice(best, why)


def _meant(name: str, device: str, precision: str) -> list[Backend]:
    """What a name has on a device, the likeliest first."""
    kind, allowed = backends.kind_of(device), backends.are_allowed(precision)
    if kind == "cpu":
        if name != "auto":
            return [Backend(name, precision=engines.PRECISIONS.get(name, backends.FLOAT32))]
        coarser = {each: engines.PRECISIONS.get(each) for each in engines.names(device)}
        return [Backend("cpu"), *(Backend(each, precision=p) for each, p in coarser.items() if p and p in allowed)]
    own = _of_cuda(name, device, allowed)
    if name == "auto":
        return [*own, Backend("reference", kind), Backend("cpu")]
    return own or [Backend("reference" if name in engines.CUDA else name, kind)]


def _of_cuda(name: str, device: str, allowed: Collection[str]) -> list[Backend]:
    """Of the engines of GPUs the named one, or for "auto" those of precisions that are allowed; only what agrees."""
    kind = backends.kind_of(device)
    wanted = {each: precision for each, precision in engines.CUDA.items() if name in (each, "auto")}
    return [
        Backend(each, kind, precision)
        for each, precision in wanted.items()
        if (each == name or precision in allowed) and engines.is_trusted(device, each, insisting=each == name)
    ]


def _in_teams(among: Sequence[Backend]) -> list[Backend]:
    """Of every size, whatever the device holds."""
    return [
        dataclasses.replace(each, team=team)
        for each, team in itertools.product(among, backends.TEAMS)
        if each.engine in engines.IN_TEAMS
    ]


def _time(seconds: float) -> str:
    return "took too long" if math.isinf(seconds) else f"{1e6 * seconds:.3g} us"


def shape_of(recipe: Recipe) -> str:
    """The class of a recipe: sizes within a power of two take about as long for a sample."""
    size, width = _power(recipe.batch_size), _power(recipe.width or 0)
    return f"batch size {size}, depth {recipe.depth}" + (f", width {width}" if recipe.depth else "")


def _power(size: int) -> int:
    """The power of two that it is nearest below."""
    return 1 << max(0, size.bit_length() - 1)


class _Enough(Exception):  # no error: the time is over
    pass


def step_seconds(
    trained_by: engine.Engine, recipe: Recipe, data: Dataset, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, int]:
    """Seconds of a step, inf where the limit was too short for some; and how many trainings fill the device."""
    steps, taken, once = FIRST_STEPS, 0.0, dataclasses.replace(recipe, epochs=1)
    deadline = math.inf

    def check() -> None:
        if time.monotonic() > deadline:
            raise _Enough

    try:
        while True:
            part = _part(data, steps * recipe.batch_size)
            for _ in range(2):  # its first sight of the images is no part of a step
                began = clock()
                next(iter(trained_by.train(once, part, tick=check)))
                taken = clock() - began
                deadline = min(deadline, time.monotonic() + LIMIT_SECONDS)
            whole = once.steps_per_epoch(len(part.train_labels))
            if taken >= ENOUGH_SECONDS or len(part.train_labels) == len(data.train_labels):
                return taken / whole, engine.capacity(trained_by)
            steps *= GROWTH
    except _Enough:
        return (taken / steps if steps > FIRST_STEPS else math.inf), engine.capacity(trained_by)


def _part(data: Dataset, rows: int) -> Dataset:
    return dataclasses.replace(
        data,
        train_images=data.train_images[:rows],
        train_labels=data.train_labels[:rows],
        test_images=data.test_images[:1],
        test_labels=data.test_labels[:1],
    )
