"""What ends a study before its trials are used up: a target, patience, a regret or a deadline; on every storage."""

import random
import threading
import time
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState
from trials import ME, PARAMS, Make, take

from search import errors
from search.ledger import (
    allocations,
    backups,
    checks,
    claims,
    goals,
    orders,
    outcomes,
    queues,
    resumptions,
    retries,
    stops,
    studies,
    summaries,
)
from search.storage import databases, finishes, schema
from search.study import samplers, specs

OWN = """
objective = "mine:objective"
[study]
name = "own"
direction = "{direction}"
[space]
x = {{ low = 0.0, high = 1.0 }}
[sampler]
name = "random"
[budget]
trials = 1000
{more}
"""


def own(database: databases.Database, more: str, direction: str = "minimize", name: str = "own") -> studies.Study:
    text = OWN.format(direction=direction, more=more).replace('"own"', f'"{name}"')
    return studies.create(database, specs.parse(text, "own.toml"))


def tell(database: databases.Database, claim: Any, value: float | None) -> None:
    """COMPLETE with a value, PRUNED without one."""
    assert isinstance(claim, claims.Claim), claim
    state = TrialState.PRUNED if value is None else TrialState.COMPLETE
    claims.tell(database, claim, state, value, {})


def summary(database: databases.Database, study: studies.Study) -> summaries.Summary:
    return summaries.summary(database, study)


def standing(database: databases.Database, study: studies.Study) -> stops.Standing:
    return database.read(lambda c: stops.read(c, study, orders.read(c, study)))


def pass_by(database: databases.Database, seconds: float) -> None:
    """So long ago the run began."""
    database.write(lambda c: c.exec_driver_sql(f"UPDATE search_orders SET begun_at = begun_at - {seconds}"))


@pytest.mark.parametrize(("direction", "values"), [("maximize", (0.1, 0.8, 0.9)), ("minimize", (0.9, 0.81, 0.8))])
def test_a_target_ends_the_study(opened: databases.Database, direction: str, values: tuple[float, ...]) -> None:
    """In the study's direction, by a complete trial alone, exactly at the value; what runs ends, what waits waits."""
    study = own(opened, f"target = {values[2]}", direction)
    running = take(opened, study)
    tell(opened, take(opened, study), None)
    for value in values[:2]:
        tell(opened, take(opened, study), value)
    queues.enqueue(opened, study, {"x": 0.25})
    tell(opened, take(opened, study), values[2])
    queues.enqueue(opened, study, {"x": 0.75})
    assert take(opened, study) is allocations.NoTrial.WAIT
    tell(opened, running, values[0])
    assert take(opened, study) is allocations.NoTrial.TARGET
    found = summary(opened, study)
    assert (found.count(TrialState.WAITING), found.stop) == (1, stops.Stop.TARGET)
    assert outcomes.shortfall(found) is None
    assert goals.as_json(found)["ended_by"] == "target"


def test_a_pruned_trial_reaches_no_target(opened: databases.Database) -> None:
    """Though its last value is good enough; nor does one that failed."""
    study = own(opened, "target = 0.5")
    claims.tell(opened, take(opened, study), TrialState.PRUNED, 0.1, {})
    claims.tell(opened, take(opened, study), TrialState.FAIL, None, {})
    assert isinstance(take(opened, study), claims.Claim)


def test_infinite_values_are_compared_and_nan_is_none(opened: databases.Database) -> None:
    """Minus infinity is the least there is; what is no number is no value."""
    study = own(opened, "target = 0.5\npatience = 3")
    claim = take(opened, study)
    tell(opened, claim, 0.75)
    is_sqlite = opened.engine.dialect.name == "sqlite"
    nan = "NULL" if is_sqlite else "'NaN'"
    second = take(opened, study)
    tell(opened, second, 0.75)
    opened.write(
        lambda c: c.exec_driver_sql(f"UPDATE trial_values SET value = {nan} WHERE trial_id = {second.trial_id}")
    )
    assert standing(opened, study).best == 0.75
    tell(opened, take(opened, study), float("inf"))
    last = take(opened, study)
    tell(opened, last, float("-inf"))
    assert standing(opened, study).best == float("-inf")
    assert take(opened, study) is allocations.NoTrial.TARGET


