"""Names to Optuna's population pruners, decided from what the other trials had at one step.

Optuna's own read every trial of the study at each report. Here one step's values are read, in one query; the decisions
are Optuna's (optuna.pruners.PercentilePruner, SuccessiveHalvingPruner, HyperbandPruner), and tests hold them together.
"""

import binascii
import dataclasses
import math
from collections.abc import Callable, Mapping

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
    others: list[Other]
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
    return PRUNERS[name].decide(standing)


def _percentile(standing: Standing, top: float, word: str) -> str | None:
    complete = [o.value for o in standing.others if o.state == TrialState.COMPLETE]
    if not complete or len(complete) < standing.option("startup_trials"):
        return None
    if standing.step < standing.option("warmup_epochs"):
        return None
    own = numpy.array(list(standing.values.values()))
    if numpy.isnan(own).all():
        return f"{word} pruner after epoch {standing.step}: every value so far is nan"
    ranked = [value for value in complete if not math.isnan(value)]
    if not ranked:
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


def _halving(standing: Standing, factor: int, rate: int, competing: list[float]) -> str | None:
    """Rungs at steps factor^rate, factor^(rate + 1), ...: the best 1/factor at a rung go on."""
    rung = factor**rate
    while rung < standing.step:
        rung *= factor
    if rung != standing.step:
        return None
    value = standing.values[rung]
    if math.isnan(value):
        return f"halving after epoch {rung}: the value is nan"
    ranked = sorted([value, *(v for v in competing if not math.isnan(v))], reverse=standing.maximize)
    # with fewer than `factor` at the rung, only the best goes on
    bound = ranked[max(len(ranked) // factor - 1, 0)]
    if value >= bound if standing.maximize else value <= bound:
        return None
    return f"halving after epoch {rung}: {words.metric(value)} is not among the best 1/{factor} of {len(ranked)} trials"


def _hyperband(standing: Standing) -> str | None:
    factor = int(standing.settings.get("reduction_factor", 3))
    brackets = math.floor(math.log(standing.epochs or 1, factor)) + 1
    shares = [math.ceil(brackets * factor ** (brackets - 1 - b) / (brackets - b)) for b in range(brackets)]

    def bracket(number: int) -> int:
        left = binascii.crc32(f"{standing.study_name}_{number}".encode()) % sum(shares)
        for index, share in enumerate(shares):
            if (left := left - share) < 0:
                return index
        raise AssertionError("the shares cover every remainder")

    mine = bracket(standing.number)
    return _halving(standing, factor, mine, [o.value for o in standing.others if bracket(o.number) == mine])


@dataclasses.dataclass(frozen=True)
class Pruner:
    """How one decides, and which options of [pruning] it takes."""

    decide: Callable[[Standing], str | None]
    options: tuple[str, ...]


DEFAULTS: dict[str, float] = {"startup_trials": 5, "warmup_epochs": 0, "percentile": 25.0, "reduction_factor": 4}
PRUNERS = {
    "median": Pruner(lambda q: _percentile(q, 50.0, "median"), ("startup_trials", "warmup_epochs")),
    "percentile": Pruner(
        lambda q: _percentile(q, q.option("percentile"), "percentile"),
        ("startup_trials", "warmup_epochs", "percentile"),
    ),
    "successive-halving": Pruner(
        lambda q: _halving(q, int(q.option("reduction_factor")), 0, [o.value for o in q.others]), ("reduction_factor",)
    ),
    "hyperband": Pruner(_hyperband, ("reduction_factor",)),
}
