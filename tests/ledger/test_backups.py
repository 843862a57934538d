"""A study as one file, and back, with nothing lost."""

import itertools
import pathlib
import sqlite3
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import growth
import optuna
import pytest
import releases
import sqlalchemy
from conftest import Processes, Server, quick_text
from optuna.trial import TrialState
from trials import GONE, SAVED, trained
from trials import claim as take

from search import errors
from search.ledger import (
    allocations,
    backups,
    claims,
    configurations,
    copies,
    orders,
    presence,
    queues,
    studies,
    summaries,
)
from search.storage import batches, databases, schema
from search.training import objectives

Make = Callable[..., studies.Study]


@pytest.fixture
def full(opened: databases.Database, make_study: Make) -> studies.Study:
    """A study with a trial in every state, values that are no numbers, repeats, orders and a checkpoint."""
    study = make_study(trials=30)
    history = opened.history(study.study_id)
    ends = [(TrialState.COMPLETE, 0.75), (TrialState.PRUNED, float("inf")), (TrialState.FAIL, None)]
    for state, value in ends:
        claim = take(opened, study)
        configurations.configure(opened, study, claim, history)
        claims.report(opened, claim, {1: float("nan")}, 1.5, {"search:avg_losses": [2.0]})
        claims.report(opened, claim, {2: 0.1 + 0.2}, 2.5, {"search:avg_losses": [2.0, 1.0]})
        claims.tell(opened, claim, state, value, {"search:reason": "ü\n'"}, 2.5)
    claim = take(opened, study)
    configurations.configure(opened, study, claim, history)
    claims.report(opened, claim, {1: 0.25}, 1.0, {})
    claims.report(opened, claim, {2: 0.5}, 2.0, {}, SAVED)
    queues.enqueue(opened, study, {"depth": 0})
    queues.repeat(opened, study, opened.optuna.get_all_trials(study.study_id)[0].params, 2)
    orders.extend(opened, study, add=5)
    orders.set_state(opened, study, orders.StudyState.PAUSED)
    return study


def everything(database: databases.Database, study: studies.Study) -> dict[str, Any]:
    """All that Optuna knows of a study, and all of ours but ids, owners and their beats."""
    summary = summaries.whole(database, study)
    known: dict[str, Any] = {"text": study.spec.text, "order": summary.order, "seconds": summary.seconds}
    known["direction"] = database.optuna.get_study_directions(study.study_id)
    known["attributes"] = database.optuna.get_study_user_attrs(study.study_id)
    known["system"] = database.optuna.get_study_system_attrs(study.study_id)
    known["trials"] = [
        repr((t.number, t.state, t.values, t.params, t.distributions, sorted(t.intermediate_values.items())))
        + repr((t.datetime_start, t.datetime_complete, sorted(t.user_attrs.items()), sorted(t.system_attrs.items())))
        for t in summary.trials
    ]
    columns = [getattr(schema.claims.c, name) for name in ("config", "repeat", "request", "stalls", "seconds", "told")]
    query = (
        sqlalchemy.select(*columns).where(schema.claims.c.study_id == study.study_id).order_by(schema.claims.c.trial_id)
    )
    known["claims"] = [tuple(row) for row in database.read(lambda connection: connection.execute(query).all())]
    saved = sqlalchemy.select(schema.checkpoints.c.epoch, schema.checkpoints.c.checksum, schema.checkpoints.c.weights)
    found = database.read(lambda connection: connection.execute(saved).all())
    known["checkpoints"] = [(row[0], row[1], bytes(row[2])) for row in found]
    return known


def test_a_study_survives_from_any_database_to_any(
    opened: databases.Database, full: studies.Study, tmp_path: pathlib.Path, postgres: Server
) -> None:
    """States, values, steps, attributes, times, order, budget and checkpoint come back, in SQLite and in Postgres."""
    before = everything(opened, full)
    assert len(before["trials"]) == 7
    assert {t.state for t in summaries.whole(opened, full).trials} == set(TrialState)
    file = tmp_path / "there" / "study.db"
    backups.write(opened, full, file)
    assert [each.name for each in file.parent.iterdir()] == ["study.db"]  # one file
    for url in (f"sqlite:///{tmp_path}/new.db", postgres.new_database()):
        database = databases.Database(url)
        study = backups.read(database, file)
        assert everything(database, study) == before
        database.close()
    assert everything(opened, full) == before
    assert [each.name for each in file.parent.iterdir()] == ["study.db"]  # reading it left nothing beside it
    storage = f"sqlite:///{file}"
    assert len(optuna.load_study(study_name=full.name, storage=storage).trials) == 7