def test_another_tool_s_result_counts_where_it_lies_in_the_space(opened: databases.Database) -> None:
    """Added or run; it uses up no patience where it was added, and none outside of the space is the best."""
    study = own(opened, "target = 0.5\npatience = 2", "maximize")
    plain = optuna.load_study(study_name=study.name, storage=optuna.storages.RDBStorage(opened.url))
    low, far = optuna.distributions.FloatDistribution(0, 1), optuna.distributions.FloatDistribution(0, 9)
    plain.add_trial(optuna.create_trial(value=0.9, params={"x": 8.0}, distributions={"x": far}))
    assert summary(opened, study).stop is None
    claim = take(opened, study)
    assert isinstance(claim, claims.Claim)
    assert (standing(opened, study).best, standing(opened, study).unimproved) == (None, 0)
    tell(opened, claim, 0.1)
    plain.add_trial(optuna.create_trial(value=0.2, params={"x": 0.5}, distributions={"x": low}))
    for value in (0.2, 0.1):
        claim = take(opened, study)
        tell(opened, claim, value)
    assert take(opened, study) is allocations.NoTrial.PATIENCE
    plain.add_trial(optuna.create_trial(value=0.6, params={"x": 0.6}, distributions={"x": low}))
    assert take(opened, study) is allocations.NoTrial.TARGET


def test_patience_counts_what_finished_after_the_best(opened: databases.Database) -> None:
    """COMPLETE and PRUNED, not FAIL, in the order of their ends; equals are no improvement; a late best starts anew."""
    study = own(opened, "patience = 3")
    slow = take(opened, study)
    for value in (0.5, 0.5, None):
        tell(opened, take(opened, study), value)
    claims.tell(opened, take(opened, study), TrialState.FAIL, None, {})
    assert summary(opened, study).standing.unimproved == 2
    last = take(opened, study)
    tell(opened, last, 0.6)
    assert take(opened, study) is allocations.NoTrial.WAIT
    assert "3 of 3 finished trials without improvement" in goals.lines(summary(opened, study))[0]
    tell(opened, slow, 0.4)
    assert summary(opened, study).standing.unimproved == 0
    for _ in range(3):
        last = take(opened, study)
        tell(opened, last, 0.4)
    assert take(opened, study) is allocations.NoTrial.PATIENCE
    assert outcomes.shortfall(summary(opened, study)) is None


def test_patience_without_a_complete_trial_ends_too(opened: databases.Database) -> None:
    """All were pruned: there is no best one, and the study has not come to what was asked for."""
    study = own(opened, "patience = 2")
    for _ in range(2):
        tell(opened, take(opened, study), None)
    assert take(opened, study) is allocations.NoTrial.PATIENCE
    assert "no trial is complete" in (outcomes.shortfall(summary(opened, study)) or "")


class Plain:
    """What patience means, in plain Python: a list of what finished, in its order."""

    def __init__(self) -> None:
        self.finished: list[float | None] = []

    def unimproved(self) -> int:
        best, since = None, 0
        for value in self.finished:
            if value is not None and (best is None or value < best):
                best, since = value, 0
            else:
                since += 1
        return since


