import multiprocessing
import pathlib
import sqlite3
import threading
import time
from concurrent import futures

import pytest
import sqlalchemy
from conftest import Server, quick_text
from optuna.trial import TrialState

from search import errors
from search.ledger import allocations, claims, presence, studies
from search.storage import connections, databases, schema, statements, waits
from search.study import specs


def count_studies(database: databases.Database) -> int:
    return int(
        database.read(lambda c: c.execute(sqlalchemy.select(sqlalchemy.func.count(schema.studies.c.study_id)))).scalar()
        or 0
    )


@pytest.mark.parametrize(
    "url", ["mysql://a:secret@b/c", "nonsense", "sqlite://", "sqlite:///:memory:", "", "sqlite://runs/search.db"]
)
def test_other_addresses_are_refused(url: str) -> None:
    """Only a SQLite file or a Postgres will do, and no password is shown."""
    with pytest.raises(errors.InputError) as raised:
        databases.Database(url)
    assert "--storage must" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_absent_database_is_one_line_after_the_patience() -> None:
    """A server that does not answer is waited for, then reported without its password."""
    started = time.monotonic()
    with pytest.raises(errors.StorageError, match="stayed away for 1 s.*Connection refused") as raised:
        databases.Database("postgresql://user:secret@127.0.0.1:1/x", patience_seconds=1)
    assert "secret" not in str(raised.value)
    assert time.monotonic() - started < 10


def test_what_no_wait_mends_fails_at_once(postgres: Server) -> None:
    """A database that does not exist is an error within a moment, not after the patience."""
    started = time.monotonic()
    with pytest.raises(errors.InputError, match="does not exist"):
        databases.Database(postgres.url.replace("/postgres?", "/nowhere?"), patience_seconds=60)
    assert time.monotonic() - started < 10


def test_a_foreign_file_is_refused(tmp_path: pathlib.Path) -> None:
    """A file that is no SQLite database is an error, and is not touched."""
    file = tmp_path / "notes.db"
    file.write_text("these are my notes, longer than a header of SQLite would be, and then some more of them")
    before = file.read_bytes()
    with pytest.raises(errors.InputError, match="file is not a database"):
        databases.Database(f"sqlite:///{file}")
    assert file.read_bytes() == before


def open_and_close(url: str) -> str:
    databases.Database(url, patience_seconds=30).close()
    return "opened"


