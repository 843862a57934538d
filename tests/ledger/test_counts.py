"""What the database keeps of a study's trials is the count of its rows, whoever wrote them."""

import collections
import contextlib
import itertools
import pathlib
import random
import re
import sqlite3
import uuid
from collections.abc import Callable
from concurrent import futures
from typing import Any

import optuna
import pytest
import sqlalchemy
from conftest import Server, quick_text
from optuna.trial import TrialState
from trials import GONE, ME, Make, take

from search import errors
from search.ledger import backups, checks, claims, counts, failures, orders, pauses, presence, queues, retries, studies
from search.storage import databases, recounts, schema, statements
from search.study import specs

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
    asleep = sqlalchemy.select(sqlalchemy.func.count()).where(
        kept.c.study_id == study_id, kept.c.paused.is_not(None), kept.c.told.is_(False)
    )
    found = database.read(lambda connection: connection.execute(query).all())
    states = collections.Counter(row.state for row in found if row.ran is not False)
    return counts.Counts(
        {state: states[state] for state in TrialState},
        sum(row.ran is False for row in found),
        any(row.is_known is False for row in found),
        sum(row.state is TrialState.FAIL and bool(row.told) and not row.excused for row in found),
        database.read(lambda connection: connection.execute(taken).scalar_one()),
        database.read(lambda connection: connection.execute(asleep).scalar_one()),
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
        assert (found.failures, found.configs, found.paused) == (wanted.failures, wanted.configs, wanted.paused)
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
        storage, sampler = optuna.storages.RDBStorage(database.url), optuna.samplers.RandomSampler(seed)
        self.plain = optuna.load_study(study_name=study.name, storage=storage, sampler=sampler)
        self.others: list[studies.Study] = []
        self.numbers = itertools.count()

    def ask_plain(self) -> None:
        with contextlib.suppress(KeyError):  # it pops from its memory what waited and is gone
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
        with contextlib.suppress(KeyError):
            self.plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)

    def enqueue(self) -> None:
        size = self.chance.randrange(1, 129)
        if not any(size == trial.params.get("batch_size") for trial in self.plain.trials):
            with contextlib.suppress(errors.DuplicateConfiguration):
                queues.enqueue(self.database, self.study, {"learning_rate": 0.1, "batch_size": size, "depth": 0})

    def work(self) -> None:
        """A trial of ours: told, failed, handed over, a fault, paused, or left running."""
        claim: Any = take(self.database, self.study, self.chance.choice([ME, GONE]))
        if not isinstance(claim, claims.Claim):
            return
        spent = self.chance.random() * 10
        claims.beat(self.database, [(claim, spent / 2)])
        match self.chance.randrange(8):
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
            case 5 | 6:
                pauses.settle(self.database, self.study, claim, claims.Progress(spent, {1: 0.5}), 1, 0.5, goes_on=False)

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
                "DELETE FROM search_added WHERE trial_id = (SELECT max(trial_id) FROM search_added)",
                f"UPDATE trials SET study_id = (SELECT max(study_id) FROM studies) WHERE trial_id = {chosen}",
                f"UPDATE search_claims SET study_id = (SELECT max(study_id) FROM studies) WHERE trial_id = {chosen}",
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
        studies_too = [self.delete_study] if len(self.others) > 1 else [self.copy, self.restore, self.delete_study]
        seldom = studies_too * 3 if self.chance.random() < 0.5 else [self.fold]
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


def test_an_id_that_is_given_out_again_begins_with_nothing(tmp_path: pathlib.Path) -> None:
    """On SQLite, where a tool that heeds no foreign keys has deleted a study before its trials."""
    database = databases.Database(f"sqlite:///{tmp_path}/search.db")
    first = studies.create(database, specs.parse(quick_text(), "quick.toml"))
    take(database, first)
    with contextlib.closing(sqlite3.connect(tmp_path / "search.db")) as other, other:
        for table in ("studies", "trials", "study_directions", "study_user_attributes", "study_system_attributes"):
            other.execute(f"DELETE FROM {table}")
    second = studies.create(database, specs.parse(quick_text(), "quick.toml"))
    assert second.study_id == first.study_id
    check(database)
    assert database.read(lambda connection: counts.read(connection, second.study_id)).total == 0
    database.close()


def test_a_claim_that_was_moved_goes_with_its_study(opened: databases.Database, make_study: Make) -> None:
    """Nothing is kept of a study that Optuna deletes, though a claim is in it whose trial is elsewhere."""
    one, two = make_study(name="one"), make_study(name="two")
    claim = take(opened, one)
    claims.tell(opened, claim, TrialState.FAIL, None, {}, 3.0)
    move = schema.claims.update().where(schema.claims.c.trial_id == claim.trial_id).values(study_id=two.study_id)
    opened.write(lambda connection: connection.execute(move))
    optuna.delete_study(study_name="two", storage=optuna.storages.RDBStorage(opened.url))
    check(opened)


def test_emptied_tables_are_counted_again(postgres: Server) -> None:
    """TRUNCATE, which fires no trigger for a row."""
    database = databases.Database(postgres.new_database(postgres.prepared))
    study = studies.create(database, specs.parse(quick_text(), "quick.toml"))
    take(database, study)
    database.write(lambda connection: connection.exec_driver_sql("TRUNCATE trials CASCADE"))
    check(database)
    assert database.read(lambda connection: counts.read(connection, study.study_id)).total == 0
    database.close()


