"""How much each parameter decides whether a trial is among the best, by Optuna's PED-ANOVA."""

import warnings
from collections.abc import Sequence

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from search.reports import samples

FEWEST = 10  # complete trials: below that it is chance
MOST = 5_000  # of more trials an even share: Optuna copies each, and a quarter of these says the same
TOP_SHARE = 0.25


def of(complete: Sequence[FrozenTrial]) -> str:
    """Of which trials: `120 complete trials`, `5,000 of 30,066 complete trials, evenly chosen`."""
    if len(complete) <= MOST:
        return f"{len(complete)} complete trials"
    return f"{MOST:,} of {len(complete):,} complete trials, evenly chosen"


def shares(complete: Sequence[FrozenTrial], names: Sequence[str], direction: str) -> dict[str, float]:
    """By parameter its importance, 0 to 1, the largest first; without those that fewer than `FEWEST` trials have."""
    found: dict[str, float] = {}
    known: dict[tuple[int, ...], dict[str, float]] = {}
    for name in names:
        own = samples.evenly([trial for trial in complete if name in trial.params], MOST)
        if len(own) < FEWEST:
            continue
        numbers = tuple(trial.number for trial in own)
        if numbers not in known:  # parameters of one branch have the same trials
            known[numbers] = _evaluated(own, direction)
        found[name] = known[numbers].get(name, 0.0)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _evaluated(own: Sequence[FrozenTrial], direction: str) -> dict[str, float]:
    study = optuna.create_study(direction=StudyDirection[direction.upper()], storage=optuna.storages.InMemoryStorage())
    study.add_trials(list(map(_bare, own)))
    common = [key for key in own[0].params if all(key in trial.params for trial in own)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=TOP_SHARE)
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator, params=common))


def _bare(trial: FrozenTrial) -> FrozenTrial:
    """A trial without its curve and attributes, which Optuna would copy for nothing."""
    return optuna.trial.create_trial(value=trial.value, params=trial.params, distributions=trial.distributions)
