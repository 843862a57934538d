"""What many trials show together that a mark each would not: their learning curves, and their values by parameter."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

from optuna import distributions
from optuna.trial import FrozenTrial, TrialState

from search import words
from search.reports import bands, figures, samples, scatters
from search.reports.pages import Block, Drawing
from search.space import scalars

CURVES = 5_000  # of whose values the quantiles are taken
DRAWN_CURVES = 30
STEPS = 200  # of the curves
PARAMETERS = 6  # that have a figure
GROUPS = 24  # of a parameter's values, of as many trials each
NAMED_GROUPS = 10  # choices that have a column


@dataclasses.dataclass(frozen=True)
class Studied:
    """What an overview needs of a study.

    Attributes:
        metric: what a value is.
        higher: whether the higher one is the better.
        trials: all.
        best: the trial with the best value.
    """

    name: str
    metric: str
    higher: bool
    trials: Sequence[FrozenTrial]
    best: FrozenTrial | None

    @property
    def complete(self) -> list[FrozenTrial]:
        """Trials with a final value."""
        return [trial for trial in self.trials if trial.state == TrialState.COMPLETE and trial.values]


def blocks(study: Studied, parameters: Sequence[str]) -> list[Block]:
    """Figures of a study that has more trials than are drawn one by one; none of a smaller one.

    Args:
        parameters: names, the most important first.
    """
    complete = study.complete
    if len(complete) <= scatters.MARKED:
        return []
    found: list[Block] = []
    if any(len(trial.intermediate_values) > 1 for trial in complete):
        found.append(_curves(study, complete))
    drawn = [each for name in parameters[:PARAMETERS] if (each := _by_parameter(study, complete, name)) is not None]
    return [*found, *drawn]


def _curves(study: Studied, complete: Sequence[FrozenTrial]) -> Drawing:
    own = [trial for trial in complete if len(trial.intermediate_values) > 1]
    taken = samples.evenly(own, CURVES)
    steps = samples.evenly(sorted({step for trial in taken for step in trial.intermediate_values}), STEPS)
    by_step: dict[float, list[float]] = {step: [] for step in steps}
    for trial in taken:
        for step, value in trial.intermediate_values.items():
            if step in by_step:
                by_step[step].append(value)
    drawn = samples.evenly(taken, DRAWN_CURVES)
    best = None
    if study.best is not None and len(study.best.intermediate_values) > 1:
        best = f"best, trial {study.best.number}", _ordered(study.best)
    text = f"{study.metric} over the steps of the complete trials"
    curves = [_ordered(trial) for trial in drawn]
    picture = bands.curves(
        f"{study.name}-curves", text, bands.Bands.of(by_step), curves, best, study.metric, study.higher
    )
    share = f"{len(taken):,} of them, evenly chosen" if len(taken) < len(own) else f"{len(own):,} of them"
    caption = (
        f"Learning curves: {text}; {bands.WORDS} of {share}, at each step of those that reached it, and "
        f"{len(drawn)} of {len(own):,} as thin lines."
    )
    return Drawing(picture, caption)


def _ordered(trial: FrozenTrial) -> dict[int, float]:
    steps = samples.evenly(sorted(trial.intermediate_values), STEPS)
    return {step: trial.intermediate_values[step] for step in steps}


def _by_parameter(study: Studied, complete: Sequence[FrozenTrial], name: str) -> Drawing | None:
    own = [trial for trial in complete if name in trial.params]
    values = scalars.distinct(trial.params[name] for trial in own)
    if len(values) < 2:
        return None
    groups: list[tuple[str | float, list[float]]]
    space = own[-1].distributions[name]
    is_range = isinstance(space, distributions.IntDistribution | distributions.FloatDistribution)
    if is_range and all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        groups, left = _by_number(own, name, len(values)), 0
    else:
        groups, left = _by_choice(own, name)
    text = f"{study.metric} by {name}"
    labels = name, study.metric
    logarithmic = is_range and bool(getattr(space, "log", False)) and values[0] > 0
    picture = bands.levels(f"{study.name}-by-{name}", text, groups, labels, logarithmic, study.higher)
    more = f" {words.plural(left, 'rarer value')} left out." if left else ""
    caption = (
        f"{text[0].upper()}{text[1:]}: {bands.WORDS} of the {len(own):,} complete trials that have it, and the best, "
        f"in {words.plural(len(groups), 'group')}.{more}"
    )
    return Drawing(picture, caption)


def _by_number(own: Sequence[FrozenTrial], name: str, different: int) -> list[tuple[str | float, list[float]]]:
    """Groups by size of the parameter: one for each number, or of as many trials each, at the middle of them."""
    ranked = sorted(own, key=lambda trial: trial.params[name])
    if different <= GROUPS:
        by_number = itertools.groupby(ranked, key=lambda trial: trial.params[name])
        return [(number, _values(list(group))) for number, group in by_number]
    cuts = [round(len(ranked) * part / GROUPS) for part in range(GROUPS + 1)]
    parts = [ranked[start:end] for start, end in itertools.pairwise(cuts) if end > start]
    return [(float(part[len(part) // 2].params[name]), _values(part)) for part in parts]


def _by_choice(own: Sequence[FrozenTrial], name: str) -> tuple[list[tuple[str | float, list[float]]], int]:
    """Groups by choice, in their order, the most frequent ones; and how many choices are left out."""
    groups: dict[tuple[type, Any], list[FrozenTrial]] = {}
    for trial in own:
        groups.setdefault((type(trial.params[name]), trial.params[name]), []).append(trial)
    most = sorted(groups, key=lambda key: -len(groups[key]))[:NAMED_GROUPS]
    ordered = sorted(most, key=lambda key: scalars.order(key[1]))
    return [(scalars.shown(key[1]), _values(groups[key])) for key in ordered], len(groups) - len(most)


def _values(trials: Sequence[FrozenTrial]) -> list[float]:
    found = [float(trial.values[0]) for trial in trials]
    return [value if abs(value) <= figures.LARGEST else math.nan for value in found]
