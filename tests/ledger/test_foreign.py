"""Other Optuna tools beside our workers: what they add, run, tell and enqueue keeps the count and the space."""

import optuna
import pytest
from conftest import quick_text
from optuna.trial import TrialState
from trials import ME, PARAMS, SAVED, Clock, Make, begin, state, succeed, take

from search import errors
from search.ledger import allocations, checkpoints, claims, configurations, queues, sentences, studies, summaries
from search.space import spaces
from search.storage import databases, schema
from search.study import specs


def plain(study: studies.Study, url: str) -> optuna.Study:
    return optuna.load_study(study_name=study.name, storage=url)


def add(study: studies.Study, url: str, params: spaces.Params, value: float, **more: object) -> None:
    kinds = {p.name: p.distribution for p in study.spec.space.parameters}
    chosen = {name: kinds[name] for name in params if name in kinds} | dict(more)
    plain(study, url).add_trial(optuna.trial.create_trial(params=params, distributions=chosen, value=value))


def test_added_results_use_no_budget_and_are_not_trained_again(
    opened: databases.Database, make_study: Make, url: str
) -> None:
    """`study.add_trial` of plain Optuna: known, best where it is best, outside the budget."""
    study = make_study(trials=2, sampler="grid")
    first = next(study.spec.space.configurations())
    add(study, url, first, 0.99)
    succeed(opened, begin(opened, study))
    succeed(opened, begin(opened, study))
    assert take(opened, study) is allocations.NoTrial.FINISHED
    summary = summaries.whole(opened, study)
    assert (summary.done, len(summary.trials), summary.added) == (2, 3, 1)
    assert [trial.number for trial in summary.trials] == [0, 1, 2]
    assert first not in [trial.params for trial in summary.trials[1:]]
    assert summary.best is not None
    assert (summary.best.number, summary.best.value) == (0, 0.99)
    assert any("1 result added by another tool" in line for line in sentences.foreign(summary))
    assert sentences.state_counts(summary) == "2 complete, 1 added"


def test_the_best_is_a_trial_of_the_space(opened: databases.Database, make_study: Make, url: str) -> None:
    """A result from elsewhere is never the best nor shown to the sampler, and status says so."""
    study = make_study(trials=12, sampler="tpe")
    odd = optuna.distributions.FloatDistribution(0.0, 9.0)
    add(study, url, {"x": 7.0}, 5.0, x=odd)
    add(study, url, {**PARAMS, "learning_rate": 0.3}, 6.0, learning_rate=odd)
    for _ in range(12):
        succeed(opened, begin(opened, study))
    summary = summaries.whole(opened, study)
    assert summary.best is not None
    assert summary.best.value == 0.5
    assert summary.outside == {0, 1}
    shown = opened.history(study.study_id).study(fresh=True, holds=study.spec.space.holds).get_trials()
    assert [trial.number for trial in shown] == list(range(2, 14))
    assert any("2 trials of another tool outside the space" in line for line in sentences.foreign(summary))


def test_what_another_tool_runs_is_waited_for(opened: databases.Database, make_study: Make, url: str) -> None:
    """`study.ask` of plain Optuna never beats: never adopted, counted while it runs and when it has ended."""
    study = make_study(trials=2)
    asked = plain(study, url).ask()
    mine = begin(opened, study)
    assert mine.number == 1
    assert allocations.take(opened, study, ME, Clock(opened, study).watch, {mine.owner}) is allocations.NoTrial.WAIT
    said = sentences.foreign(summaries.whole(opened, study))
    assert said == [
        "trial 0 is run by another tool and waited for; `search retry quick 0` puts it back where that tool has ended"
    ]
    plain(study, url).tell(asked, 0.7)
    succeed(opened, mine)
    assert take(opened, study) is allocations.NoTrial.FINISHED
    assert summaries.whole(opened, study).done == 2


def test_what_another_tool_trained_is_not_trained_again(opened: databases.Database, make_study: Make, url: str) -> None:
    """A configuration that `study.optimize` ended with is reserved like any other."""
    study = make_study(trials=3, sampler="grid")
    asked = plain(study, url).ask({p.name: p.distribution for p in study.spec.space.parameters[:3]})
    plain(study, url).tell(asked, 0.7)
    for _ in range(2):
        succeed(opened, begin(opened, study))
    params = [trial.params for trial in summaries.whole(opened, study).trials]
    assert len({study.spec.space.key(each) for each in params}) == 3


