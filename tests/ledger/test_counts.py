"""What the database keeps of a study's trials is the count of its rows, whoever wrote them."""

import collections
import contextlib
import itertools
import pathlib
import random
from collections.abc import Callable
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState
from trials import GONE, ME, Make, take

from search import errors
from search.ledger import backups, claims, counts, failures, orders, queues, retries, studies
from search.storage import databases, recounts, schema, statements

X = {"x": optuna.distributions.FloatDistribution(0, 1)}


def rows(database: databases.Database, study_id: int) -> counts.Counts:
    """The counts as they were before the database kept them: of each row."""
    trials, added, kept = schema.trials, schema.added, schema.claims
    query = (
        sqlalchemy.select(trials.c.state, added.c.ran, added.c.is_known, kept.c.told, kept.c.excused)
        .join(added, added.c.trial_id == trials.c.trial_id, isouter=True)
        .join(kept, kept.c.trial_id == trials.c.trial_id, isouter=True)
        .where(trials.c.study_id == study_id)
    )
    taken = sqlalchemy.select(sqlalchemy.func.count()).where(
        kept.c.study_id == study_id, kept.c.config.is_not(None), kept.c.repeat == 0
    )
    found = database.read(lambda connection: connection.execute(query).all())
    states = collections.Counter(row.state for row in found if row.ran is not False)
    return counts.Counts(
        {state: states[state] for state in TrialState},
        sum(row.ran is False for row in found),
        any(row.is_known is False for row in found),
        sum(row.state is TrialState.FAIL and bool(row.told) and not row.excused for row in found),
        database.read(lambda connection: connection.execute(taken).scalar_one()),
        0,
    )


def check(database: databases.Database) -> None:
    """Every study's kept counts and training time are those of its rows; nothing is kept of one that is gone."""
    with database.engine.connect() as connection:
        there = set(connection.execute(sqlalchemy.select(schema.studies.c.study_id)).scalars())
        kept = set(connection.execute(sqlalchemy.select(schema.counts.c.study_id)).scalars())
    assert kept <= there
    for study_id in there:
        found = database.read(lambda connection, each=study_id: counts.read(connection, each))
        wanted = rows(database, study_id)
        states = {state: found.of(state) for state in TrialState}
        assert (states, found.added, found.unknown) == (wanted.states, wanted.added, wanted.unknown)
        assert (found.failures, found.configs) == (wanted.failures, wanted.configs)
        seconds = sqlalchemy.select(sqlalchemy.func.coalesce(sqlalchemy.func.sum(schema.claims.c.seconds), 0.0))
        spent = database.read(
            lambda c, each=study_id, all_of=seconds: (
                counts.spent_seconds(c, each),
                c.execute(all_of.where(schema.claims.c.study_id == each)).scalar_one(),
            )
        )
        assert spent[0] == pytest.approx(spent[1], abs=1e-3)
        assert database.read(lambda c, each=study_id: recounts.lacking(c, each)) == {}


