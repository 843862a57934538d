"""Intervals, differences over seeds, and what kind of experiment a study is."""

import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from conftest import ROOT
from optuna.trial import FrozenTrial, TrialState
from trials import whole

from search.reports import evidence, takeaways, verdicts
from search.study import specs


def trial(spec: specs.StudySpec, params: dict[str, Any], curve: list[float], repeat: int, **attrs: Any) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE,
        value=curve[-1],
        params=params,
        distributions={p.name: p.distribution for p in spec.space.parameters if p.name in params},
        intermediate_values=dict(enumerate(curve, 1)),
        user_attrs={f"search:{key}": value for key, value in {**attrs, "repeat": repeat}.items() if value},
    )


def experiment(
    name: str, curves: dict[Any, list[list[float]]], file: str | None = None, **attrs: Callable[[Any], Any]
) -> evidence.Experiment:
    """A study of the lab with these curves: by value of its factor, a curve per seed."""
    spec = specs.load(ROOT / "studies" / f"{file or name}.toml")
    factor = name.replace("-", "_")
    base = {"learning_rate": 1e-3, "batch_size": 64, "depth": 3, "width": 128, "activation": "ReLU"}
    trials = []
    for value, seeds in curves.items():
        params, _ = spec.space.trim({**base, factor: value})
        for repeat, curve in enumerate(seeds):
            more = {key: give(value) for key, give in attrs.items()}
            trials.append(trial(spec, params, curve, repeat, **more))
    return evidence.Experiment.of(whole(spec, trials))


def test_an_interval_is_students() -> None:
    """Mean and half width of 95 %, wider where several must hold together, unknown for one value."""
    found = evidence.interval([0.80, 0.82, 0.84])
    assert found.mean == pytest.approx(0.82)
    assert found.half == pytest.approx(4.3027 * 0.02 / math.sqrt(3), rel=1e-4)  # t of 2 degrees of freedom
    assert (found.low, found.high) == (pytest.approx(found.mean - found.half), pytest.approx(found.mean + found.half))
    assert evidence.interval([0.80, 0.82, 0.84], tests=2).half == pytest.approx(6.2053 * 0.02 / math.sqrt(3), rel=1e-4)
    one = evidence.interval([0.8])
    assert (one.count, one.mean, math.isnan(one.half), one.is_real) == (1, 0.8, True, False)


def test_a_difference_pairs_the_seeds() -> None:
    """What all seeds share is no noise of the difference; seeds that only one side has are left out."""
    values, other = {0: 0.50, 1: 0.70, 2: 0.90}, {0: 0.48, 1: 0.681, 2: 0.88, 3: 0.1}
    found = evidence.difference(values, other)
    assert found is not None
    assert (found.count, found.is_real) == (3, True)
    assert found.mean == pytest.approx(0.0196667, rel=1e-4)
    assert evidence.difference({0: 1.0}, {1: 1.0}) is None
    assert not evidence.interval([0.1, -0.1, 0.02]).is_real


def test_a_space_says_what_kind_of_experiment_a_study_is() -> None:
    """One varying parameter of few values is a factor, none is a single setting, more are a search."""
    depth = experiment("depth", {0: [[0.5]], 7: [[0.1]], 1: [[0.6]]})
    assert (depth.factor and depth.factor.name, depth.is_single, depth.is_search) == ("depth", False, False)
    assert [depth.level(runs) for runs in depth.runs] == [0, 1, 7]
    assert depth.at(3) is None
    baseline = specs.load(ROOT / "studies" / "baseline.toml")
    single = evidence.Experiment.of(whole(baseline, budget=1))
    assert (single.factor, single.is_single, single.is_search) == (None, True, False)
    spec = specs.load(ROOT / "studies" / "lab.toml")
    search = evidence.Experiment.of(whole(spec, budget=10))
    assert (search.is_search, search.runs, search.seeds) == (True, (), 0)


def test_runs_gather_what_seeds_share() -> None:
    """Curves, gaps and falls by seed, and their means."""
    found = experiment("depth", {1: [[0.5, 0.4, 0.7], [0.5, 0.6, 0.7]]}, train_accuracies=lambda _: [0.5, 0.6, 0.8])
    runs = found.runs[0]
    assert runs.values == {0: 0.7, 1: 0.7}
    assert runs.mean_curve() == [0.5, 0.5, 0.7]
    assert runs.gaps == {0: pytest.approx(0.1), 1: pytest.approx(0.1)}
    assert runs.falls == {0: pytest.approx(0.05), 1: 0.0}
    assert found.seeds == 2


def ends(*values: float, noise: float = 0.002) -> list[list[float]]:
    """Curves of five seeds that end at a value, with a little noise; the first epochs as given before it."""
    return [[*values[:-1], values[-1] + noise * shift] for shift in (-1.0, 0.5, 0.0, -0.5, 1.0)]


