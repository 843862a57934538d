"""A study once more, in its storage or in another one."""

import json
import pathlib
from typing import Any

import optuna
import pytest
import sqlalchemy
from conftest import Server
from optuna.trial import FrozenTrial, TrialState
from trials import GONE, SAVED, Make, take

from search import errors
from search.ledger import claims, configurations, copies, orders, queues, studies, summaries
from search.storage import batches, databases, schema, statements
from search.training import objectives


def row(database: databases.Database, name: str = "quick") -> studies.Stored:
    found = studies.stored(database, name)
    assert found is not None
    return found


def full(database: databases.Database, study: studies.Study) -> None:
    """A complete trial, one whose worker is gone, an enqueued one, one that was added, and orders."""
    history = database.history(study.study_id)
    done, running = take(database, study, GONE), take(database, study, GONE)
    for claim in (done, running):
        configurations.configure(database, study, claim, history)
        claims.report(database, claim, {1: 0.5, 2: float("nan")}, 1.5, {"avg_losses": [1.0, 2.0]}, SAVED)
    claims.tell(database, done, TrialState.COMPLETE, 0.5, {"reason": "ü\n'"})
    queues.enqueue(database, study, {"depth": 0})
    plain = optuna.load_study(study_name=study.name, storage=database.optuna)
    plain.add_trial(optuna.trial.create_trial(value=0.1))
    added = {"trial_id": plain.trials[-1]._trial_id, "study_id": study.study_id, "is_known": True}
    database.write(lambda c: statements.put(c, schema.added, ("trial_id",), [added]))
    orders.extend(database, study, add=3)
    orders.set_state(database, study, orders.StudyState.PAUSED)


def shown(trial: FrozenTrial) -> tuple[Any, ...]:
    more = trial.user_attrs, trial.system_attrs, trial.distributions
    return trial.number, trial.values, trial.params, repr(trial.intermediate_values), trial.datetime_complete, *more


def column(database: databases.Database, study: studies.Study, table: sqlalchemy.Table, name: str) -> list[Any]:
    """A column of ours, by the numbers of the trials."""
    query = sqlalchemy.select(table.c[name]).join(schema.trials, schema.trials.c.trial_id == table.c.trial_id)
    query = query.where(schema.trials.c.study_id == study.study_id).order_by(schema.trials.c.number)
    return list(database.read(lambda connection: connection.execute(query).scalars().all()))


@pytest.mark.parametrize("where", ["here", "sqlite", "postgres"])
def test_a_copy_has_it_all(
    opened: databases.Database, make_study: Make, tmp_path: pathlib.Path, postgres: Server, where: str
) -> None:
    """Trials, reservations, checkpoints, what was added, seconds, budget; what ran waits; its token is new."""
    study = make_study(trials=9)
    full(opened, study)
    before = summaries.whole(opened, study)
    other = {"here": None, "sqlite": f"sqlite:///{tmp_path}/new.db", "postgres": postgres.new_database()}[where]
    target = opened if other is None else databases.Database(other)
    copied = copies.copy(opened, row(opened), "new", None if other is None else target)
    found = studies.find(target, "new")
    assert found == copied
    assert found.spec.text == study.spec.text
    assert found.token != study.token
    after = summaries.whole(target, found)
    assert [shown(trial) for trial in after.trials] == [shown(trial) for trial in before.trials]
    states = [TrialState.COMPLETE, TrialState.WAITING, TrialState.WAITING, TrialState.COMPLETE]
    assert [trial.state for trial in after.trials] == states
    assert (after.order, after.seconds, after.as_json()["best"]) == (before.order, 3.0, before.as_json()["best"])
    for table, name in ((schema.claims, "config"), (schema.checkpoints, "checksum"), (schema.added, "is_known")):
        assert column(target, found, table, name) == column(opened, study, table, name) != []
    orders.set_state(target, found, orders.StudyState.ACTIVE)
    claim = take(target, found)
    assert (claim.number, claim.how, claim.params) == (1, "waiting", before.trials[1].params)
    assert isinstance(claim.saved, objectives.Checkpoint)
    assert claim.saved.epoch == SAVED.epoch
    now = summaries.whole(opened, study).trials
    assert [(t.state, *shown(t)) for t in now] == [(t.state, *shown(t)) for t in before.trials]
    target.close()


@pytest.mark.parametrize("at_once", [1, 200])
def test_another_tool_s_copy_becomes_workable(
    opened: databases.Database, make_study: Make, url: str, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """It gets its file's budget; what it holds counts and is not trained again; what ran there waits."""
    monkeypatch.setattr(batches, "BATCH_TRIALS", at_once)
    study = make_study(trials=9)
    full(opened, study)
    twice = optuna.load_study(study_name=study.name, storage=opened.optuna)
    first = twice.trials[0]
    twice.add_trial(optuna.trial.create_trial(value=0.1, params=first.params, distributions=first.distributions))
    optuna.copy_study(from_study_name="quick", from_storage=url, to_storage=url, to_study_name="a copy")
    with pytest.raises(errors.InputError, match=r"`search copy 'a copy' NEW` makes one that workers take up"):
        studies.find(opened, "a copy")
    found = copies.copy(opened, row(opened, "a copy"), "new")
    summary = summaries.whole(opened, found)
    assert (summary.order, summary.seconds) == (orders.Order(9), 0.0)
    assert [trial.state.name for trial in summary.trials] == ["COMPLETE", "WAITING", "WAITING", "COMPLETE", "COMPLETE"]
    reserved = column(opened, found, schema.claims, "config")
    assert [config is not None for config in reserved] == [True, True, False, False, False]  # one configuration, once
    for trial in summary.trials[:2]:
        with pytest.raises(errors.DuplicateConfiguration):
            queues.enqueue(opened, found, trial.params)
    assert [take(opened, found).number for _ in range(3)] == [1, 2, 5]


def test_nothing_is_replaced_or_half_copied(opened: databases.Database, make_study: Make) -> None:
    """A taken name, a file that cannot be read, a study of another tool: one line, and no study more."""
    study = make_study()
    make_study(name="other")
    with pytest.raises(errors.StudyExists, match="study 'other' exists already in that storage; nothing was copied"):
        copies.copy(opened, row(opened), "other")
    opened.optuna.set_study_user_attr(study.study_id, studies.STUDY_FILE, study.spec.text + "wings = 2\n")
    with pytest.raises(errors.StudyFileError, match="cannot be read by this version: budget.wings is not a known key"):
        copies.copy(opened, row(opened), "new")
    optuna.create_study(study_name="plain", storage=opened.optuna)
    with pytest.raises(errors.InputError, match="was not made by `search create`"):
        copies.copy(opened, row(opened, "plain"), "new")
    assert {each.study_name for each in opened.optuna.get_all_studies()} == {"quick", "other", "plain"}
    assert json.loads(row(opened).file or "").endswith("wings = 2\n")