@pytest.mark.parametrize("seed", range(3))
def test_patience_is_what_plain_python_counts(opened: databases.Database, seed: int) -> None:
    """Whatever ends, in whatever order: the claim's answer, the status, and those of a copy and a backup."""
    chance, plain = random.Random(seed), Plain()
    study = own(opened, "patience = 6\nmax_failures = 1000")
    running: list[Any] = []
    for step in range(80):
        answer = take(opened, study)
        has_ended = plain.unimproved() >= 6
        assert isinstance(answer, claims.Claim) != has_ended, step
        if has_ended and not running:
            assert answer is allocations.NoTrial.PATIENCE
            break
        if not has_ended:
            running.append(answer)
        while len(running) > 4 or (running and (has_ended or chance.random() < 0.3)):
            claim = running.pop(chance.randrange(len(running)))
            match chance.randrange(4):
                case 0:
                    claims.tell(opened, claim, TrialState.FAIL, None, {})
                case 1:
                    tell(opened, claim, None)
                    plain.finished.append(None)
                case _:
                    value = chance.choice([0.9, 0.5, 0.3, chance.random()])
                    tell(opened, claim, value)
                    plain.finished.append(value)
            has_ended = plain.unimproved() >= 6
        assert summary(opened, study).standing.unimproved == plain.unimproved()
    assert opened.read(lambda c: finishes.lacking(c, study.study_id)) == 0
    copied = opened.write(lambda c: backups.copy(c, c, study.study_id, "copy"))
    study_id, token = (
        copied,
        opened.read(
            lambda c: c.execute(
                sqlalchemy.select(schema.orders.c.token).where(schema.orders.c.study_id == copied)
            ).scalar_one()
        ),
    )
    found = summary(opened, studies.Study(study_id, study.spec.named("copy"), token))
    assert found.standing.unimproved == plain.unimproved()


Race = tuple[list[Any], dict[int, float], dict[int, float]]


def race(database: databases.Database, study: studies.Study, values: list[float], count: int = 8) -> Race:
    """So many workers at once, each until there is no trial; a trial's value is that of its number.

    Returns what each was answered at the end, when each trial was asked for, and when it was told.
    """
    answers: list[Any] = []
    asked: dict[int, float] = {}
    told: dict[int, float] = {}

    def work() -> None:
        while True:
            began = time.monotonic()
            claim = take(database, study)
            if isinstance(claim, claims.Claim):
                asked[claim.number] = began
                tell(database, claim, values[claim.number])
                told[claim.number] = time.monotonic()
            elif claim is not allocations.NoTrial.WAIT:
                answers.append(claim)
                return
            time.sleep(0.001)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, asked, told


def test_many_workers_end_at_a_target_with_what_ran(opened: databases.Database) -> None:
    """All are given one answer; no trial began once the target was reached, so at most those that ran then end later.

    How many end before is nobody's promise: a worker that lies still with trial 20 lets others end theirs.
    """
    study = own(opened, "target = 0.1")
    values = [0.9] * 20 + [0.05] + [0.9] * 980
    answers, asked, told = race(opened, study, values)
    assert answers == [allocations.NoTrial.TARGET] * 8
    found = summary(opened, study)
    assert 21 <= found.total == found.done == len(told)
    assert max(asked.values()) < told[20]
    assert sum(when > told[20] for when in told.values()) < 8


def test_many_workers_end_by_patience_exactly(opened: databases.Database) -> None:
    """As many finish without improvement as were asked for, and those that ran then."""
    study = own(opened, "patience = 12")
    values = [1.0 - number / 100 if number < 15 else 1.0 for number in range(1000)]
    for number in range(15):  # one by one: an improvement that ends late would begin the count again
        tell(opened, take(opened, study), values[number])
    assert race(opened, study, values)[0] == [allocations.NoTrial.PATIENCE] * 8
    found = summary(opened, study)
    assert found.standing.best == 1.0 - 14 / 100
    assert 12 <= found.standing.unimproved < 12 + 8
    assert opened.read(lambda c: finishes.lacking(c, study.study_id)) == 0