JUDGED = {
    # each: takeaway, curves by value, verdict
    "balance": ("0.1 is the best", {0.1: ends(0.8, 0.87), 0.01: ends(0.5, 0.8), 1e-4: ends(0.1, 0.1)}, "confirmed"),
    "balance lost": ("0.1 is the best", {0.1: ends(0.8, 0.7), 0.01: ends(0.5, 0.8)}, "contradicted"),
    "balance unclear": ("0.1 is the best", {0.1: ends(0.8, 0.8), 0.01: ends(0.5, 0.8)}, "not confirmed"),
    "one seed": ("0.1 is the best", {0.1: [[0.8, 0.9]], 0.01: [[0.1, 0.2]]}, "not confirmed"),
    "nothing to compare": ("0.1 is the best", {0.1: ends(0.8, 0.9)}, "not tested"),
    "never": ("0.0001 never", {1e-4: ends(0.1, 0.12)}, "confirmed"),
    "it does": ("0.0001 never", {1e-4: ends(0.1, 0.4)}, "contradicted"),
    "missing": ("0.0001 never", {0.1: ends(0.1, 0.4)}, "not tested"),
    "slow": ("128 converges", {128: ends(0.5), 32: ends(0.8), 1: ends(0.85)}, "confirmed"),
    "quick": ("128 converges", {128: ends(0.9), 32: ends(0.8), 1: ends(0.85)}, "contradicted"),
    "wide": ("512 is the best", {32: ends(0.5), 128: ends(0.6), 512: ends(0.7)}, "confirmed"),
    "similar": ("32 is similar", {32: ends(0.7), 512: ends(0.705)}, "confirmed"),
    "not similar": ("32 is similar", {32: ends(0.6), 512: ends(0.7)}, "contradicted"),
    "ReLU": ("ReLU outperforms", {"ReLU": ends(0.7), "GELU": ends(0.5), "Sigmoid": ends(0.1)}, "confirmed"),
    "GELU": ("ReLU outperforms", {"ReLU": ends(0.5), "GELU": ends(0.7), "Sigmoid": ends(0.1)}, "contradicted"),
}


@pytest.mark.parametrize("case", JUDGED)
def test_a_takeaway_is_judged_by_the_trials(case: str) -> None:
    """Each verdict follows from the curves, not from what the lab wrote."""
    claim, curves, verdict = JUDGED[case]
    takeaway = next(each for each in takeaways.TAKEAWAYS if each.claim.startswith(claim))
    found = takeaway.find({takeaway.study: experiment(takeaway.study, curves)})
    assert (str(found.verdict), bool(found.evidence)) == (verdict, True)


@pytest.mark.parametrize(
    ("training", "evaluated", "verdict"),
    [(0.95, 0.85, "confirmed"), (0.85, 0.85, "contradicted"), (0.871, 0.85, "not confirmed")],
)
def test_overfitting_is_a_gap_between_training_and_evaluation(training: float, evaluated: float, verdict: str) -> None:
    """More than two points above the evaluated accuracy, beyond the noise of the seeds."""
    takeaway = next(each for each in takeaways.TAKEAWAYS if "overfit" in each.claim)
    found = takeaway.find(
        {"depth": experiment("depth", {7: ends(evaluated, noise=0.01)}, train_accuracies=lambda _: [training])}
    )
    assert str(found.verdict) == verdict


def test_time_decides_what_a_sweet_spot_is() -> None:
    """A more accurate batch size is no better a choice where it takes twice the time, and is where it does not."""
    takeaway = next(each for each in takeaways.TAKEAWAYS if "sweet spot" in each.claim)
    curves = {1: ends(0.9), 32: ends(0.8), 128: ends(0.6)}
    for seconds, verdict in ({1: 9.0, 32: 2.0, 128: 1.0}, "confirmed"), ({1: 3.0, 32: 2.0, 128: 1.0}, "contradicted"):
        found = takeaway.find({"batch-size": experiment("batch-size", curves, seconds=seconds.get)})
        assert str(found.verdict) == verdict


def test_every_takeaway_survives_a_study_that_has_only_begun() -> None:
    """Without the trials that it speaks of a takeaway is not tested, and nothing is raised."""
    empty = {
        name: evidence.Experiment.of(whole(specs.load(ROOT / "studies" / f"{name}.toml"), budget=3))
        for name in {each.study for each in takeaways.TAKEAWAYS}
    }
    for takeaway in takeaways.TAKEAWAYS:
        assert takeaway.find(empty).verdict is verdicts.Verdict.NOT_TESTED
        assert takeaway.find({}).verdict is verdicts.Verdict.NOT_TESTED
