"""The rules by which trials confirm or contradict a takeaway: a judge for each."""

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search.reports import lab
from search.reports.evidence import Experiment, Interval, Runs, difference, interval
from search.reports.verdicts import Finding, Missing, Verdict
from search.training import records

LEARNS = 0.2  # twice what guessing gives: below it a network has learnt nothing
NEAR = 0.02  # two points of accuracy: what "nearly", "similar" and "overfitting" are taken to mean
SEPARABLE = 0.95  # of the training images on the right side of ten planes
FACTOR_OF_TIME = 2.0
ENOUGH_TRIALS = 30
EXPLAINED = 0.5


Measure = Callable[[Runs], Mapping[int, float]]


def _final(runs: Runs) -> Mapping[int, float]:
    return runs.values


def _first(runs: Runs) -> Mapping[int, float]:
    return {repeat: curve[0] for repeat, curve in runs.curves().items()}


def _falls(runs: Runs) -> Mapping[int, float]:
    return runs.falls


def _at(experiment: Experiment, value: Any) -> Runs:
    if (runs := experiment.at(value)) is None:
        raise Missing(f"no complete trial with {value}")
    return runs


def _against(experiment: Experiment, value: Any, measure: Measure) -> dict[Any, Interval]:
    """By each other value of the factor, how much more `value` has of something, all of it holding together."""
    own = measure(_at(experiment, value))
    others = {experiment.level(runs): measure(runs) for runs in experiment.runs if experiment.level(runs) != value}
    found = {other: difference(own, theirs, len(others)) for other, theirs in others.items()}
    kept = {other: each for other, each in found.items() if each is not None}
    if not kept:
        raise Missing(f"no other value beside {value}")
    return kept


def _all(verdicts: Sequence[Verdict]) -> Verdict:
    if Verdict.CONTRADICTED in verdicts:
        return Verdict.CONTRADICTED
    return Verdict.CONFIRMED if set(verdicts) == {Verdict.CONFIRMED} else Verdict.NOT_CONFIRMED


def _more(each: Interval, than: float = 0.0) -> Verdict:
    """Whether an interval lies above a figure, below it, or around it."""
    if each.low > than:
        return Verdict.CONFIRMED
    return Verdict.CONTRADICTED if each.high < than else Verdict.NOT_CONFIRMED


def _less(each: Interval, than: float = 0.0) -> Verdict:
    return _more(Interval(-each.mean, each.half, each.count), -than)


def _list(differences: Mapping[Any, Interval]) -> str:
    return ", ".join(f"{each.show(signed=True)} against {other}" for other, each in differences.items())


def best(value: Any) -> Callable[[Experiment], Finding]:
    """More accurate than each other value."""

    def judge(experiment: Experiment) -> Finding:
        found = _against(experiment, value, _final)
        return Finding(_all([_more(each) for each in found.values()]), f"accuracy {_list(found)}")

    return judge


def balance(experiment: Experiment) -> Finding:
    """0.1 against the others, after the first epoch and after the last."""
    final, first = _against(experiment, 0.1, _final), _against(experiment, 0.1, _first)
    verdict = _all([_more(each) for each in (*final.values(), *first.values())])
    return Finding(verdict, f"after the last epoch {_list(final)}; after the first {_list(first)}")


def steadier_and_near(experiment: Experiment) -> Finding:
    """0.01 against 0.1: how it falls, and how far it stays behind."""
    slow, quick = _at(experiment, 0.01), _at(experiment, 0.1)
    falls, lag = difference(slow.falls, quick.falls), difference(quick.values, slow.values)
    if falls is None or lag is None:
        raise Missing("no seed in common")
    verdict = _all([_less(falls), _less(lag, NEAR)])
    return Finding(
        verdict,
        f"mean fall from epoch to epoch {falls.show(signed=True)} against 0.1; accuracy {lag.show()} below it",
    )


def never_leaves(experiment: Experiment) -> Finding:
    """Whether any epoch of 0.0001 is above guessing."""
    curves = _at(experiment, 0.0001).curves()
    highest = max(max(curve) for curve in curves.values())
    last = interval([curve[-1] for curve in curves.values()])
    verdict = Verdict.CONFIRMED if highest <= LEARNS else _less(last, LEARNS)
    return Finding(verdict, f"highest accuracy of any epoch and seed {highest:.4f}, at the end {last.show()}")


def quick_then_slow(experiment: Experiment) -> Finding:
    """Batch size 1: ahead after the first epoch, which gives more than the later ones."""
    one = _at(experiment, 1)
    first, later = _against(experiment, 1, _first), difference(_first(one), one.values)
    start = interval(list(_first(one).values()))
    rest = Interval(-later.mean, later.half, later.count) if later else Interval(0.0, 0.0, 0)
    verdict = _all([*(_more(each) for each in first.values()), _less(rest, start.mean - 0.1)])
    seconds = statistics.fmean(one.figures(records.SECONDS).values() or [0.0])
    return Finding(
        verdict,
        f"after the first epoch {start.show()}, {_list(first)}; later epochs add {rest.show()}; ten epochs took "
        f"{seconds:.0f} s here, about 900 s in the lab",
    )


def sweet_spot(experiment: Experiment) -> Finding:
    """Batch size 32: each other is less accurate, or takes much longer."""
    found, seconds = _against(experiment, 32, _final), {}
    for runs in experiment.runs:
        seconds[experiment.level(runs)] = statistics.fmean(runs.figures(records.SECONDS).values() or [0.0])
    verdicts = []
    for other, lead in found.items():
        costs = seconds[other] >= FACTOR_OF_TIME * seconds[32]
        verdicts.append(Verdict.CONFIRMED if costs or lead.low > 0 else _more(lead))
    times = ", ".join(f"{each:.1f} s at {value}" for value, each in seconds.items())
    return Finding(_all(verdicts), f"accuracy {_list(found)}; training time {times}")


