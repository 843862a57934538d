"""Population pruners decide as Optuna's do, from one step's values."""

import itertools
import math
import pathlib
import warnings
from collections.abc import Callable

import numpy
import optuna
import pytest
from conftest import quick_text
from optuna.trial import TrialState

from search import errors
from search.ledger import studies, summaries
from search.storage import databases
from search.study import pruners, specs

Make = Callable[..., studies.Study]
EPOCHS = 10
OPTUNA: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
    "percentile": lambda: optuna.pruners.PercentilePruner(30.0, n_startup_trials=3),
    "successive-halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=EPOCHS, reduction_factor=3),
}
SETTINGS: dict[str, dict[str, float]] = {
    "median": {"warmup_epochs": 2},
    "percentile": {"percentile": 30.0, "startup_trials": 3},
    "successive-halving": {"reduction_factor": 2},
    "hyperband": {},
}


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("name", [name for name, each in pruners.PRUNERS.items() if not each.pauses])
def test_the_same_trials_are_pruned_as_by_optuna(name: str, direction: str) -> None:
    """Eight trials at a time report random curves, some nan: each decision is that of Optuna's pruner."""
    rng = numpy.random.default_rng(4)
    optuna_study = optuna.create_study(study_name="s", direction=direction, pruner=OPTUNA[name]())
    decisions = []
    for _ in range(15):
        running = [optuna_study.ask() for _ in range(8)]
        drift = rng.normal(0.02, 0.02, len(running))
        for step in range(1, EPOCHS + 1):
            for slot, trial in enumerate(list(running)):
                if trial is None:
                    continue
                value = float(step * drift[slot] + rng.normal(0, 0.03))
                trial.report(math.nan if rng.random() < 0.02 else value, step)
                trials = optuna_study.get_trials(deepcopy=False)
                question = pruners.Standing(
                    study_name="s",
                    maximize=direction == "maximize",
                    number=trial.number,
                    values=trials[trial.number].intermediate_values,
                    others=pruners.Others.of(
                        [
                            pruners.Other(t.number, t.state, t.intermediate_values[step])
                            for t in trials
                            if t.number != trial.number and step in t.intermediate_values
                        ]
                    ),
                    epochs=EPOCHS,
                    settings=SETTINGS[name],
                )
                ours = pruners.reason(name, question)
                theirs = trial.should_prune()
                assert (ours is not None) == theirs, (trial.number, step, ours)
                decisions.append(theirs)
                if theirs:
                    optuna_study.tell(trial, state=TrialState.PRUNED)
                    running[slot] = None
        for trial in running:
            if trial is not None:
                optuna_study.tell(trial, float(rng.normal()))
    assert 0.02 < numpy.mean(decisions) < 0.8


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('pruner = "medain"', "pruning.pruner must be one of median, percentile, successive-halving, hyperband, asha"),
        ('pruner = "median"\npercentile = 10.0', "pruning.percentile is an option of the pruners percentile, got"),
        ("warmup_epochs = 3", "pruning.warmup_epochs is an option of the pruners median, percentile, got None"),
        ('pruner = "median"\ncheckpoints = 3', "pruning.checkpoints is an option of the pruners asha, got 'median'"),
        ('pruner = "hyperband"\nreduction_factor = 1', "pruning.reduction_factor must be >= 2, got 1"),
    ],
)
def test_wrong_options_are_refused(more: str, message: str) -> None:
    """An unknown pruner, or an option that it does not take, is named with what would be right."""
    text = quick_text().replace("hopeless = true", f"hopeless = true\n{more}")
    with pytest.raises(errors.StudyFileError) as caught:
        specs.parse(text, "quick.toml")
    assert message in str(caught.value)


def test_a_pruner_ends_trials_of_a_study(tmp_path: pathlib.Path) -> None:
    """Named in the study file it prunes, with its reason on the trial, beside the rule for hopeless ones."""
    import threading

    from search.training import networks
    from search.worker import loops

    text = quick_text(trials=20, epochs=6).replace("hopeless = true", 'hopeless = true\npruner = "median"')
    database = databases.Database(f"sqlite:///{tmp_path}/search.db")
    study = studies.create(database, specs.parse(text, "x"))
    loops.Worker(database, study, networks.NetworkObjective(study.spec, tmp_path), threading.Event()).run()
    pruned = [t for t in summaries.whole(database, study).trials if t.state == TrialState.PRUNED]
    by_median = [t for t in pruned if t.user_attrs["search:reason"].startswith("median pruner after epoch ")]
    assert by_median
    assert len(by_median) < len(pruned)
    assert all(t.value == t.intermediate_values[t.last_step] for t in by_median)


@pytest.mark.parametrize("name", [name for name, each in pruners.PRUNERS.items() if not each.pauses])
@pytest.mark.parametrize("maximize", [True, False])
def test_any_number_is_judged_in_a_short_reason(name: str, maximize: bool) -> None:
    """Infinities, nan and the largest numbers, the others' too: no warning, and no reason of three hundred digits."""
    odd = [math.inf, -math.inf, math.nan, 1e308, -1e308, 5e-324, 0.0, 0.5]
    reasons, last = set(), 8 if name == "hyperband" else 2  # a rung of each bracket
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for own, first, second in itertools.product(odd, repeat=3):
            others = pruners.Others.of(
                [pruners.Other(9, TrialState.COMPLETE, value) for value in (first, second, first, 0.5)]
            )
            settings = {key: 1 if key == "startup_trials" else 2 for key in pruners.PRUNERS[name].options}
            standing = pruners.Standing("s", maximize, 9, {1: own, last: own}, others, EPOCHS, settings)
            reasons.add(pruners.reason(name, standing) or "")
    assert len(reasons) > 1
    assert all(len(reason) <= 120 for reason in reasons)
