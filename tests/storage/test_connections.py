"""A SQLite file that is away, moved, replaced or read-only; one that was a mistake; and odd paths."""

import contextlib
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import optuna
import pytest
import sqlalchemy
from conftest import ROOT, Server, quick_text

from search import errors
from search.ledger import allocations, claims, presence, studies
from search.storage import addresses, connections, databases, places, schema
from search.study import specs

NAMES = sqlalchemy.select(schema.studies.c.study_name).order_by(schema.studies.c.study_id)


def add(database: databases.Database, name: str) -> None:
    database.write(lambda c: c.execute(schema.studies.insert().values(study_name=name)))


def names(database: databases.Database) -> list[str]:
    return list(database.read(lambda c: c.execute(NAMES).scalars().all()))


def during(database: databases.Database, begin: Callable[[], object], end: Callable[[], object]) -> None:
    """Writes once before an outage, once in the middle of it, and once after it, on pooled and on new connections."""
    for number, close in enumerate((False, True)):
        add(database, f"before {number}")
        if close:
            database.close()
        begin()
        timer = threading.Timer(1.5, end)
        timer.start()
        started = time.monotonic()
        add(database, f"in {number}")
        assert time.monotonic() - started > 1
        timer.join()
        add(database, f"after {number}")
    assert database.interruptions > 0
    assert names(database) == [f"{when} {number}" for number in (0, 1) for when in ("before", "in", "after")]


def test_a_folder_that_is_away_is_waited_for(tmp_path: pathlib.Path) -> None:
    """A mount that is gone for a while: the write succeeds when it is back, and no new file was made in between."""
    here, away = tmp_path / "here", tmp_path / "away"
    database = databases.Database(f"sqlite:///{here}/search.db", 30)
    during(database, lambda: here.rename(away), lambda: away.rename(here))
    database.close()
    assert {each.name for each in here.iterdir()} == {"search.db", "search.db.lock"}


def test_a_file_that_is_away_is_waited_for(tmp_path: pathlib.Path) -> None:
    """Moved with its logs and moved back: nothing is written to it while it has another name, nor to a new file."""
    database = databases.Database(f"sqlite:///{tmp_path}/search.db", 30)
    there: list[bool] = []

    def move(old: str, new: str) -> None:
        there.append((tmp_path / new).exists())
        for end in ("-shm", "-wal", ""):
            with contextlib.suppress(FileNotFoundError):
                (tmp_path / (old + end)).rename(tmp_path / (new + end))

    during(database, lambda: move("search.db", "moved.db"), lambda: move("moved.db", "search.db"))
    assert there == [False] * 4
    database.close()


def test_a_replaced_file_is_the_one_that_is_written(tmp_path: pathlib.Path) -> None:
    """Where another file has taken the place, a pooled connection does not go on writing to the one without a name."""
    file, other = tmp_path / "search.db", tmp_path / "other.db"
    database = databases.Database(f"sqlite:///{file}", 30)
    add(database, "old")
    sqlite3.connect(file).execute(f"VACUUM INTO '{other}'")
    add(database, "lost with the old file")
    other.rename(file)
    for log in ("-wal", "-shm"):
        (tmp_path / f"search.db{log}").unlink()
    add(database, "new")
    assert names(database) == ["old", "new"]
    database.close()
    assert sqlite3.connect(file).execute("SELECT study_name FROM studies").fetchall() == [("old",), ("new",)]


@contextlib.contextmanager
def read_only(folder: pathlib.Path) -> Iterator[Callable[[bool], None]]:
    """A folder that may be switched to read-only, as its file system or its owner does it."""
    if os.geteuid() != 0:
        yield lambda on: [path.chmod(0o555 if on else 0o755) for path in (folder, *folder.iterdir())] and None
        return
    if subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode:
        pytest.skip("this root may not mount, and chmod does not stop it")

    def switch(on: bool) -> None:
        subprocess.run(["mount", "-o", f"remount,bind,{'ro' if on else 'rw'}", folder], check=True)

    try:
        yield switch
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_read_only_file_is_waited_for(tmp_path: pathlib.Path) -> None:
    """Opened while it is read-only and writable again: the connection that was opened then is not kept."""
    folder = tmp_path / "here"
    folder.mkdir()
    with read_only(folder) as switch:
        database = databases.Database(f"sqlite:///{folder}/search.db", 30)
        add(database, "before")
        database.close()
        switch(True)
        timer = threading.Timer(1.5, switch, [False])
        timer.start()
        started = time.monotonic()
        add(database, "in")
        assert time.monotonic() - started > 1
        timer.join()
        assert names(database) == ["before", "in"]
        assert database.interruptions > 0
        database.close()


KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("UPDATE studies SET study_name = study_name")
connection.commit()
os._exit(0)
"""


def test_a_log_without_its_file_is_kept(tmp_path: pathlib.Path) -> None:
    """What is committed may be in it: no new file is made in the place of one that was moved away."""
    file = tmp_path / "search.db"
    database = databases.Database(f"sqlite:///{file}")
    add(database, "before")
    database.close()
    subprocess.run([sys.executable, "-c", KILLED, file], check=True)
    file.rename(tmp_path / "away.db")
    with pytest.raises(errors.InputError, match="search.db is not there, but its log search.db-wal is"):
        databases.Database(f"sqlite:///{file}")
    assert not file.exists()
    (tmp_path / "away.db").rename(file)
    database = databases.Database(f"sqlite:///{file}")
    assert names(database) == ["before"]
    database.close()


def test_a_read_only_file_with_its_log_is_waited_for(tmp_path: pathlib.Path) -> None:
    """As a killed process leaves it: no connection of the outage stays open and keeps the next one read-only."""
    folder = tmp_path / "here"
    folder.mkdir()
    with read_only(folder) as switch:
        database = databases.Database(f"sqlite:///{folder}/search.db", 30)
        add(database, "before")
        database.close()
        subprocess.run([sys.executable, "-c", KILLED, folder / "search.db"], check=True)
        assert (folder / "search.db-wal").stat().st_size > 0
        switch(True)
        timer = threading.Timer(1.5, switch, [False])
        timer.start()
        add(database, "in")
        timer.join()
        assert names(database) == ["before", "in"]
        database.close()


def test_a_mistake_ends_at_once(tmp_path: pathlib.Path) -> None:
    """A folder, a file in the way of a folder, a read-only place: one line on first opening, at once."""
    (tmp_path / "file").write_text("no folder")
    place = tmp_path / "place"
    place.mkdir()
    databases.Database(f"sqlite:///{place}/there.db").close()

    def refused(path: pathlib.Path) -> str:
        started = time.monotonic()
        with pytest.raises(errors.InputError) as raised:
            databases.Database(f"sqlite:///{path}", 60)
        assert time.monotonic() - started < 5
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert f"must name a file, got the folder {tmp_path}" in refused(tmp_path)
    assert "cannot be made: Not a directory" in refused(tmp_path / "file" / "below" / "x.db")
    with read_only(place) as switch:
        switch(True)
        for name in ("new.db", "there.db"):
            assert f"{place} is read-only" in refused(place / name)
        assert "cannot be made" in refused(place / "below" / "x.db")
        switch(False)


@pytest.mark.parametrize(
    "name", ["{x}", "{SCHEMA_VERSION}", "a b", "a#b", "a%41b", "a%b", "a'b", "a&b=c", "größe", "a?b"]
)
def test_odd_paths(tmp_path: pathlib.Path, name: str) -> None:
    """Whatever a path holds, that file is opened and no other, by every connection, and other tools open it too."""
    folder = tmp_path / name
    url = addresses.of_file(folder / f"{name}.db")
    database = databases.Database(url, 30)
    study = studies.create(database, specs.parse(quick_text(), "quick.toml"))
    database.close()
    claim = allocations.take(database, study, presence.Identity.this(), presence.Watch())
    assert isinstance(claim, claims.Claim)
    database.close()
    assert {each.name for each in folder.iterdir()} == {f"{name}.db", f"{name}.db.lock"}
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert len(optuna.load_study(study_name="quick", storage=url.replace("{", "{{").replace("}", "}}")).trials) == 1


def test_a_question_mark_is_not_cut_off(tmp_path: pathlib.Path) -> None:
    """SQLAlchemy would open the file named by what stands before it."""
    with pytest.raises(errors.InputError, match="path with '\\?' is written sqlite:///file:PATH\\?uri=true"):
        databases.Database(f"sqlite:///{tmp_path}/a?b.db")
    assert list(tmp_path.iterdir()) == []


def test_a_network_mount_is_named(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file on one is opened with a warning, since another machine's processes would not see its log; no other is."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        databases.Database(f"sqlite:///{folder}/quiet.db").close()
        assert caplog.messages == []
        monkeypatch.setattr(places, "NETWORK_MOUNTS", ("tmpfs",))
        databases.Database(f"sqlite:///{folder}/search.db").close()
        (said,) = caplog.messages
        assert said.startswith(
            f"event=network-mount file={folder}/search.db type=tmpfs note='SQLite is for the processes"
        )


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_the_count_at_any_default_isolation(postgres: Server, level: str) -> None:
    """Eight claimers of a budget of 40 get 40 trials, whatever the database's default isolation is."""
    url = postgres.new_database(postgres.prepared)
    here = databases.Database(url, 30)
    study = studies.create(here, specs.parse(quick_text(trials=40), "quick.toml"))
    here.write(
        lambda c: c.exec_driver_sql(
            f"ALTER DATABASE {sqlalchemy.make_url(url).database} SET default_transaction_isolation = '{level}'"
        )
    )
    here.close()
    taken: list[int] = []

    def claim() -> None:
        own = databases.Database(url, 30)
        while isinstance(
            found := allocations.take(own, study, presence.Identity.this(), presence.Watch()), claims.Claim
        ):
            taken.append(found.number)
        own.close()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken) == list(range(40))