@pytest.mark.slow
def test_first_workers_may_start_together(empty_url: str) -> None:
    """Four processes open an empty database at once: the schema is made once and all of them get it."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert pool.map(open_and_close, [empty_url] * 4) == ["opened"] * 4


def test_sqlite_is_wal_and_begins_immediately(tmp_path: pathlib.Path) -> None:
    """Readers do not wait for writers, and a write transaction owns the lock before its first read."""
    database = databases.Database(f"sqlite:///{tmp_path}/search.db")
    assert database.read(lambda c: c.exec_driver_sql("PRAGMA journal_mode").scalar()) == "wal"
    other = sqlite3.connect(tmp_path / "search.db", timeout=0)

    def try_to_write(connection: sqlalchemy.Connection) -> None:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.execute("SELECT count(*) FROM studies").fetchone()

    database.write(try_to_write)
    other.execute("BEGIN IMMEDIATE")
    other.rollback()


def test_a_locked_sqlite_file_is_waited_for(tmp_path: pathlib.Path) -> None:
    """Another process holds the file for seconds: the write succeeds when it lets go, and the wait is counted."""
    database = databases.Database(f"sqlite:///{tmp_path}/search.db", patience_seconds=30)
    other = sqlite3.connect(tmp_path / "search.db", check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(3, other.rollback)
    release.start()
    started = time.monotonic()
    database.write(lambda c: c.execute(schema.studies.insert().values(study_name="a")))
    assert time.monotonic() - started > 2.5
    assert database.interruptions > 0
    assert count_studies(database) == 1
    release.join()


def test_patience_ends_with_a_clear_error(tmp_path: pathlib.Path) -> None:
    """A file that stays locked is an error after the patience, and nothing is written."""
    database = databases.Database(f"sqlite:///{tmp_path}/search.db", patience_seconds=2)
    other = sqlite3.connect(tmp_path / "search.db")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(errors.StorageError, match="stayed away for 2 s: database is locked"):
        database.write(lambda c: c.execute(schema.studies.insert().values(study_name="a")))
    other.rollback()
    assert count_studies(database) == 0


def test_a_wait_ends_soon_when_asked_to_stop(tmp_path: pathlib.Path) -> None:
    """A call goes on for some seconds, since it may hand a trial over; where that was in vain, the next tries once."""
    stop = threading.Event()
    database = databases.Database(f"sqlite:///{tmp_path}/search.db", patience_seconds=60, stop=stop)
    other = sqlite3.connect(tmp_path / "search.db")
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(1, stop.set).start()
    spent, began = [], time.process_time()
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(errors.Interrupted):
            database.write(lambda c: c.execute(schema.studies.insert().values(study_name="a")))
        spent.append(time.monotonic() - started)
    assert waits.PARTING_SECONDS <= spent[0] < waits.PARTING_SECONDS + 5
    assert spent[1] < 4
    assert time.process_time() - began < 2  # it sleeps between its tries
    other.rollback()


def test_no_patience_no_parting(tmp_path: pathlib.Path) -> None:
    """Whoever waits for a second only waits no longer since it was asked to stop."""
    stop = threading.Event()
    database = databases.Database(f"sqlite:///{tmp_path}/search.db", patience_seconds=1, stop=stop)
    other = sqlite3.connect(tmp_path / "search.db")
    other.execute("BEGIN EXCLUSIVE")
    stop.set()
    started = time.monotonic()
    with pytest.raises(errors.Interrupted):
        database.write(lambda c: c.execute(schema.studies.insert().values(study_name="a")))
    assert time.monotonic() - started < 4
    other.rollback()


def test_opening_ends_at_once_when_asked_to_stop() -> None:
    """There is nothing to hand over yet."""
    stop = threading.Event()
    threading.Timer(1, stop.set).start()
    started = time.monotonic()
    with pytest.raises(errors.Interrupted):
        databases.Database("postgresql://127.0.0.1:1/x", patience_seconds=60, stop=stop)
    assert time.monotonic() - started < 4


def test_a_busy_file_is_no_interruption(tmp_path: pathlib.Path) -> None:
    """Who meets other writers all the time still watches the beats of others: contact was never lost."""
    database = databases.Database(f"sqlite:///{tmp_path}/search.db", patience_seconds=30)
    other = sqlite3.connect(tmp_path / "search.db", check_same_thread=False)
    sqlalchemy.event.listen(database.engine, "connect", lambda c, _: c.execute("PRAGMA busy_timeout = 10"))
    tries = []

    def work(connection: sqlalchemy.Connection) -> None:
        connection.execute(schema.studies.insert().values(study_name=f"{len(tries)}"))

    database.close()
    sqlalchemy.event.listen(database.engine, "handle_error", lambda context: tries.append(context.original_exception))
    for _ in range(3):
        other.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(0.3, other.rollback)
        release.start()
        database.write(work)
        release.join()
    assert len(tries) >= 3
    assert database.interruptions == 0
    assert count_studies(database) == 3


def test_a_restarted_postgres_is_waited_for(postgres: Server) -> None:
    """`pg_ctl restart -m immediate` under an open store: reads and writes go on, with new connections."""
    database = databases.Database(postgres.new_database(), patience_seconds=60)
    database.write(lambda c: c.execute(schema.studies.insert().values(study_name="a")))
    postgres.control("restart", "-m", "immediate")
    database.write(lambda c: c.execute(schema.studies.insert().values(study_name="b")))
    assert count_studies(database) == 2
    assert database.interruptions > 0


@pytest.mark.parametrize("cut", ["connections", "writer"])
def test_a_trial_is_handed_over_whatever_happens_just_then(postgres: Server, tmp_path: pathlib.Path, cut: str) -> None:
    """Asked to stop with its connections cut, or while another writes for a while: the trial is given back."""
    url = postgres.new_database(postgres.prepared) if cut == "connections" else f"sqlite:///{tmp_path}/search.db"
    stop = threading.Event()
    database = databases.Database(url, patience_seconds=60, stop=stop)
    study = studies.create(database, specs.parse(quick_text(), "quick.toml"))
    claim = allocations.take(database, study, presence.Identity.this(), presence.Watch())
    assert isinstance(claim, claims.Claim)
    if cut == "connections":
        admin = sqlalchemy.create_engine(url)
        with admin.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'search'"
            )
        admin.dispose()
    else:
        other = sqlite3.connect(tmp_path / "search.db", check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(1.5, other.rollback).start()
    stop.set()
    claims.hand_over(database, claim, 1.0)
    state = sqlalchemy.select(schema.trials.c.state)
    assert database.read(lambda c: c.execute(state).scalar_one()) == TrialState.WAITING
    database.close()


def test_cut_connections_are_replaced(postgres: Server) -> None:
    """`pg_terminate_backend` between two calls costs a retry, not an error."""
    url = postgres.new_database()
    database, admin = databases.Database(url, patience_seconds=30), sqlalchemy.create_engine(url)
    for name in "abc":
        database.write(lambda c, name=name: c.execute(schema.studies.insert().values(study_name=name)))  # type: ignore[misc]
        with admin.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'search'"
            )
    assert count_studies(database) == 3


def test_a_connection_cut_inside_a_call_of_optuna_is_replaced(postgres: Server) -> None:
    """Optuna asks again in the session whose connection is gone; what comes of that is an outage, not an error."""
    url = postgres.new_database()
    database, admin = databases.Database(url, patience_seconds=30), sqlalchemy.create_engine(url)
    study = studies.create(database, specs.parse(quick_text(), "quick.toml"))
    cuts = []

    def cut(connection: sqlalchemy.Connection, cursor: object, statement: str, *_: object) -> None:
        if "FROM trials" in statement and not cuts:
            cuts.append(statement)
            with admin.connect() as other:
                other.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'search'"
                )

    history = database.history(study.study_id)
    sqlalchemy.event.listen(database.engine, "before_cursor_execute", cut)
    database.call(history.refresh)
    assert len(cuts) == 1
    assert database.interruptions >= 1
    assert history.get_all_trials(study.study_id) == []
    database.close()


def test_a_read_only_postgres_is_waited_for(postgres: Server) -> None:
    """A database that refuses writes for a while (a failover) is an outage like any other."""
    url = postgres.new_database()
    database, admin = (
        databases.Database(url, patience_seconds=30),
        sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT"),
    )
    name = sqlalchemy.make_url(url).database
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'search'"

    def switch(value: str) -> None:
        with admin.connect() as connection:
            connection.exec_driver_sql("SET default_transaction_read_only = off")
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
            connection.exec_driver_sql(cut)

    switch("on")
    threading.Timer(2, switch, ["off"]).start()
    database.write(lambda c: c.execute(schema.studies.insert().values(study_name="a")))
    assert count_studies(database) == 1
    assert database.interruptions > 0


def test_a_process_asleep_in_a_transaction_blocks_nobody_for_long(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while it holds the study's lock, it loses the lock; the others go on, and so does it when it wakes."""
    monkeypatch.setattr(connections, "SLEEP_SECONDS", 2)
    monkeypatch.setattr(connections, "LOCK_SECONDS", 1)
    url = postgres.new_database()
    sleeper, other = databases.Database(url, patience_seconds=30), databases.Database(url, patience_seconds=30)
    study = studies.create(sleeper, specs.parse(quick_text(), "quick.toml"))
    asleep, awake = threading.Event(), threading.Event()
    tries = []

    def sleep_with_the_lock(connection: sqlalchemy.Connection) -> None:
        statements.lock_study(connection, study)
        tries.append(time.monotonic())
        asleep.set()
        awake.wait(30)
        connection.execute(schema.studies.update().values(study_name=f"try {len(tries)}"))

    thread = threading.Thread(target=sleeper.write, args=(sleep_with_the_lock,))
    thread.start()
    asleep.wait(10)
    other.write(lambda connection: statements.lock_study(connection, study))
    assert time.monotonic() - tries[0] < 10
    awake.set()
    thread.join(30)
    assert len(tries) == 2
    name = other.read(lambda c: c.execute(sqlalchemy.select(schema.studies.c.study_name)).scalar_one())
    assert name == "try 2"