@pytest.mark.parametrize("ends", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
def test_a_trial_that_another_tool_ended_is_left_alone(
    opened: databases.Database, make_study: Make, url: str, ends: TrialState
) -> None:
    """Its owner loses it at its next word, and writes nothing more; no checkpoint stays."""
    study = make_study(trials=2)
    claim = begin(opened, study)
    claims.report(opened, claim, {1: 0.1}, 1.0, {}, SAVED)
    plain(study, url).tell(claim.number, 0.7 if ends is TrialState.COMPLETE else None, state=ends)
    assert claims.beat(opened, [(claim, 2.0)]) == [claim]
    for write in (
        lambda: claims.report(opened, claim, {2: 0.2}, 5.0, {"late": 1}, SAVED),
        lambda: claims.hand_over(opened, claim, 5.0, SAVED),
        lambda: claims.tell(opened, claim, TrialState.COMPLETE, 0.1, {}),
        lambda: configurations.assign(opened, study, claim, PARAMS),
    ):
        with pytest.raises(errors.TrialLost):
            write()
    ended = state(opened, study, 0)
    assert (ended.state, ended.intermediate_values, "late" in ended.user_attrs) == (ends, {1: 0.1}, False)
    assert opened.read(lambda c: c.execute(checkpoints.checkpoints.select()).all()) == []


def test_a_failure_that_another_tool_tells_counts_in_no_limit(
    opened: databases.Database, make_study: Make, url: str
) -> None:
    """It says nothing of the objective: the study goes on."""
    study = make_study(trials=1, more="max_failures = 0")
    plain(study, url).tell(begin(opened, study).number, state=TrialState.FAIL)
    plain(study, url).tell(plain(study, url).ask().number, state=TrialState.FAIL)
    assert summaries.whole(opened, study).failures == 0
    assert take(opened, study).number == 2


def test_what_ended_in_between_is_not_adopted(opened: databases.Database, make_study: Make, url: str) -> None:
    """An orphan that another tool completed keeps its curve."""
    study = make_study(trials=2)
    claim = begin(opened, study)
    claims.report(opened, claim, {1: 0.1}, 1.0, {})
    clock = Clock(opened, study)
    plain(study, url).tell(claim.number, 0.7)
    assert take(opened, study, watch=clock.watch).number == 1
    assert state(opened, study, 0).intermediate_values == {1: 0.1}


def test_another_study_is_never_harmed(opened: databases.Database, make_study: Make, url: str) -> None:
    """Studies of plain Optuna in the same database keep no row of ours."""
    make_study()
    other = optuna.create_study(study_name="theirs", storage=url)
    other.add_trial(optuna.trial.create_trial(params={}, distributions={}, value=1.0))
    other.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert opened.read(lambda c: c.execute(schema.added.select()).all()) == []


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe", "qmc"])
def test_no_sampler_tries_again_what_was_added(opened: databases.Database, url: str, sampler: str) -> None:
    """Of three configurations two were added with their results: one trial is left, then the space is exhausted."""
    text = quick_text(name="three", trials=9, sampler=sampler, hopeless="false")
    text = text.replace("{ low = 1, high = 128 }", "[32]").replace("{ low = 0, high = 6 }", "[0]")
    study = studies.create(opened, specs.parse(text, "three.toml"))
    first, second, third = study.spec.space.configurations()
    for params in (first, third):
        add(study, url, params, 0.4)
    claim = begin(opened, study)
    assert state(opened, study, claim.number).params == second
    succeed(opened, claim)
    assert take(opened, study) is allocations.NoTrial.EXHAUSTED
    with pytest.raises(errors.DuplicateConfiguration, match="trial 0 has this configuration already"):
        queues.enqueue(opened, study, first)


def test_what_was_added_is_not_queued_either(opened: databases.Database, make_study: Make, url: str) -> None:
    """Before any worker has looked: the queue knows it, and repeats of it have other training seeds."""
    study = make_study(trials=3)
    add(study, url, PARAMS, 0.4)
    with pytest.raises(errors.DuplicateConfiguration, match="trial 0 has this configuration already"):
        queues.enqueue(opened, study, PARAMS)
    assert queues.repeat(opened, study, PARAMS, 2) == [1, 2]
    assert [state(opened, study, number).user_attrs["search:repeat"] for number in (1, 2)] == [1, 2]


def test_a_trial_without_parameters_is_never_the_best(opened: databases.Database, make_study: Make, url: str) -> None:
    """Whether it was added or told."""
    study = make_study(trials=3)
    plain(study, url).add_trial(optuna.trial.create_trial(value=9.0))
    plain(study, url).tell(plain(study, url).ask(), 8.0)
    assert summaries.whole(opened, study).best is None
    succeed(opened, begin(opened, study))
    best = summaries.whole(opened, study).best
    assert best is not None
    assert best.value == 0.5
