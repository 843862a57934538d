"""Plain Optuna studies that become ours."""

import pathlib
from concurrent import futures

import optuna
import pytest
from forgetful import Forgetful
from optuna.trial import TrialState
from trials import begin, state, succeed, take, while_it_ends

from search import errors
from search.ledger import allocations, checks, claims, sentences, studies, summaries, takeovers
from search.storage import databases
from search.study import drafts, specs


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", 0.0, 1.0 if trial.number < 3 else 2.0)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    if kind == "b":
        trial.suggest_int("n", 1, 9, log=True)
    if trial.number == 4:
        raise optuna.TrialPruned
    if trial.number == 5:
        raise ValueError("once")
    return x


def plain(url: str, trials: int = 8) -> optuna.Study:
    """A study of Optuna's with results, a failure, one that is left running and one that waits."""
    study = optuna.create_study(study_name="plain", storage=url, sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(objective, n_trials=trials, catch=ValueError)
    study.ask()
    study.enqueue_trial({"x": 0.5, "kind": "a"})
    return study


def spec(past: takeovers.Past, trials: int = 10) -> specs.StudySpec:
    study = {"name": ("plain", ""), "direction": ("minimize", "")}
    return specs.parse(drafts.text("own:f", study, (trials, ""), past.seen(), "Written."), "plain.toml")


def take_over(database: databases.Database, trials: int = 10) -> studies.Study:
    stored, _ = takeovers.check(database, "plain")
    return takeovers.take_over(database, stored, spec(takeovers.look(database, stored), trials))


def test_it_goes_on_within_its_budget(opened: databases.Database, url: str) -> None:
    """Seven of its eight trials have finished, and count: three are left of ten, one of them the one that waited."""
    before = plain(url).trials
    stored, _ = takeovers.check(opened, "plain")
    past = takeovers.look(opened, stored)
    assert past.space["x"] == optuna.distributions.FloatDistribution(0.0, 2.0)
    assert (past.done, past.running, past.changed, past.is_pruned) == (7, [8], [], True)
    study = takeovers.take_over(opened, stored, spec(past))
    assert str(next(p.when for p in study.spec.space.parameters if p.name == "n")) == "kind == 'b'"
    summary = summaries.whole(opened, study)
    assert (summary.done, summary.budget, summary.failures, summary.added, summary.imported) == (7, 10, 0, 0, 0)
    assert [(t.number, t.params, t.value, t.state) for t in before] == [
        (t.number, t.params, t.value, t.state) for t in summary.trials
    ]
    assert summary.best is not None
    assert summary.best.number == optuna.load_study(study_name="plain", storage=url).best_trial.number
    assert any("`search retry plain 8` puts it back" in line for line in sentences.foreign(summary))
    claim = begin(opened, study)
    assert state(opened, study, claim.number).params == {"x": 0.5, "kind": "a"}
    succeed(opened, claim)
    succeed(opened, begin(opened, study))
    waits = take(opened, study)  # the trial that runs may yet take the last place
    assert not isinstance(waits, claims.Claim)
    assert optuna.load_study(study_name="plain", storage=url).tell(8, 0.1).state == TrialState.COMPLETE
    assert take(opened, study) is allocations.NoTrial.FINISHED
    assert summaries.summary(opened, study).done == 10
    assert [check for check in checks.look(opened, study) if not check.holds] == []


def test_no_configuration_is_trained_again(opened: databases.Database, url: str) -> None:
    """Duplicates of plain Optuna stay, and each configuration is reserved once."""
    made = optuna.create_study(study_name="plain", storage=url, sampler=optuna.samplers.RandomSampler(seed=1))
    made.optimize(lambda trial: trial.suggest_int("n", 1, 3), n_trials=8)
    seen = {trial.params["n"] for trial in made.trials}
    assert seen == {1, 2, 3}
    study = take_over(opened, 12)
    assert take(opened, study) is allocations.NoTrial.EXHAUSTED
    assert [check for check in checks.look(opened, study) if not check.holds] == []


def test_what_another_distribution_had_is_outside(opened: databases.Database, url: str) -> None:
    """The last distribution holds; earlier trials that do not fit count, and are never the best."""
    made = optuna.create_study(study_name="plain", storage=url)
    for value in (0.3, 0.6):
        made.enqueue_trial({"n": value})
    made.optimize(lambda trial: trial.suggest_float("n", 0, 0.9, step=0.3) - 100, n_trials=2)
    made.optimize(lambda trial: trial.suggest_float("n", 0, 1, step=0.5), n_trials=2)
    stored, _ = takeovers.check(opened, "plain")
    past = takeovers.look(opened, stored)
    assert past.changed == ["n"]
    study = takeovers.take_over(opened, stored, spec(past))
    summary = summaries.summary(opened, study)
    assert (summary.done, summary.outside) == (4, {0, 1})
    assert summary.best is not None
    assert summary.best.number in (2, 3)


def test_a_lost_acknowledgement_and_two_at_once(url: str) -> None:
    """It becomes ours once: the second is told so."""
    plain(url)
    database = Forgetful(url)
    stored, _ = takeovers.check(database, "plain")
    text = spec(takeovers.look(database, stored))

    def adopt(_: int) -> str:
        other = databases.Database(url)
        try:
            return takeovers.take_over(other, stored, text).name
        except errors.InputError as error:
            return str(error)
        finally:
            other.close()

    with futures.ThreadPoolExecutor(2) as pool:
        found = sorted(pool.map(adopt, range(2)))
    assert found == ["plain", "study 'plain' was adopted in this moment by somebody else"]
    with pytest.raises(errors.InputError, match="is one of ours already: `search run plain` goes on"):
        takeovers.check(database, "plain")
    optuna.create_study(study_name="other", storage=url).optimize(objective, n_trials=2)
    stored, _ = takeovers.check(database, "other")
    study = database.lossy(lambda: takeovers.take_over(database, stored, text))
    assert summaries.summary(database, study).done == 2
    database.close()


def test_what_ends_in_that_moment_is_known(opened: databases.Database, url: str) -> None:
    """Optuna ends a trial while the study becomes ours: it counts, and its configuration is not tried again."""
    made = optuna.create_study(study_name="plain", storage=url)
    made.optimize(lambda trial: trial.suggest_int("n", 1, 2), n_trials=1)
    made.enqueue_trial({"n": 3 - made.trials[0].params["n"]})
    running = made.ask({"n": optuna.distributions.IntDistribution(1, 2)})
    study = while_it_ends(opened, running._trial_id, lambda: take_over(opened)).result()
    assert summaries.summary(opened, study).done == 2
    assert take(opened, study) is allocations.NoTrial.EXHAUSTED
    assert [check for check in checks.look(opened, study) if not check.holds] == []


def test_what_cannot_be_ours_is_refused(opened: databases.Database, url: str, tmp_path: pathlib.Path) -> None:
    """Several objectives, constraints, no trial with a parameter: each with its reason, and nothing is written."""
    optuna.create_study(study_name="two", storage=url, directions=["minimize", "maximize"])
    with pytest.raises(errors.InputError, match="adopt takes a study of one objective, got 2: minimize value 0, max"):
        takeovers.check(opened, "two")
    optuna.create_study(study_name="none", storage=url)
    stored, _ = takeovers.check(opened, "none")
    with pytest.raises(errors.InputError, match="adopt takes a study with a trial that has ended and has parameters"):
        takeovers.look(opened, stored)
    made = optuna.create_study(study_name="bound", storage=url)
    made.add_trial(
        optuna.trial.create_trial(
            params={"x": 0.5},
            distributions={"x": optuna.distributions.FloatDistribution(0, 1)},
            value=1.0,
            system_attrs={"constraints": [1.0]},
        )
    )
    stored, _ = takeovers.check(opened, "bound")
    with pytest.raises(errors.InputError, match="adopt takes a study without constraints.*got those of trial 0"):
        takeovers.look(opened, stored)
    assert studies.names(opened) == []