def plainly(url: str, name: str, count: int) -> None:
    """A worker of plain Optuna's, with the server's own isolation."""
    study = optuna.load_study(study_name=name, storage=optuna.storages.RDBStorage(url))
    for number in range(count):
        trial = study.ask(X)
        if number % 5 == 0:
            study.add_trial(optuna.create_trial(value=0.5))
        state = TrialState.FAIL if number % 3 == 0 else TrialState.COMPLETE
        study.tell(trial, None if state == TrialState.FAIL else 0.5, state=state)


def ourselves(url: str, name: str, count: int) -> None:
    """A worker of ours; it makes one of the changes every few trials."""
    database = databases.Database(url)
    study = studies.load(database, name)
    me = presence.Identity(uuid.uuid4().hex, "another-host", 2, 0.0)
    for number in range(count):
        claim: Any = take(database, study, me)
        if not isinstance(claim, claims.Claim):
            continue
        claims.beat(database, [(claim, 0.5)])
        state = TrialState.FAIL if number % 4 == 3 else TrialState.COMPLETE
        claims.tell(database, claim, state, None if state == TrialState.FAIL else 0.5, {}, 1.25)
        if number % 5 == 0:
            database.write(lambda connection: counts.fold(connection, study.study_id))
        if number % 7 == 0:
            checks.recount(database, study)
    database.close()


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_they_stay_so_while_many_write(postgres: Server, isolation: str) -> None:
    """Plain Optuna's workers and ours at once, while the rows are added up and counted again; nobody fails for it."""
    url = postgres.new_database(postgres.prepared)
    name = sqlalchemy.make_url(url).database
    with sqlalchemy.create_engine(postgres.url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'")
    database = databases.Database(url)
    study = studies.create(database, specs.parse(quick_text(trials=1000, sampler="random"), "quick.toml"))
    orders.extend(database, study, failures=1000)
    work = [plainly] * 3 + [ourselves] * 3
    with futures.ThreadPoolExecutor(len(work)) as pool:
        done = [pool.submit(each, url, study.name, 12) for each in work]
    check(database)
    found = database.read(lambda connection: counts.read(connection, study.study_id))
    plain = [each for each in done[:3] if each.exception() is None]
    assert [each.exception() for each in done[3:]] == [None] * 3
    assert isolation == "repeatable read" or len(plain) == 3
    assert found.total >= 36 + 15 * len(plain)
    database.close()


def plans(database: databases.Database, study: studies.Study, worker: presence.Identity) -> list[tuple[str, str]]:
    """What a claim asks the database, each with how it goes about it."""
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *rest: object) -> None:
        asked.append((statement, parameters))

    sqlalchemy.event.listen(database.engine, "before_cursor_execute", note)
    assert isinstance(take(database, study, worker), claims.Claim)
    sqlalchemy.event.remove(database.engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if database.engine.dialect.name == "sqlite" else "EXPLAIN "
    found = []
    with database.engine.connect() as connection:
        for statement, parameters in asked:
            if statement.split()[0] in ("SELECT", "UPDATE", "INSERT", "DELETE", "WITH"):
                plan = connection.exec_driver_sql(f"{explain}{statement}", parameters).all()
                found.append((statement, "\n".join(str(row[-1]) for row in plan)))
    return found


def enlarge(database: databases.Database, study: studies.Study, count: int) -> None:
    """Trials that ended well, failed, wait and were added, a quarter each, told by two workers."""
    states = (TrialState.COMPLETE, TrialState.FAIL, TrialState.WAITING, TrialState.COMPLETE)
    trials = [{"study_id": study.study_id, "number": n, "state": states[n % 4]} for n in range(count)]

    def transaction(connection: sqlalchemy.Connection) -> None:
        if connection.dialect.name == "postgresql":  # without triggers, which takes a tenth of the time
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        inserted = schema.trials.insert().returning(schema.trials.c.trial_id, schema.trials.c.number)
        made = connection.execute(inserted, trials).all()
        ours = [(row.trial_id, row.number) for row in made if row.number % 4 != 3]
        told = [{"trial_id": this, "config": str(number), "told": number % 4 != 2} for this, number in ours]
        given = schema.claims.insert().values(study_id=study.study_id, worker="other:1", generation=1, seconds=1.0)
        connection.execute(given, told)
        others = [{"trial_id": row.trial_id} for row in made if row.number % 4 == 3]
        connection.execute(schema.added.insert().values(study_id=study.study_id, ran=False, is_known=True), others)
        recounts.recount(connection)

    database.write(transaction)
    if database.engine.dialect.name == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")


def test_a_claim_looks_at_no_whole_table(opened: databases.Database, make_study: Make) -> None:
    """Each of its statements goes by an index that finds few rows, at 20,000 trials; one that waits, or a new one."""
    study = make_study(trials=100_000, sampler="random")
    orders.extend(opened, study, failures=100_000)
    enlarge(opened, study, 20_000)
    take(opened, study)  # adds the changes up
    found = plans(opened, study, ME)
    rest = schema.trials.c.state == TrialState.WAITING
    opened.write(lambda c: c.execute(schema.trials.update().where(rest).values(state=TrialState.PRUNED)))
    take(opened, study)
    found += plans(opened, study, ME)
    assert len(found) > 16
    whole = re.compile(r"(SCAN|Seq Scan on) (trials|search_claims|search_added)|ix_trials_study_id|_study_id_config")
    assert [each for each in found if whole.search(each[1])] == []