def test_a_run_ends_so_long_after_its_first_trial(opened: databases.Database) -> None:
    """By the database's clock; running trials end; another run begins where no worker is alive."""
    study = own(opened, 'deadline = "4h"')
    assert summary(opened, study).seconds_left is None
    first = take(opened, study)
    assert 14_390 < (summary(opened, study).seconds_left or 0.0) <= 14_400
    pass_by(opened, 7_200)
    second = take(opened, study)
    assert 7_190 < (summary(opened, study).seconds_left or 0.0) <= 7_200
    pass_by(opened, 7_200)
    assert take(opened, study) is allocations.NoTrial.WAIT
    tell(opened, first, 0.5)
    tell(opened, second, 0.6)
    assert take(opened, study) is allocations.NoTrial.DEADLINE
    found = summary(opened, study)
    assert (found.stop, outcomes.shortfall(found)) == (stops.Stop.DEADLINE, None)
    assert goals.lifting(found) == "`search run own` begins another run"
    resumptions.begin(opened, study.spec)
    assert isinstance(take(opened, study), claims.Claim)
    assert 14_390 < (summary(opened, study).seconds_left or 0.0) <= 14_400


def test_a_moment_is_a_deadline_too(opened: databases.Database) -> None:
    """With a zone; a new study's must lie ahead, as one that is extended to; after it no trial begins."""
    with pytest.raises(errors.InputError, match=r"own: budget.deadline must lie ahead of the database's clock, 20"):
        own(opened, "deadline = 2020-12-01T08:00:00Z")
    study = own(opened, "deadline = 2120-12-01T08:00:00+02:00")
    assert summary(opened, study).order.deadline == "2120-12-01T06:00:00Z"
    tell(opened, take(opened, study), 0.5)
    assert summary(opened, study).order.begun_at is None
    with pytest.raises(errors.InputError, match="--deadline must lie ahead of the database's clock"):
        orders.extend(opened, study, deadline="2020-12-01T08:00:00Z")
    opened.write(lambda c: c.exec_driver_sql("UPDATE search_orders SET deadline = '2020-12-01T08:00:00Z'"))
    assert take(opened, study) is allocations.NoTrial.DEADLINE
    assert goals.lifting(summary(opened, study)) == "`search extend own --deadline WHEN` lets it go on"
    resumptions.begin(opened, study.spec)  # which begins no other run
    assert take(opened, study) is allocations.NoTrial.DEADLINE
    orders.extend(opened, study, deadline="2h")
    assert isinstance(take(opened, study), claims.Claim)


