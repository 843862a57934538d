"""SQLite files read without a trace, in every state in which writers leave them."""

import contextlib
import pathlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy
from looks import lock_up, picture, plain, public, python

from search import errors
from search.storage import databases, schema, sightings

__all__ = ["public"]
Lies = Callable[[str], pathlib.Path]

COUNT = """
import sys
from search.storage import databases, schema
import sqlalchemy
database = databases.open_to_read(sys.argv[1])
count = sqlalchemy.select(sqlalchemy.func.count()).select_from(schema.studies)
print(database.read(lambda connection: connection.execute(count).scalar()))
"""
STATES = {  # with how many studies there are
    "rollback": 1,
    "closed": 2,
    "live": 3,
    "crashed": 3,
    "without memory": 3,
    "emptied log": 3,
    "hot journal": 1,
}


def add(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("INSERT INTO studies (study_name) VALUES (?)", (name,))


def count(database: databases.Database) -> int:
    query = sqlalchemy.select(sqlalchemy.func.count()).select_from(schema.studies)
    return int(database.read(lambda connection: connection.execute(query).scalar_one()))


@pytest.fixture
def lies(public: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[Lies]:
    """Puts a database of Optuna's into a folder as writers leave it, beside its logs."""
    made, left = tmp_path / "made", public / "x"
    made.mkdir()
    plain(f"sqlite:///{made}/x.db", directions=["minimize"] * 2)
    with contextlib.ExitStack() as stack:

        def put(state: str) -> pathlib.Path:
            if state == "live":
                made.rename(left)
                _write(stack, left / "x.db", state)
            else:
                _write(stack, made / "x.db", state)
                shutil.copytree(made, left)
            if state in ("without memory", "emptied log"):
                (left / "x.db-shm").unlink()
            return left / "x.db"

        yield put


def _write(stack: contextlib.ExitStack, file: pathlib.Path, state: str) -> None:
    writer = stack.enter_context(contextlib.closing(sqlite3.connect(file, isolation_level=None)))
    if state == "hot journal":
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("BEGIN IMMEDIATE")
        for number in range(2000):
            add(writer, f"{number:0500}")
    if state in ("hot journal", "rollback"):
        return
    writer.execute("PRAGMA journal_mode = WAL")
    add(writer, "second")
    if state == "closed":
        writer.close()
        return
    add(writer, "third")
    if state == "emptied log":
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_left_behind(lies: Lies, state: str) -> None:
    """All that was committed is read, and names, bytes and times of the folder are as they were."""
    file = lies(state)
    before = picture(file.parent)
    if state == "live":  # as another process: this one has the log's memory open already
        assert python(COUNT, f"sqlite:///{file}") == f"{STATES[state]}\n"
    else:
        assert count(databases.open_to_read(f"sqlite:///{file}")) == STATES[state]
    assert picture(file.parent) == before


@pytest.mark.parametrize("state", STATES)
def test_who_may_only_read_reads(lies: Lies, state: str) -> None:
    """Another user's file in a folder that nobody may write to."""
    file = lies(state)
    lock_up(file.parent)
    before = picture(file.parent)
    assert python(COUNT, f"sqlite:///{file}", nobody=True) == f"{STATES[state]}\n"
    assert picture(file.parent) == before
    file.parent.chmod(0o755)


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_who_looks_on_follows_the_writers(tmp_path: pathlib.Path, journal: str) -> None:
    """One that stays sees what is written, through the first writer's coming and the last one's going."""
    file = tmp_path / "x.db"
    plain(f"sqlite:///{file}")
    with contextlib.closing(sqlite3.connect(file)) as changing:
        changing.execute(f"PRAGMA journal_mode = {journal}")
    database = databases.open_to_read(f"sqlite:///{file}")
    seen = [count(database)]
    for turn in range(3):
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as writer:
            add(writer, f"{turn} a")
            seen.append(count(database))
            add(writer, f"{turn} b")
            seen.append(count(database))
        seen.append(count(database))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["x.db"]
    assert seen == [1, 2, 3, 3, 4, 5, 5, 6, 7, 7]


def test_a_file_that_is_written_to_in_between_is_read_again(tmp_path: pathlib.Path) -> None:
    """A file with nobody at it is read without locks: a transaction in which somebody came is run once more."""
    file = tmp_path / "x.db"
    plain(f"sqlite:///{file}")
    with contextlib.closing(sqlite3.connect(file)) as changing:
        changing.execute("PRAGMA journal_mode = WAL")
    database, seen = databases.open_to_read(f"sqlite:///{file}"), []

    def transaction(connection: sqlalchemy.Connection) -> None:
        query = sqlalchemy.select(schema.studies.c.study_name)
        seen.append(len(connection.execute(query).all()))
        if len(seen) == 1:
            with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as writer:
                add(writer, "new")

    database.read(transaction)
    assert seen == [1, 2]


def test_looking_takes_no_lock_off(tmp_path: pathlib.Path) -> None:
    """A writer of the same process keeps its lock: another process does not get it while it is held."""
    file = tmp_path / "x.db"
    plain(f"sqlite:///{file}")
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    add(writer, "mine")
    database = databases.open_to_read(f"sqlite:///{file}")
    assert count(database) == 1
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    assert "database is locked" in python(code, str(file))
    writer.execute("COMMIT")
    assert count(database) == 2
    writer.close()


def test_a_copy_is_made_once_and_goes(lies: Lies) -> None:
    """While nothing changes the same copy is read; it goes with the last who reads it."""
    file = lies("without memory")
    sight = sightings.Sighting(file)
    for _ in range(2):
        with contextlib.closing(sight.open()) as connection:
            assert connection.execute("SELECT count(*) FROM studies").fetchone() == (3,)
    copy = sight._copy()
    with contextlib.closing(sight.open()) as connection:
        assert connection.execute("PRAGMA database_list").fetchone()[2] == str(copy)
    sight.close()
    assert not copy.parent.exists()


@pytest.mark.parametrize("what", ["folder", "text", "secret", "log alone"])
def test_what_is_no_database_is_one_line(public: pathlib.Path, what: str) -> None:
    """A folder, another file, one that may not be read, a log without its file; nothing comes to lie beside it."""
    file = public / "x.db"
    if what == "folder":
        file.mkdir()
    elif what == "log alone":
        (public / "x.db-wal").write_bytes(b"log")
    else:
        file.write_text("these are my notes, longer than a header of SQLite would be, and then some more of them")
        file.chmod(0o400 if what == "secret" else 0o644)
    before = picture(public)
    said = python(COUNT, f"sqlite:///{file}", nobody=True).splitlines()[-1]
    assert picture(public) == before
    words = {
        "folder": "--storage must name a file, got the folder",
        "text": "file is not a database",
        "secret": "--storage must be a file that can be read",
        "log alone": "no database at",
    }
    assert words[what] in said
    assert f"{errors.__name__}." in said


def test_nothing_is_written_by_who_looks(tmp_path: pathlib.Path) -> None:
    """Neither by a transaction nor through Optuna."""
    file = tmp_path / "x.db"
    study = plain(f"sqlite:///{file}")
    database, before = databases.open_to_read(f"sqlite:///{file}"), picture(tmp_path)
    with pytest.raises(errors.InputError, match="opened to be looked at"):
        database.write(lambda connection: None)
    with pytest.raises(errors.StorageError, match="readonly database"):
        database.read(lambda connection: connection.execute(schema.studies.delete()))
    with pytest.raises(errors.StorageError, match="readonly database"):
        database.call(lambda: database.optuna.set_study_user_attr(study._study_id, "mine", 1))
    assert picture(tmp_path) == before