@pytest.mark.parametrize(("version", "way"), [("v0.9.0.a", "older"), ("v9.9.9.z", "newer")])
def test_a_schema_of_another_optuna_is_refused(url: str, version: str, way: str) -> None:
    """The answer is one line with the command that upgrades the storage, or what to install; nothing is written."""
    database = databases.Database(url)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")
    database.close()
    with pytest.raises(errors.InputError) as refused:
        databases.Database(url)
    assert "\n" not in str(refused.value)
    assert ("`search upgrade`" in str(refused.value)) == (way == "older"), refused.value


def test_a_full_disk_is_waited_for(tmp_path: pathlib.Path) -> None:
    """SQLite has no room: the write waits, succeeds when there is room, and wrote nothing half; later writes go on."""
    database = databases.Database(f"sqlite:///{tmp_path}/search.db")
    limit = {"pages": 1}
    sqlalchemy.event.listen(
        database.engine,
        "begin",
        lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {limit['pages']}"),
    )
    threading.Timer(1.5, limit.update, [{"pages": 10**9}]).start()
    started = time.monotonic()
    tries = []

    def work(connection: sqlalchemy.Connection) -> None:
        tries.append(time.monotonic())
        for number in range(200):
            name = f"{number} " + "x" * 400
            connection.execute(schema.studies.insert().values(study_name=name))

    database.write(work)
    assert time.monotonic() - started > 1
    assert len(tries) > 1
    count = sqlalchemy.select(sqlalchemy.func.count()).select_from(schema.studies)
    assert database.read(lambda connection: connection.execute(count).scalar_one()) == 200
    database.close()


