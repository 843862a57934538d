"""Names to Optuna's population pruners, decided from what the other trials had at one step.

Optuna's own read every trial of the study at each report. Here one step's values are read, each once; the decisions
are Optuna's (optuna.pruners.PercentilePruner, SuccessiveHalvingPruner, HyperbandPruner), and tests hold them together.
"""

import binascii
import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy
from optuna.trial import TrialState

from search import words


@dataclasses.dataclass(frozen=True)
class Other:
    """Another trial at the step in question."""

    number: int
    state: TrialState
    value: float


@dataclasses.dataclass(frozen=True)
class Others:
    """The other trials at the step in question, an array of each property.

    Attributes:
        numbers: int64.
        complete: whether a trial is, bool; the others run, were pruned or have failed.
        values: float64.
    """

    numbers: numpy.ndarray
    complete: numpy.ndarray
    values: numpy.ndarray

    @classmethod
    def of(cls, others: Sequence[Other]) -> "Others":
        """One by one."""
        return cls(
            numpy.array([other.number for other in others], numpy.int64),
            numpy.array([other.state == TrialState.COMPLETE for other in others], bool),
            numpy.array([other.value for other in others], float),
        )

    def only(self, chosen: numpy.ndarray) -> "Others":
        """Some of them, (n,) bool."""
        return Others(self.numbers[chosen], self.complete[chosen], self.values[chosen])

    def and_also(self, more: "Others") -> "Others":
        """These and others."""
        return Others(
            numpy.concatenate([self.numbers, more.numbers]),
            numpy.concatenate([self.complete, more.complete]),
            numpy.concatenate([self.values, more.values]),
        )


@dataclasses.dataclass(frozen=True)
class Standing:
    """A trial that has just reported.

    Attributes:
        values: its own, by step.
        others: what the others had at its last step.
        epochs: steps of a whole trial; hyperband needs it.
        settings: options of the pruner, from the study file.
    """

    study_name: str
    maximize: bool
    number: int
    values: Mapping[int, float]
    others: Others
    epochs: int | None
    settings: Mapping[str, float]

    @property
    def step(self) -> int:
        """The step that was reported last."""
        return max(self.values)

    def option(self, name: str) -> float:
        """What the file says, or Optuna's default."""
        return self.settings.get(name, DEFAULTS[name])


def reason(name: str, standing: Standing) -> str | None:
    """Why the trial should be pruned after its last step, or None."""
    decide = PRUNERS[name].decide
    return None if decide is None else decide(standing)


def _percentile(standing: Standing, top: float, word: str) -> str | None:
    complete = standing.others.values[standing.others.complete]
    if not len(complete) or len(complete) < standing.option("startup_trials"):
        return None
    if standing.step < standing.option("warmup_epochs"):
        return None
    own = numpy.array(list(standing.values.values()))
    if numpy.isnan(own).all():
        return f"{word} pruner after epoch {standing.step}: every value so far is nan"
    ranked = complete[~numpy.isnan(complete)]
    if not len(ranked):
        return None
    best = float(numpy.nanmax(own) if standing.maximize else numpy.nanmin(own))
    with numpy.errstate(all="ignore"):  # between infinite neighbours lies no bound: nan, and nobody is pruned
        bound = float(numpy.percentile(ranked, 100 - top if standing.maximize else top))
    if math.isnan(bound) or not (best < bound if standing.maximize else best > bound):
        return None
    return (
        f"{word} pruner after epoch {standing.step}: best {words.metric(best)} is worse than "
        f"{words.metric(bound)}, "
        f"the {word} of {len(complete)} complete trials"
    )


def _halving(
    standing: Standing, factor: int, rate: int, competing: Callable[[], numpy.ndarray] | None = None
) -> str | None:
    """Rungs at steps factor^rate, factor^(rate + 1), ...: the best 1/factor at a rung go on.

    Args:
        competing: whether each of the others competes; None for all of them.
    """
    rung = factor**rate
    while rung < standing.step:
        rung *= factor
    if rung != standing.step:
        return None
    value = standing.values[rung]
    if math.isnan(value):
        return f"halving after epoch {rung}: the value is nan"
    others = standing.others.values if competing is None else standing.others.values[competing()]
    ranked = numpy.append(others[~numpy.isnan(others)], value)
    # with fewer than `factor` at the rung, only the best goes on
    place = max(len(ranked) // factor - 1, 0)
    place = len(ranked) - 1 - place if standing.maximize else place
    bound = float(numpy.partition(ranked, place)[place])
    if value >= bound if standing.maximize else value <= bound:
        return None
    return f"halving after epoch {rung}: {words.metric(value)} is not among the best 1/{factor} of {len(ranked)} trials"


def _hyperband(standing: Standing) -> str | None:
    factor = int(standing.settings.get("reduction_factor", 3))
    brackets = math.floor(math.log(standing.epochs or 1, factor)) + 1
    shares = tuple(math.ceil(brackets * factor ** (brackets - 1 - b) / (brackets - b)) for b in range(brackets))
    known = _brackets(standing.study_name, shares)
    mine = int(known.of(numpy.array([standing.number]))[0])
    return _halving(standing, factor, mine, lambda: known.of(standing.others.numbers) == mine)


class _Brackets:
    """Which of hyperband's brackets each trial is in, by its number; each is computed once."""

    def __init__(self, study_name: str, shares: tuple[int, ...]) -> None:
        self._name, self._ends = study_name, numpy.cumsum(shares)
        self._known = numpy.empty(0, numpy.int64)

    def of(self, numbers: numpy.ndarray) -> numpy.ndarray:
        """The brackets of some trials."""
        known = self._known  # another thread may put a longer one in its place
        if len(numbers) and (last := int(numbers.max())) >= len(known):
            more = range(len(known), last + 1 + len(known) // 8)
            left = [binascii.crc32(f"{self._name}_{number}".encode()) % int(self._ends[-1]) for number in more]
            self._known = known = numpy.concatenate([known, numpy.searchsorted(self._ends, left, "right")])
        return numpy.asarray(known[numbers])


_brackets = functools.lru_cache(_Brackets)


@dataclasses.dataclass(frozen=True)
class Pruner:
    """How one decides, and which options of [pruning] it takes; without a decision it pauses trials: see `ladders`."""

    decide: Callable[[Standing], str | None] | None
    options: tuple[str, ...]

    @property
    def pauses(self) -> bool:
        """Whether it pauses trials and ends none."""
        return self.decide is None


# of asynchronous successive halving, in its authors' and Optuna's words
PAUSING = {"reduction_factor": 3, "min_resource": 1, "checkpoints": 30}
DEFAULTS: dict[str, float] = {"startup_trials": 5, "warmup_epochs": 0, "percentile": 25.0, "reduction_factor": 4}
PRUNERS = {
    "median": Pruner(lambda q: _percentile(q, 50.0, "median"), ("startup_trials", "warmup_epochs")),
    "percentile": Pruner(
        lambda q: _percentile(q, q.option("percentile"), "percentile"),
        ("startup_trials", "warmup_epochs", "percentile"),
    ),
    "successive-halving": Pruner(lambda q: _halving(q, int(q.option("reduction_factor")), 0), ("reduction_factor",)),
    "hyperband": Pruner(_hyperband, ("reduction_factor", "max_resource")),
    "asha": Pruner(None, (*PAUSING, "max_resource")),
}
OPTIONS = tuple(dict.fromkeys(option for pruner in PRUNERS.values() for option in pruner.options))