def peak(call: Callable[[], Any]) -> int:
    """Bytes that a call holds at most."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_and_statements_do_not_grow_with_the_trials(
    opened: databases.Database, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the trials are written, restored and copied in the same memory, by statements of many rows."""
    monkeypatch.setattr(batches, "BATCH_TRIALS", 50)
    target = databases.Database(f"sqlite:///{tmp_path}/new.db")
    peaks: dict[str, list[int]] = {}
    statements, before = itertools.count(), 0
    for engine in (opened.engine, target.engine):
        sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *_: next(statements))
    for trials in (50, 100, 400):  # the first fills caches
        name = f"growth-{trials}"
        study = growth.create(opened, name, trials)
        growth.fill(opened, study, trials)
        stored = studies.stored(opened, name)
        assert stored is not None
        file, told = tmp_path / f"{name}.db", list[tuple[int, int]]()
        calls: dict[str, Callable[[], Any]] = {
            "write": lambda: backups.write(opened, study, file, lambda *each: told.append(each)),  # noqa: B023
            "read": lambda: backups.read(target, file),  # noqa: B023
            "copy": lambda: copies.copy(opened, stored, f"{name}-again"),  # noqa: B023
        }
        for word, call in calls.items():
            before = next(statements)
            peaks.setdefault(word, []).append(peak(call))
            made = next(statements) - before
            assert made < max(trials, 150), word
        assert told[-1] == (trials, trials)
        assert len(told) == -(-trials // 50)
    assert {word: found[2] < 1.7 * found[1] for word, found in peaks.items()} == dict.fromkeys(peaks, True), peaks
    target.close()


def test_a_restored_study_goes_on(opened: databases.Database, full: studies.Study, tmp_path: pathlib.Path) -> None:
    """Its running trial is adopted from its checkpoint, its waiting ones are taken, its configurations stay taken."""
    file = tmp_path / "study.db"
    backups.write(opened, full, file)
    database = databases.Database(f"sqlite:///{tmp_path}/new.db")
    study = backups.read(database, file)
    orders.set_state(database, study, orders.StudyState.ACTIVE)
    adopted = allocations.take(database, study, GONE, presence.Watch())  # at once: it has no owner here
    assert isinstance(adopted, claims.Claim)
    assert (adopted.number, adopted.how) == (3, "adopted")
    assert adopted.saved is not None
    assert isinstance(adopted.saved, objectives.Checkpoint)
    assert adopted.saved.epoch == 2
    assert take(database, study).number == 4
    done = summaries.whole(database, study).trials[0].params
    with pytest.raises(errors.DuplicateConfiguration):
        queues.enqueue(database, study, done)
    database.close()


def test_a_backup_of_an_older_version_is_restored(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """A copy of it is brought up to date; its running trial goes on from its checkpoint, the file stays as it is."""
    file = tmp_path / "old" / "release.db"
    file.parent.mkdir()
    releases.sqlite(file, kind="backup")
    content = file.read_bytes()
    study = backups.read(opened, file)
    assert (file.read_bytes(), [each.name for each in file.parent.iterdir()]) == (content, ["release.db"])
    found = summaries.whole(opened, study)
    assert [trial.state for trial in found.trials] == [
        *(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE),
        *(TrialState.RUNNING, TrialState.WAITING, TrialState.WAITING, TrialState.COMPLETE),
    ]
    assert (found.order.trials, found.order.max_failures, found.order.epoch_seconds) == (10, 4, 600)
    assert found.trials[3].user_attrs["search:repeat"] == 1
    adopted = allocations.take(opened, study, GONE, presence.Watch())
    assert isinstance(adopted, claims.Claim)
    assert (adopted.number, adopted.how, adopted.saved and adopted.saved.epoch) == (5, "adopted", 2)
    content = content[: len(content) // 2]
    file.write_bytes(content)
    with pytest.raises(errors.InputError, match=r"release.db is no backup of a study, or damaged"):
        backups.read(opened, file)


def test_a_backup_of_a_newer_version_is_refused(
    opened: databases.Database, full: studies.Study, tmp_path: pathlib.Path
) -> None:
    """It is not taken for damaged."""
    file = tmp_path / "study.db"
    backups.write(opened, full, file)
    connection = sqlite3.connect(file)
    connection.execute("UPDATE search_version SET version_num = '0107'")
    connection.commit()
    connection.close()
    with pytest.raises(errors.InputError, match=r"study.db was made by a newer version of this program"):
        backups.read(opened, file)


def test_nothing_is_replaced(opened: databases.Database, full: studies.Study, tmp_path: pathlib.Path) -> None:
    """A file that is there is kept; a study that is there refuses the restore, and neither changes."""
    file = tmp_path / "study.db"
    backups.write(opened, full, file)
    content, before = file.read_bytes(), everything(opened, full)
    with pytest.raises(errors.InputError, match=r"study.db exists already"):
        backups.write(opened, full, file)
    with pytest.raises(errors.StudyExists, match="study 'quick' exists already in this storage; nothing was restored"):
        backups.read(opened, file)
    assert file.read_bytes() == content
    assert everything(opened, full) == before


def test_what_is_no_backup_is_refused(opened: databases.Database, full: studies.Study, tmp_path: pathlib.Path) -> None:
    """Text, an empty file, a truncated or changed backup, another database: one line, and nothing restored."""
    file = tmp_path / "study.db"
    backups.write(opened, full, file)
    content = file.read_bytes()
    target = databases.Database(f"sqlite:///{tmp_path}/new.db")
    broken = bytearray(content)
    broken[4096 * 3 : 4096 * 9] = b"\xff" * (4096 * 6)
    other = tmp_path / "other.db"
    sqlite3.connect(other).executescript("create table t (a); insert into t values (1);")
    for bad in (b"", b"no database\n" * 100, content[: len(content) // 2], bytes(broken), other.read_bytes()):
        file.write_bytes(bad)
        with pytest.raises(
            errors.InputError, match=r"study.db (is no backup of a study, or damaged|must hold one study)"
        ):
            backups.read(target, file)
        assert studies.names(target) == []
    with pytest.raises(errors.InputError, match="no backup at"):
        backups.read(target, tmp_path / "missing.db")
    target.close()


@pytest.mark.slow
def test_the_commands(
    opened: databases.Database, make_study: Make, processes: Processes, tmp_path: pathlib.Path
) -> None:
    """`backup` and `restore` say what they did; a mistake ends with code 2 and one line."""
    (tmp_path / "quick.toml").write_text(quick_text(trials=3))
    study = make_study(trials=3)
    for _ in range(3):
        trained(opened, study)
    code, said = processes.run("backup", "quick", "b/quick.db")
    assert (code, said) == (
        0,
        "study 'quick' written to b/quick.db; `search restore b/quick.db` puts it into a storage\n",
    )
    elsewhere = {"SEARCH_STORAGE": f"sqlite:///{tmp_path}/elsewhere.db"}
    code, said = processes.run("restore", "b/quick.db", **elsewhere)
    assert code == 0, said
    assert "study 'quick' restored: 3 of 3 trials done" in said
    assert processes.run("restore", "b/quick.db", **elsewhere)[0] == 2
    code, said = processes.run("restore", "quick.toml", **elsewhere)
    assert code == 2
    assert said.count("\n") == 1
    assert "is no backup of a study" in said


def killed(folder: pathlib.Path, mode: str) -> pathlib.Path:
    """A backup whose study went on in another process, which was killed: the last trials are in SQLite's log only.

    With a rollback journal (`DELETE`) it was killed in the midst of a transaction, which must be taken back.
    """
    file = folder / "live.db"
    work = f"""
import os, sqlite3
connection = sqlite3.connect({str(file)!r}, isolation_level=None)
connection.execute("PRAGMA journal_mode = {mode}")
connection.execute("PRAGMA cache_size = 5")
connection.execute("BEGIN")
connection.execute("UPDATE search_orders SET trials = 77")
for number in range(2000):
    connection.execute("INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (1, ?, 1)", (number,))
if {mode!r} == "WAL":
    connection.execute("COMMIT")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", work], check=True)
    return file


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_log_beside_the_file_counts(
    opened: databases.Database, full: studies.Study, tmp_path: pathlib.Path, mode: str
) -> None:
    """What a killed process has committed is restored, what it has not is not, and nothing in the folder changes."""
    before = everything(opened, full)
    folder = tmp_path / "there"
    backups.write(opened, full, folder / "live.db")
    written = (folder / "live.db").read_bytes()
    file = killed(folder, mode)
    log = folder / ("live.db-wal" if mode == "WAL" else "live.db-journal")
    assert log.stat().st_size > 10_000
    assert mode == "WAL" or file.read_bytes()[: len(written)] != written  # half of the transaction is in the file
    (folder / "live.db-shm").write_bytes(b"of another moment" * 3000)
    content = {each.name: each.read_bytes() for each in folder.iterdir()}
    database = databases.Database(f"sqlite:///{tmp_path}/new.db")
    study = backups.read(database, file)
    after = everything(database, study)
    if mode == "WAL":
        assert after["order"].trials == 77
        assert len(database.optuna.get_all_trials(study.study_id)[0].user_attrs) > 2000
    else:
        assert after == before
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == content
    database.close()


def test_a_log_that_cannot_be_read_is_no_silence(
    opened: databases.Database, full: studies.Study, tmp_path: pathlib.Path
) -> None:
    """A folder in its place, bytes that are no log, the storage itself: one line, and nothing is restored."""
    folder = tmp_path / "there"
    backups.write(opened, full, folder / "live.db")
    file, log = folder / "live.db", folder / "live.db-wal"
    database = databases.Database(f"sqlite:///{tmp_path}/new.db")
    log.mkdir()
    with pytest.raises(errors.InputError, match="live.db-wal cannot be read: Is a directory"):
        backups.read(database, file)
    log.rmdir()
    log.write_bytes(b"no log of SQLite's" * 1000)
    with pytest.raises(errors.InputError, match="live.db-wal is damaged, or of another file: move it away"):
        backups.read(database, file)
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(errors.InputError, match="live.db cannot be read with the log beside it"):
        backups.read(database, file)
    assert studies.names(database) == []
    with database.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE more (a)")
        assert (tmp_path / "new.db-wal").exists()
        with pytest.raises(errors.InputError, match="new.db is the storage itself"):
            backups.read(database, tmp_path / "new.db")
    database.close()


def test_a_file_in_use_is_copied_between_two_writes(
    opened: databases.Database, full: studies.Study, tmp_path: pathlib.Path
) -> None:
    """While another process writes, what is restored is one moment of it, or nothing with one line."""
    folder = tmp_path / "there"
    backups.write(opened, full, folder / "live.db")
    file = folder / "live.db"
    stop = threading.Event()

    def work() -> None:
        connection = sqlite3.connect(file, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        for number in itertools.count(100):
            connection.executescript(f"BEGIN; UPDATE search_orders SET trials = {number}; COMMIT;")
            if stop.wait(0.02 if number % 2 else 0.0):
                break
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    while not (folder / "live.db-wal").exists():
        time.sleep(0.01)
    for number in range(5):
        database = databases.Database(f"sqlite:///{tmp_path}/new{number}.db")
        try:
            study = backups.read(database, file)
        except errors.InputError as error:
            assert "is being written to: `search backup` makes a file of a study in use" in str(error)  # noqa: PT017
            assert studies.names(database) == []
        else:
            orders = sqlalchemy.select(schema.orders.c.trials).where(schema.orders.c.study_id == study.study_id)
            found = set(database.read(lambda c, orders=orders: c.execute(orders).scalars().all()))  # type: ignore[misc]
            assert len(found) == 1
        database.close()
    stop.set()
    thread.join()


@pytest.mark.parametrize("name", ["a b", "a#b", "a%41b", "größe", "{x}", "a?b"])
def test_odd_names_of_files(opened: databases.Database, full: studies.Study, tmp_path: pathlib.Path, name: str) -> None:
    """A backup may lie at any path, and is read from there and nowhere else."""
    file = tmp_path / name / f"{name}.db"
    before = everything(opened, full)
    backups.write(opened, full, file)
    database = databases.Database(f"sqlite:///{tmp_path}/new.db")
    assert everything(database, backups.read(database, file)) == before
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    database.close()