def test_a_session_that_was_read_only_is_not_kept(postgres: Server) -> None:
    """A server that takes writes again takes them on new connections: those of before stay what they were."""
    url = postgres.new_database()
    name, database = sqlalchemy.make_url(url).database, databases.Database(url, 30)
    admin = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")

    def switch(value: str) -> None:
        with admin.connect() as connection:
            connection.exec_driver_sql("SET default_transaction_read_only = off")
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")

    switch("on")
    database.close()
    threading.Timer(1.5, switch, ["off"]).start()
    add(database, "a")
    assert names(database) == ["a"]
    database.close()
    admin.dispose()


def test_the_log_goes_back_though_somebody_looks(tmp_path: pathlib.Path) -> None:
    """The last who leaves puts it into the file, also where a reader kept it from that in the first moment."""
    file = tmp_path / "x.db"
    code = (
        "import sys\nfrom search.storage import databases, schema\ndatabase = databases.Database(sys.argv[1])\n"
        "database.write(lambda c: c.execute(schema.studies.insert().values(study_name='mine')))\n"
        "print('ready', flush=True)\ninput()\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, f"sqlite:///{file}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    reader = sqlite3.connect(f"file:{file}?mode=ro&readonly_shm=1", uri=True)
    assert reader.execute("SELECT study_name FROM studies").fetchall() == [("mine",)]
    connections._leave(sqlalchemy.create_engine(f"sqlite:///{file}"), file)
    assert file.with_name("x.db-wal").stat().st_size > 0
    writer.communicate("\n", timeout=60)
    assert file.with_name("x.db-wal").stat().st_size > 0
    reader.close()
    connections._leave(sqlalchemy.create_engine(f"sqlite:///{file}"), file)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("x.db-")] == []


def test_what_is_not_kept_comes_and_goes(postgres: Server) -> None:
    """A worker with one slot has one connection open between its calls, and threads at once have one each."""
    database = databases.Database(postgres.new_database(postgres.prepared), 30, kept=1)
    mine = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    counted = sqlalchemy.create_engine(database.url, poolclass=sqlalchemy.NullPool)
    both = threading.Barrier(3)

    def ask(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("SELECT 1")
        both.wait(10)
        both.wait(10)

    def others() -> int:
        with counted.connect() as connection:
            return int(connection.exec_driver_sql(mine).scalar_one()) - 1

    asking = [threading.Thread(target=database.read, args=(ask,)) for _ in range(2)]
    for thread in asking:
        thread.start()
    both.wait(10)
    at_once = others()
    both.wait(10)
    for thread in asking:
        thread.join()
    deadline = time.monotonic() + 5
    while others() != 1 and time.monotonic() < deadline:  # the server notices a moment later
        time.sleep(0.05)
    assert (at_once, others()) == (2, 1)
    database.close()
