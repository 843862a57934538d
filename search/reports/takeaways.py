"""The lab's takeaways, each with the rule by which the trials confirm or contradict it."""

import dataclasses
import enum
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search.reports import lab
from search.reports.evidence import Experiment, Interval, Runs, difference, interval
from search.training import records

LEARNS = 0.2  # twice what guessing gives: below it a network has learnt nothing
NEAR = 0.02  # two points of accuracy: what "nearly", "similar" and "overfitting" are taken to mean
SEPARABLE = 0.95  # of the training images on the right side of ten planes
FACTOR_OF_TIME = 2.0
ENOUGH_TRIALS = 30
EXPLAINED = 0.5


class Verdict(enum.StrEnum):
    """What the trials say of a takeaway. NOT_CONFIRMED: they neither show it nor its opposite."""

    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"
    CONTRADICTED = "contradicted"
    NOT_TESTED = "not tested"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A verdict, and the figures it rests on."""

    verdict: Verdict
    evidence: str


@dataclasses.dataclass(frozen=True)
class Takeaway:
    """What the lab concluded of one of its experiments, the rule it is judged by, and its judge."""

    study: str
    claim: str
    rule: str
    judge: Callable[[Experiment], Finding]

    def find(self, experiments: Mapping[str, Experiment]) -> Finding:
        """What the experiment shows, where there is one."""
        experiment = experiments.get(self.study)
        if experiment is None or not experiment.runs:
            return Finding(Verdict.NOT_TESTED, f"no complete trial of study {self.study!r}")
        try:
            return self.judge(experiment)
        except _Missing as missing:
            return Finding(Verdict.NOT_TESTED, str(missing))


class _Missing(Exception):
    """The experiment lacks what the takeaway speaks of."""


Measure = Callable[[Runs], Mapping[int, float]]


def _final(runs: Runs) -> Mapping[int, float]:
    return runs.values


def _first(runs: Runs) -> Mapping[int, float]:
    return {repeat: curve[0] for repeat, curve in runs.curves().items()}


def _falls(runs: Runs) -> Mapping[int, float]:
    return runs.falls


def _at(experiment: Experiment, value: Any) -> Runs:
    if (runs := experiment.at(value)) is None:
        raise _Missing(f"no complete trial with {value}")
    return runs


def _against(experiment: Experiment, value: Any, measure: Measure) -> dict[Any, Interval]:
    """By each other value of the factor, how much more `value` has of something, all of it holding together."""
    own = measure(_at(experiment, value))
    others = {experiment.level(runs): measure(runs) for runs in experiment.runs if experiment.level(runs) != value}
    found = {other: difference(own, theirs, len(others)) for other, theirs in others.items()}
    kept = {other: each for other, each in found.items() if each is not None}
    if not kept:
        raise _Missing(f"no other value beside {value}")
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


def show(each: Interval, signed: bool = False) -> str:
    """An interval in words: `0.8712 ± 0.0021`, or the one seed that there is."""
    sign = "+" if signed else ""
    if each.count < 2:
        return f"{each.mean:{sign}.4f} (one seed)"
    return f"{each.mean:{sign}.4f} ± {each.half:.4f}"


def _list(differences: Mapping[Any, Interval]) -> str:
    return ", ".join(f"{show(each, signed=True)} against {other}" for other, each in differences.items())


def _best(value: Any) -> Callable[[Experiment], Finding]:
    def judge(experiment: Experiment) -> Finding:
        found = _against(experiment, value, _final)
        return Finding(_all([_more(each) for each in found.values()]), f"accuracy {_list(found)}")

    return judge


def _balance(experiment: Experiment) -> Finding:
    final, first = _against(experiment, 0.1, _final), _against(experiment, 0.1, _first)
    verdict = _all([_more(each) for each in (*final.values(), *first.values())])
    return Finding(verdict, f"after the last epoch {_list(final)}; after the first {_list(first)}")


def _steadier_and_near(experiment: Experiment) -> Finding:
    slow, quick = _at(experiment, 0.01), _at(experiment, 0.1)
    falls, lag = difference(slow.falls, quick.falls), difference(quick.values, slow.values)
    if falls is None or lag is None:
        raise _Missing("no seed in common")
    verdict = _all([_less(falls), _less(lag, NEAR)])
    return Finding(
        verdict,
        f"mean fall from epoch to epoch {show(falls, signed=True)} against 0.1; accuracy {show(lag)} below it",
    )


def _never_leaves(experiment: Experiment) -> Finding:
    curves = _at(experiment, 0.0001).curves()
    highest = max(max(curve) for curve in curves.values())
    last = interval([curve[-1] for curve in curves.values()])
    verdict = Verdict.CONFIRMED if highest <= LEARNS else _less(last, LEARNS)
    return Finding(verdict, f"highest accuracy of any epoch and seed {highest:.4f}, at the end {show(last)}")


def _quick_then_slow(experiment: Experiment) -> Finding:
    one = _at(experiment, 1)
    first, later = _against(experiment, 1, _first), difference(_first(one), one.values)
    start = interval(list(_first(one).values()))
    rest = Interval(-later.mean, later.half, later.count) if later else Interval(0.0, 0.0, 0)
    verdict = _all([*(_more(each) for each in first.values()), _less(rest, start.mean - 0.1)])
    seconds = statistics.fmean(one.figures(records.SECONDS).values() or [0.0])
    return Finding(
        verdict,
        f"after the first epoch {show(start)}, {_list(first)}; later epochs add {show(rest)}; ten epochs took "
        f"{seconds:.0f} s here, about 900 s in the lab",
    )


def _sweet_spot(experiment: Experiment) -> Finding:
    found, seconds = _against(experiment, 32, _final), {}
    for runs in experiment.runs:
        seconds[experiment.level(runs)] = statistics.fmean(runs.figures(records.SECONDS).values() or [0.0])
    verdicts = []
    for other, lead in found.items():
        costs = seconds[other] >= FACTOR_OF_TIME * seconds[32]
        verdicts.append(Verdict.CONFIRMED if costs or lead.low > 0 else _more(lead))
    times = ", ".join(f"{each:.1f} s at {value}" for value, each in seconds.items())
    return Finding(_all(verdicts), f"accuracy {_list(found)}; training time {times}")


def _slowest(experiment: Experiment) -> Finding:
    found = _against(experiment, 128, _final)
    return Finding(_all([_less(each) for each in found.values()]), f"accuracy after ten epochs {_list(found)}")


def _overfits(experiment: Experiment) -> Finding:
    gaps = _at(experiment, 7).gaps
    if not gaps:
        raise _Missing("no accuracy on the training images is recorded")
    gap, last = interval(list(gaps.values())), _at(experiment, 7).value
    return Finding(
        _more(gap, NEAR),
        f"accuracy on the training images less the evaluated one {show(gap, signed=True)}, the evaluated one "
        f"{show(last)}",
    )


def _best_and_steady(experiment: Experiment) -> Finding:
    found, falls = _against(experiment, 1, _final), _against(experiment, 1, _falls)
    steady = [Verdict.CONTRADICTED if each.low > 0 else Verdict.CONFIRMED for each in falls.values()]
    verdict = _all([*(_more(each) for each in found.values()), *steady])
    return Finding(verdict, f"accuracy {_list(found)}; mean fall from epoch to epoch {_list(falls)}")


def _separable(experiment: Experiment) -> Finding:
    curves = _at(experiment, 0).curves(records.TRAIN_ACCURACIES)
    if not curves:
        raise _Missing("no accuracy on the training images is recorded")
    share = interval([curve[-1] for curve in curves.values()])
    verdict = Verdict.CONFIRMED if share.low >= SEPARABLE else Verdict.NOT_CONFIRMED
    return Finding(verdict, f"the linear network has {show(share)} of its training images right after ten epochs")


def _wider_is_steadier(experiment: Experiment) -> Finding:
    steps = []
    for narrow, wide in ((32, 128), (128, 512)):
        step = difference(_at(experiment, wide).falls, _at(experiment, narrow).falls, tests=2)
        if step is None:
            raise _Missing("no seed in common")
        steps.append((f"from {narrow} to {wide}", step))
    evidence = ", ".join(f"{show(step, signed=True)} {name}" for name, step in steps)
    return Finding(_all([_less(step) for _, step in steps]), f"mean fall from epoch to epoch {evidence}")


def _similar(experiment: Experiment) -> Finding:
    gap = difference(_at(experiment, 512).values, _at(experiment, 32).values)
    if gap is None:
        raise _Missing("no seed in common")
    inside = gap.low > -NEAR and gap.high < NEAR
    outside = gap.low > NEAR or gap.high < -NEAR
    verdict = Verdict.CONFIRMED if inside else Verdict.CONTRADICTED if outside else Verdict.NOT_CONFIRMED
    return Finding(verdict, f"accuracy of 512 less that of 32: {show(gap, signed=True)}")


def _many_trials(experiment: Experiment) -> Finding:
    values = _searched(experiment)
    if len(values) <= len(lab.TRIALS):
        return Finding(Verdict.NOT_TESTED, f"{len(values)} trials with a value; it takes more than ten")
    first, best = max(values[: len(lab.TRIALS)]), max(values)
    verdict = Verdict.CONFIRMED if best - first > NEAR / 2 else Verdict.NOT_CONFIRMED
    return Finding(verdict, f"best of the first ten {first:.4f}, of all {len(values)} {best:.4f}")


def _combination(experiment: Experiment) -> Finding:
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
    trials = [trial for trial in trials if name in trial.params]
    levels = [trial.params[name] for trial in trials]
    if len(set(levels)) > 8:
        cuts = statistics.quantiles(levels, n=4)
        levels = [sum(level > cut for cut in cuts) for level in levels]
    groups: dict[Any, list[float]] = {}
    for level, trial in zip(levels, trials, strict=True):
        groups.setdefault(level, []).append(float(trial.value or 0.0))
    values = [value for group in groups.values() for value in group]
    if len(values) < 2 or not (total := statistics.pvariance(values) * len(values)):
        return 0.0
    mean = statistics.fmean(values)
    return sum(len(group) * (statistics.fmean(group) - mean) ** 2 for group in groups.values()) / total


_BEST = "really more accurate than each other value"
TAKEAWAYS = (
    Takeaway(
        "learning-rate",
        "0.1 is the best balance of speed and accuracy",
        "really more accurate than the others after the first epoch and after the last",
        _balance,
    ),
    Takeaway(
        "learning-rate",
        "0.01 is more stable than 0.1 and nearly as good",
        f"a really smaller mean fall from epoch to epoch; less than {NEAR} below in accuracy",
        _steadier_and_near,
    ),
    Takeaway(
        "learning-rate", "0.0001 never leaves its initial state", f"no epoch above {LEARNS} accuracy", _never_leaves
    ),
    Takeaway(
        "batch-size",
        "1 is quick at first and slows down as it stabilises",
        "really ahead of the others after the first epoch, which gives more than all later ones together",
        _quick_then_slow,
    ),
    Takeaway(
        "batch-size",
        "32 is the sweet spot",
        f"each other value is really less accurate, or takes at least {FACTOR_OF_TIME:g} times as long",
        _sweet_spot,
    ),
    Takeaway("batch-size", "128 converges very slowly", "really less accurate than each other value", _slowest),
    Takeaway(
        "depth",
        "7 hidden layers overfit clearly",
        f"the accuracy on the training images is more than {NEAR} above the evaluated one",
        _overfits,
    ),
    Takeaway(
        "depth",
        "1 hidden layer has the best accuracy and is stable",
        f"{_BEST}; its mean fall from epoch to epoch is really larger than no other's",
        _best_and_steady,
    ),
    Takeaway(
        "depth",
        "the data is close to linearly separable",
        f"the linear network has {SEPARABLE} of its training images right; fewer prove nothing, since ten epochs need "
        "not find the best planes",
        _separable,
    ),
    Takeaway("width", "512 is the best", _BEST, _best(512)),
    Takeaway(
        "width", "the wider the more stable", "a really smaller mean fall with each step in width", _wider_is_steadier
    ),
    Takeaway("width", "32 is similar to 512", f"the difference lies within {NEAR} either way", _similar),
    Takeaway("activation", "ReLU outperforms Sigmoid and GELU", _BEST, _best("ReLU")),
    Takeaway(
        "lab",
        "the best comes from many trials",
        f"the best of all trials is more than {NEAR / 2} above the best of the first ten",
        _many_trials,
    ),
    Takeaway(
        "lab",
        "the combination matters most",
        f"no parameter alone explains {EXPLAINED:.0%} of the variance of {ENOUGH_TRIALS} complete trials or more",
        _combination,
    ),
)