def test_the_latest_bound_of_the_regret_ends_it(opened: databases.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a model that has seen the most trials; what is no number says nothing."""
    monkeypatch.setattr(samplers, "BOUNDING", ("random",))
    study = own(opened, "regret = 0.01")

    def ask(regret: float, trials: int) -> Any:
        return allocations.take(opened, study, ME, allocations.presence.Watch(), bound=stops.Bound(regret, trials))

    tell(opened, ask(0.5, 0), 0.5)
    tell(opened, ask(0.02, 3), 0.5)
    tell(opened, ask(0.001, 2), 0.5)
    tell(opened, ask(float("nan"), 9), 0.5)
    assert summary(opened, study).order.bound == 0.02
    assert ask(0.01, 4) is allocations.NoTrial.REGRET
    assert take(opened, study) is allocations.NoTrial.REGRET
    found = summary(opened, study)
    assert goals.lines(found) == [
        "regret: at most 0.01 by the sampler's model, 0.01 is enough: `search extend own --regret R` lets it go on"
    ]
    orders.extend(opened, study, regret=0.005)
    assert isinstance(take(opened, study), claims.Claim)


def test_a_regret_is_refused_without_a_model(opened: databases.Database) -> None:
    """In a file and where a study is extended, with the samplers that have one."""
    rule = "must not stand beside sampler.name 'random', which has no model that bounds it; gp-cost has one; got 0.1"
    with pytest.raises(errors.StudyFileError, match=rf"own.toml: budget.regret {rule}"):
        own(opened, "regret = 0.1")
    study = own(opened, "")
    with pytest.raises(errors.InputError, match=rf"--regret {rule}"):
        orders.extend(opened, study, regret=0.1)


def test_extend_lifts_each(opened: databases.Database) -> None:
    """Another target, more patience, another deadline, or none; trials alone lift nothing."""
    study = own(opened, 'target = 0.5\npatience = 2\ndeadline = "1h"')
    tell(opened, take(opened, study), 0.5)
    assert take(opened, study) is allocations.NoTrial.TARGET
    orders.extend(opened, study, add=5)
    assert take(opened, study) is allocations.NoTrial.TARGET
    assert orders.extend(opened, study, target=0.25).target == 0.25
    for _ in range(2):
        tell(opened, take(opened, study), 0.5)
    assert take(opened, study) is allocations.NoTrial.PATIENCE
    assert orders.extend(opened, study, patience=1).patience == 3
    tell(opened, take(opened, study), 0.5)
    assert take(opened, study) is allocations.NoTrial.PATIENCE
    orders.extend(opened, study, patience="none")
    assert isinstance(take(opened, study), claims.Claim)
    pass_by(opened, 3_600)
    assert summary(opened, study).stop is stops.Stop.DEADLINE
    assert orders.extend(opened, study, deadline="none").deadline is None
    assert isinstance(take(opened, study), claims.Claim)
    order = orders.extend(opened, study, target="none")
    assert not order.has_any


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"patience": 1}, "--patience must be left out: the study has no budget.patience that could be extended"),
        ({"target": float("nan")}, "extend: target must be a finite number, got nan"),
        ({"patience": 0}, "extend: patience must be >= 1, got 0"),
        ({"deadline": "soon"}, "extend: deadline must be a time from the begin of a run"),
        ({"regret": -1.0}, "extend: regret must be > 0, got -1.0"),
    ],
)
def test_what_extend_refuses(opened: databases.Database, more: dict[str, Any], rule: str) -> None:
    """With the rule and the value; nothing changes."""
    study = own(opened, "")
    with pytest.raises(errors.InputError) as caught:
        orders.extend(opened, study, **more)
    assert str(caught.value).startswith(rule)
    assert opened.read(lambda c: orders.read(c, study)) == orders.Order(1000)


def test_a_study_without_limits_is_asked_nothing_more(opened: databases.Database) -> None:
    """A claim sends the statements that it sent before."""
    study = own(opened, "")
    asked: list[str] = []
    sqlalchemy.event.listen(opened.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    take(opened, study)
    assert not [each for each in asked if "search_finished" in each and each.startswith("SELECT")]


def test_what_was_not_kept_is_found_and_kept_again(opened: databases.Database) -> None:
    """`search check` says so; what comes back comes in the order of the ends, and of another tool's is asked anew."""
    study = own(opened, "patience = 3")
    for value in (0.5, 0.25, 0.75):
        tell(opened, take(opened, study), value)
    opened.write(lambda c: c.exec_driver_sql("DELETE FROM search_finished WHERE trial_id > 1"))
    opened.write(lambda c: c.exec_driver_sql("UPDATE search_finished SET score = 7"))
    said = {each.name: each.said for each in checks.look(opened, study) if not each.holds}
    assert said == {"finished": "3 trials not as the rows say"}
    checks.recount(opened, study)
    assert [each for each in checks.look(opened, study) if not each.holds] == []
    assert summary(opened, study).standing.unimproved == 1


def test_a_failed_trial_that_is_put_back_finishes_in_its_turn(opened: databases.Database) -> None:
    """Its new trial counts where it ends."""
    study = own(opened, "patience = 2")
    tell(opened, take(opened, study), 0.5)
    claims.tell(opened, take(opened, study), TrialState.FAIL, None, {})
    tell(opened, take(opened, study), 0.5)
    retries.retry(opened, study)
    tell(opened, take(opened, study), 0.25)
    assert summary(opened, study).standing.unimproved == 0


def test_the_whole_lab_ends_at_its_target(opened: databases.Database, make_study: Make) -> None:
    """Beside [training] more accuracy is better."""
    study = make_study(trials=9, more="target = 0.5")
    queues.enqueue(opened, study, PARAMS)
    tell(opened, take(opened, study), 0.4999)
    tell(opened, take(opened, study), 0.5)
    assert take(opened, study) is allocations.NoTrial.TARGET