class Mix:
    """What all writers do to a study, one thing at a time, by chance."""

    def __init__(self, database: databases.Database, study: studies.Study, seed: int, folder: pathlib.Path) -> None:
        self.database, self.study, self.chance, self.folder = database, study, random.Random(seed), folder
        self.plain = optuna.load_study(study_name=study.name, storage=optuna.storages.RDBStorage(database.url))
        self.others: list[studies.Study] = []
        self.numbers = itertools.count()

    def ask_plain(self) -> None:
        self.plain.ask(X)

    def tell_plain(self) -> None:
        running = [t.number for t in self.plain.get_trials(deepcopy=False) if t.state == TrialState.RUNNING]
        if running:
            state = self.chance.choice([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
            value = 0.5 if state == TrialState.COMPLETE else None
            self.plain.tell(self.chance.choice(running), value, state=state)

    def add_plain(self) -> None:
        state = self.chance.choice([TrialState.COMPLETE, TrialState.FAIL, TrialState.WAITING])
        value = 0.5 if state == TrialState.COMPLETE else None
        self.plain.add_trial(optuna.create_trial(state=state, value=value))

    def enqueue_plain(self) -> None:
        self.plain.enqueue_trial({"depth": self.chance.randrange(7)})

    def optimize_plain(self) -> None:
        self.plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)

    def enqueue(self) -> None:
        size = self.chance.randrange(1, 129)
        if not any(size == trial.params.get("batch_size") for trial in self.plain.trials):
            with contextlib.suppress(errors.DuplicateConfiguration):
                queues.enqueue(self.database, self.study, {"learning_rate": 0.1, "batch_size": size, "depth": 0})

    def work(self) -> None:
        """A trial of ours: told, failed, handed over, a fault, or left running."""
        claim: Any = take(self.database, self.study, self.chance.choice([ME, GONE]))
        if not isinstance(claim, claims.Claim):
            return
        spent = self.chance.random() * 10
        claims.beat(self.database, [(claim, spent / 2)])
        match self.chance.randrange(6):
            case 0:
                claims.tell(self.database, claim, TrialState.COMPLETE, 0.5, {}, spent)
            case 1:
                claims.tell(self.database, claim, TrialState.PRUNED, None, {}, spent)
            case 2:
                claims.tell(self.database, claim, TrialState.FAIL, None, {}, spent)
            case 3:
                claims.hand_over(self.database, claim, spent)
            case 4:
                failures.fault(self.database, claim, ME, "broken", {})

    def configure(self) -> None:
        claim: Any = take(self.database, self.study)
        if isinstance(claim, claims.Claim):
            claims.tell(self.database, claim, TrialState.COMPLETE, 0.5, {}, 1.0)

    def retry(self) -> None:
        retries.retry(self.database, self.study)

    def sql(self) -> None:
        """By hand: a trial is deleted, or another state set."""
        found = [t._trial_id for t in self.plain.get_trials(deepcopy=False)]
        chosen = self.chance.choice(found or [0])
        state = self.chance.choice(["COMPLETE", "FAIL", "RUNNING", "WAITING", "PRUNED"])
        statement = self.chance.choice(
            [
                f"UPDATE trials SET state = '{state}' WHERE trial_id = {chosen}",
                f"UPDATE search_claims SET excused = NOT excused WHERE trial_id = {chosen}",
                f"UPDATE search_claims SET told = NOT told, seconds = seconds + 1 WHERE trial_id = {chosen}",
                f"UPDATE search_added SET ran = NOT ran WHERE trial_id = {chosen}",
                f"DELETE FROM search_added WHERE trial_id = {chosen}",
                f"DELETE FROM search_claims WHERE trial_id = {chosen}",
            ]
        )
        self.database.write(lambda connection: connection.exec_driver_sql(statement))

    def delete_trial(self) -> None:
        tables = ("trial_params", "trial_values", "trial_user_attributes", "trial_system_attributes")
        found = [t._trial_id for t in self.plain.get_trials(deepcopy=False)]
        if found and self.chance.random() < 0.3:
            chosen = self.chance.choice(found)

            def delete(connection: sqlalchemy.Connection) -> None:
                for table in (*tables, "trial_intermediate_values", "trials"):
                    connection.exec_driver_sql(f"DELETE FROM {table} WHERE trial_id = {chosen}")

            self.database.write(delete)

    def copy(self) -> studies.Study:
        name = f"other-{next(self.numbers)}"
        study_id = self.study.study_id
        self.database.write(lambda connection: backups.copy(connection, connection, study_id, name))
        self.others.append(studies.load(self.database, name))
        return self.others[-1]

    def restore(self) -> None:
        copied = self.copy()
        file = self.folder / f"{copied.name}.db"
        backups.write(self.database, copied, file)
        optuna.delete_study(study_name=copied.name, storage=self.plain._storage)
        self.others[-1] = backups.read(self.database, file)

    def delete_study(self) -> None:
        if self.others:
            other = self.others.pop()
            if self.chance.random() < 0.5:
                optuna.delete_study(study_name=other.name, storage=self.plain._storage)
            else:
                self.database.write(lambda connection: statements.delete_study(connection, other.study_id))

    def fold(self) -> None:
        self.database.write(lambda connection: counts.fold(connection, self.study.study_id))

    def step(self) -> None:
        often: list[Callable[[], None]] = [self.work] * 6 + [self.sql] * 4 + [self.tell_plain] * 2
        seldom = [self.copy, self.restore, self.delete_study] if self.chance.random() < 0.15 else [self.fold]
        each = (self.ask_plain, self.add_plain, self.enqueue_plain, self.optimize_plain, self.enqueue, self.retry)
        self.chance.choice([*often, *each, self.delete_trial, *seldom])()


@pytest.mark.parametrize("seed", range(3))
def test_the_kept_counts_are_those_of_the_rows(
    opened: databases.Database, make_study: Make, tmp_path: pathlib.Path, seed: int
) -> None:
    """Whatever plain Optuna, our workers, SQL by hand, copies, backups and deletions do, in any order."""
    study = make_study(trials=1000, sampler="random")
    orders.extend(opened, study, failures=1000)
    mix = Mix(opened, study, seed, tmp_path)
    for _ in range(60):
        mix.step()
        check(opened)