def slowest(experiment: Experiment) -> Finding:
    """Batch size 128: less accurate than each other."""
    found = _against(experiment, 128, _final)
    return Finding(_all([_less(each) for each in found.values()]), f"accuracy after ten epochs {_list(found)}")


def overfits(experiment: Experiment) -> Finding:
    """Depth 7: the gap between training images and others."""
    gaps = _at(experiment, 7).gaps
    if not gaps:
        raise Missing("no accuracy on the training images is recorded")
    gap, last = interval(list(gaps.values())), _at(experiment, 7).value
    return Finding(
        _more(gap, NEAR),
        f"accuracy on the training images less the evaluated one {gap.show(signed=True)}, the evaluated one "
        f"{last.show()}",
    )


def best_and_steady(experiment: Experiment) -> Finding:
    """Depth 1: more accurate than each other, and no less steady."""
    found, falls = _against(experiment, 1, _final), _against(experiment, 1, _falls)
    steady = [Verdict.CONTRADICTED if each.low > 0 else Verdict.CONFIRMED for each in falls.values()]
    verdict = _all([*(_more(each) for each in found.values()), *steady])
    return Finding(verdict, f"accuracy {_list(found)}; mean fall from epoch to epoch {_list(falls)}")


def separable(experiment: Experiment) -> Finding:
    """Depth 0: its share of the training images."""
    curves = _at(experiment, 0).curves(records.TRAIN_ACCURACIES)
    if not curves:
        raise Missing("no accuracy on the training images is recorded")
    share = interval([curve[-1] for curve in curves.values()])
    verdict = Verdict.CONFIRMED if share.low >= SEPARABLE else Verdict.NOT_CONFIRMED
    return Finding(verdict, f"the linear network has {share.show()} of its training images right after ten epochs")


def wider_is_steadier(experiment: Experiment) -> Finding:
    """Each step in width: less falling."""
    steps = []
    for narrow, wide in ((32, 128), (128, 512)):
        step = difference(_at(experiment, wide).falls, _at(experiment, narrow).falls, tests=2)
        if step is None:
            raise Missing("no seed in common")
        steps.append((f"from {narrow} to {wide}", step))
    evidence = ", ".join(f"{step.show(signed=True)} {name}" for name, step in steps)
    return Finding(_all([_less(step) for _, step in steps]), f"mean fall from epoch to epoch {evidence}")


def similar(experiment: Experiment) -> Finding:
    """Width 512 against 32: within two points."""
    gap = difference(_at(experiment, 512).values, _at(experiment, 32).values)
    if gap is None:
        raise Missing("no seed in common")
    inside = gap.low > -NEAR and gap.high < NEAR
    outside = gap.low > NEAR or gap.high < -NEAR
    verdict = Verdict.CONFIRMED if inside else Verdict.CONTRADICTED if outside else Verdict.NOT_CONFIRMED
    return Finding(verdict, f"accuracy of 512 less that of 32: {gap.show(signed=True)}")


def many_trials(experiment: Experiment) -> Finding:
    """The best of all against the best of the first ten."""
    values = _searched(experiment)
    if len(values) <= len(lab.TRIALS):
        return Finding(Verdict.NOT_TESTED, f"{len(values)} trials with a value; it takes more than ten")
    first, best = max(values[: len(lab.TRIALS)]), max(values)
    verdict = Verdict.CONFIRMED if best - first > NEAR / 2 else Verdict.NOT_CONFIRMED
    return Finding(verdict, f"best of the first ten {first:.4f}, of all {len(values)} {best:.4f}")


def combination(experiment: Experiment) -> Finding:
    """Whether one parameter alone explains the values."""
    trials = [t for t in experiment.trials if t.state == TrialState.COMPLETE and t.value is not None]
    if len(trials) < ENOUGH_TRIALS:
        return Finding(Verdict.NOT_TESTED, f"{len(trials)} complete trials; it takes {ENOUGH_TRIALS}")
    shares = {p.name: _explained(trials, p.name) for p in experiment.summary.study.spec.space.parameters}
    name = max(shares, key=lambda each: shares[each])
    verdict = Verdict.CONFIRMED if shares[name] < EXPLAINED else Verdict.CONTRADICTED
    return Finding(verdict, f"{name} alone explains {100 * shares[name]:.0f} % of the variance of {len(trials)} trials")


def _searched(experiment: Experiment) -> list[float]:
    return [float(t.value) for t in experiment.trials if t.state.is_finished() and t.value is not None]


def _explained(trials: Sequence[FrozenTrial], name: str) -> float:
    """Share of the values' variance between groups of trials alike in one parameter; a wide one in quarters."""
    trials = [t for t in trials if name in t.params and t.value is not None and math.isfinite(t.value)]
    levels = [trial.params[name] for trial in trials]
    if len(set(levels)) > 8:
        cuts = statistics.quantiles(levels, n=4)
        levels = [sum(level > cut for cut in cuts) for level in levels]
    groups: dict[Any, list[float]] = {}
    for level, trial in zip(levels, trials, strict=True):
        groups.setdefault(level, []).append(float(trial.value or 0.0))
    values = [value for group in groups.values() for value in group]
    unit = max(map(abs, values), default=0.0) or 1.0  # squares of the largest numbers would be none
    scaled = [[value / unit for value in group] for group in groups.values()]
    flat = list(itertools.chain(*scaled))
    if len(flat) < 2 or not (total := statistics.pvariance(flat) * len(flat)):
        return 0.0
    mean = statistics.fmean(flat)
    return sum(len(group) * (statistics.fmean(group) - mean) ** 2 for group in scaled) / total
