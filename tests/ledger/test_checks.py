"""A study proves what it promises from its rows; what was tampered with is found, and the counts are mended."""

import mine
import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState
from trials import Make, begin, succeed

from search.ledger import checks, counts, takeovers
from search.storage import databases, schema
from search.study import specs


def wrong(database: databases.Database, study: object) -> dict[str, str]:
    return {each.name: each.said for each in checks.look(database, study) if not each.holds}  # type: ignore[arg-type]


def test_a_study_holds(opened: databases.Database, make_study: Make) -> None:
    """One with ended, running and no trials, each promise a line."""
    study = make_study(trials=3)
    assert wrong(opened, study) == {}
    succeed(opened, begin(opened, study))
    begin(opened, study)
    assert wrong(opened, study) == {}
    said = {each.name: each.said for each in checks.look(opened, study)}
    assert said["counts"] == "those of 2 rows"
    assert said["numbers"] == "0 to 1, each once"
    assert said["budget"] == "2 of 3 trials are used up or run"


@pytest.mark.parametrize(
    ("statement", "name", "said"),
    [
        (
            "INSERT INTO search_counts (study_id, complete) VALUES (1, 1)",
            "counts",
            "the kept ones are wrong: complete by +1",
        ),
        (
            "DELETE FROM search_counts",
            "counts",
            "the kept ones are wrong: running by -1, complete by -1, configs by -2",
        ),
        ("UPDATE search_counts SET microseconds = 250000", "training time", "the kept one is wrong by "),
        ("UPDATE trials SET number = 5 WHERE number = 1", "numbers", "2 trials with 2 numbers up to 5"),
        ("UPDATE search_orders SET trials = 1", "budget", "2 of 1 trials are used up or run"),
        (
            "INSERT INTO search_checkpoints (trial_id, epoch, history, weights, checksum) VALUES (1, 1, '', '', '')",
            "checkpoints",
            "of ended trials: 0",
        ),
    ],
)
def test_what_is_wrong_is_said(
    opened: databases.Database, make_study: Make, statement: str, name: str, said: str
) -> None:
    """Rows that were changed behind the triggers, and those that break a promise."""
    study = make_study(trials=3)
    succeed(opened, begin(opened, study))
    begin(opened, study)
    opened.write(lambda connection: connection.exec_driver_sql(statement))
    found = wrong(opened, study)
    assert list(found) == [name] if statement != "DELETE FROM search_counts" else set(found) <= {name, "training time"}
    assert found[name].startswith(said)
    checks.recount(opened, study)
    assert (name in wrong(opened, study)) == (name not in ("counts", "training time"))
    found_now = opened.read(lambda connection: counts.read(connection, study.study_id))
    assert (found_now.of(TrialState.COMPLETE), found_now.of(TrialState.RUNNING), found_now.rows) == (1, 1, 1)


def test_triggers_that_are_gone_are_named_and_made_again(opened: databases.Database, make_study: Make) -> None:
    """What was written without them is counted then."""
    study = make_study(trials=3)
    on = "" if opened.url.startswith("sqlite") else " ON trials"
    opened.write(lambda connection: connection.exec_driver_sql(f"DROP TRIGGER search_trial_counted{on}"))
    begin(opened, study)
    found = wrong(opened, study)
    assert found["triggers"] == "missing or of another version: search_trial_counted"
    assert found["counts"] == "the kept ones are wrong: running by -1"
    checks.recount(opened, study)
    assert wrong(opened, study) == {}
    begin(opened, study)
    assert wrong(opened, study) == {}
    kept = sqlalchemy.select(sqlalchemy.func.sum(schema.counts.c.running))
    assert opened.read(lambda connection: connection.execute(kept).scalar_one()) == 2


def test_adopted_trials_count_in_the_budget(opened: databases.Database) -> None:
    """A trial of ours beyond them is seen; what another tool runs once the budget is used up is its own affair."""

    def tried(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 1)

    spec = specs.parse(mine.text(trials=4), "own.toml")
    plain = optuna.create_study(study_name=spec.name, storage=opened.optuna)
    plain.optimize(tried, n_trials=3)
    study = takeovers.take_over(opened, takeovers.check(opened, spec.name)[0], spec)
    succeed(opened, begin(opened, study))
    plain.optimize(tried, n_trials=2)
    plain.add_trial(plain.trials[0])  # it counts in no limit
    assert wrong(opened, study) == {}
    said = {each.name: each.said for each in checks.look(opened, study)}
    assert said["budget"] == "6 of 4 trials are used up or run, 5 by other tools"
    opened.write(lambda connection: connection.exec_driver_sql("UPDATE search_orders SET trials = 3"))
    assert wrong(opened, study) == {"budget": "6 of 3 trials are used up or run, 5 by other tools"}