def test_who_waits_to_open_a_storage_sits_in_no_transaction(postgres: Server) -> None:
    """A pooler would never have a second connection for the process that makes the schema otherwise."""
    url = postgres.new_database()
    engine = sqlalchemy.create_engine(url)
    opened: list[databases.Database] = []
    waiting = threading.Thread(target=lambda: opened.append(databases.Database(url, 30)))
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND xact_start IS NOT NULL"
    )
    with engine.connect() as holder:
        holder.exec_driver_sql(f"SELECT pg_advisory_lock({connections.SCHEMA_LOCK})")
        waiting.start()
        seen = []
        for _ in range(40):
            time.sleep(0.05)
            seen.append(holder.exec_driver_sql(others).scalar_one())
            holder.exec_driver_sql("SELECT pg_stat_clear_snapshot()")
        assert opened == []
        assert sum(seen) <= 4  # it asks now and then, and does not stay
    engine.dispose()  # the lock goes with its session
    waiting.join(30)
    opened.pop().close()


def test_a_worker_that_is_started_again_waits_for_its_file(tmp_path: pathlib.Path) -> None:
    """Whose parent had it open before finds it away: it waits, makes nothing in its place, and says so at the end."""
    here, away = tmp_path / "here", tmp_path / "away"
    url = f"sqlite:///{here}/search.db"
    databases.Database(url, 30).close()
    here.rename(away)
    with pytest.raises(errors.StudyNotFound, match="no database at"):
        databases.open_known(url, 0.1, threading.Event())
    assert not here.exists()
    timer = threading.Timer(1.0, away.rename, [here])
    timer.start()
    databases.open_known(url, 30, threading.Event()).close()
    timer.join()


def test_threads_take_turns_at_writing_to_a_file(opened: databases.Database) -> None:
    """A second writer of a process waits for the first, without a connection; on Postgres it need not wait."""
    inside, may_end, wrote = threading.Event(), threading.Event(), threading.Event()

    def long(_: sqlalchemy.Connection) -> None:
        inside.set()
        assert may_end.wait(60)

    is_file = opened.url.startswith("sqlite")
    with futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(opened.write, long)
        assert inside.wait(60)
        second = pool.submit(opened.write, lambda _: wrote.set())
        assert wrote.wait(0.5 if is_file else 60) is not is_file
        if not is_file:
            second.result(60)
        assert opened.engine.pool.checkedout() == 1  # type: ignore[attr-defined]
        may_end.set()
        first.result(60)
        second.result(60)
    assert wrote.is_set()
    assert opened.interruptions == 0
