"""A study as one file, and back: a SQLite database like any other, for whichever database it came from.

Any Optuna tool opens the file. Who works on the study is left out, and who owns a running trial: after a restore such a
trial is adopted like any orphan, and goes on from its checkpoint.
"""

import contextlib
import itertools
import pathlib
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import exc

from search import errors, files
from search.ledger import counts, notices, studies
from search.storage import addresses, batches, copies, outages, schema, upgrades, versions
from search.storage.databases import Database

# beside claims and checkpoints, which are not copied as they are, or one by one
OF_STUDY = (schema.directions, schema.study_attributes, schema.study_system_attributes)
OF_TRIAL = (
    schema.params,
    schema.values,
    schema.steps,
    schema.attributes,
    schema.system_attributes,
    schema.added,
    schema.rungs,
    schema.logs,
)
NOBODY = {"worker": "", "host": "", "pid": 0, "pid_started": 0.0, "grace_seconds": 0.0}
FORMER = "restored"  # the owner of a running trial, which is adopted then; without one it would be another tool's

OnTrials = Callable[[int, int], None]
SILENT: OnTrials = lambda done, total: None  # noqa: E731


def write(database: Database, study: studies.Study, path: pathlib.Path, on_trials: OnTrials = SILENT) -> None:
    """Writes a study into a new file, as it is at one moment, whole or not at all.

    Args:
        on_trials: is told how many trials are written, of how many.

    Raises:
        errors.InputError: the file is there already, or its folder cannot be written.
    """
    if path.exists():
        raise errors.InputError(f"{path} exists already: take another name, or move it away")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".backup-") as folder:
            part = pathlib.Path(folder, "study.db")
            target = Database(addresses.of_file(part))
            try:
                database.read(lambda source: target.write(lambda to: _snapshot(source, to, study.study_id, on_trials)))
            finally:
                target.close()
            _make_one_file(part)
            files.put_in_place(part, path)
    except FileExistsError as error:
        raise errors.InputError(f"{path} exists already: take another name, or move it away") from error
    except OSError as error:
        raise errors.InputError(f"backup {path} cannot be written: {error}") from error


def read(database: Database, path: pathlib.Path, on_trials: OnTrials = SILENT) -> studies.Study:
    """Puts the study of a backup into a storage, whole or not at all.

    Args:
        on_trials: is told how many trials are read, of how many.

    Raises:
        errors.InputError: the file is no backup, or damaged.
        errors.StudyExists: a study of that name is there already.
    """
    if not path.is_file():
        raise errors.InputError(f"no backup at {path}")
    try:
        with _present(path, addresses.sqlite_file(database.url)) as source:
            name, study_id = _content(source, path)
            if studies.find(database, name) is not None:
                raise errors.StudyExists(f"study {name!r} exists already in this storage; nothing was restored")
            database.write(lambda target: copy(source, target, study_id, on_trials=on_trials))
    except exc.IntegrityError as error:
        raise errors.StudyExists(f"study {name!r} exists already in this storage; nothing was restored") from error
    except (exc.DatabaseError, exc.StatementError, ValueError, LookupError) as error:
        if isinstance(error, exc.DBAPIError) and not isinstance(error.orig, sqlite3.Error):
            raise  # the storage's, not the file's
        raise errors.InputError(f"{path} is no backup of a study, or damaged: {outages.first_line(error)}") from error
    restored = studies.find(database, name)
    assert restored is not None
    return restored


@contextlib.contextmanager
def _present(path: pathlib.Path, storage: pathlib.Path | None) -> Iterator[sqlalchemy.Connection]:
    """A connection to the backup, or to a copy, brought up to date, of one that an older version wrote.

    Raises:
        errors.InputError: a newer version wrote it, or it is `storage` itself.
        ValueError: it is damaged.
    """
    with copies.opened(path, but_not=storage) as source:
        version = versions.find(source)
        versions.check_known(version, addresses.of_file(path))
        if version in (None, schema.HEAD):
            yield source
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder, "study.db")
            try:
                with contextlib.closing(sqlite3.connect(copy)) as target:
                    driver: Any = source.connection.driver_connection
                    driver.backup(target)
                upgrades.upgrade(addresses.of_file(copy), keep_copy=False, despite_workers=True)
            except (sqlite3.Error, errors.StorageError) as error:
                raise ValueError(str(error)) from error
            with copies.opened(copy) as upgraded:
                yield upgraded


def _content(source: sqlalchemy.Connection, path: pathlib.Path) -> tuple[str, int]:
    """Name and id of the one study in a backup, which is whole."""
    if (state := source.exec_driver_sql("PRAGMA integrity_check").scalar()) != "ok":
        raise ValueError(state)
    found = source.execute(sqlalchemy.select(schema.studies.c.study_name, schema.studies.c.study_id)).all()
    if len(found) != 1:
        raise errors.InputError(f"{path} must hold one study, as `search backup` writes it, and holds {len(found)}")
    if source.execute(sqlalchemy.select(schema.orders.c.order_id)).first() is None:
        raise ValueError("it holds no budget")
    return found[0].study_name, found[0].study_id


def _snapshot(source: sqlalchemy.Connection, target: sqlalchemy.Connection, study_id: int, on_trials: OnTrials) -> None:
    see_one_moment(source)
    copy(source, target, study_id, on_trials=on_trials)


def see_one_moment(connection: sqlalchemy.Connection) -> None:
    """Lets a transaction, before its first statement, see the database as it is at one moment; on SQLite all do."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def copy(
    source: sqlalchemy.Connection,
    target: sqlalchemy.Connection,
    study_id: int,
    name: str | None = None,
    token: str | None = None,
    owner: str = FORMER,
    on_trials: OnTrials = SILENT,
) -> int:
    """Copies all rows of a study, in their order, under new ids; returns the study's. It holds some trials at a time.

    Args:
        name: of the copy; its own where none is given.
        token: of its first order, a new one where none is given: a study's tokens are its alone.
        owner: of trials that have or had one.
        on_trials: is told how many trials are copied, of how many.
    """
    if name is None:
        own = sqlalchemy.select(schema.studies.c.study_name).where(schema.studies.c.study_id == study_id)
        name = source.execute(own).scalar_one()
    row = schema.studies.insert().values(study_name=name).returning(schema.studies.c.study_id)
    new_study = int(target.execute(row).scalar_one())
    for table in OF_STUDY:
        _insert(target, table, [{**row, "study_id": new_study} for row in _rows(source, table, study_id)])
    done, total = 0, batches.count(source, study_id)
    for trials in batches.of_trials(source, study_id):
        _copy_trials(source, target, trials, new_study, owner)
        done += len(trials)
        on_trials(done, total)
    # last: a trial that comes into a study with orders counts as added by another tool
    tokens = itertools.chain([token or uuid.uuid4().hex], iter(lambda: uuid.uuid4().hex, None))
    ordered = zip(_rows(source, schema.orders, study_id), tokens, strict=False)
    _insert(target, schema.orders, [{**row, "study_id": new_study, "token": new} for row, new in ordered])
    notices.carry(source, target, study_id, new_study)
    counts.fold(target, new_study)  # a row for each trial and claim, which came here at once
    return new_study


def _copy_trials(
    source: sqlalchemy.Connection,
    target: sqlalchemy.Connection,
    trials: Sequence[sqlalchemy.Row[Any]],
    new_study: int,
    owner: str,
) -> None:
    """Copies a few trials with what they have in other tables."""
    new_ids = batches.add_trials(target, new_study, trials)
    of_study = {"study_id": sqlalchemy.literal(new_study)}
    for table in OF_TRIAL:
        batches.carry(source, target, table, new_ids, of_study)
    # their order is the source's, not that of their coming here
    kept = schema.finished
    target.execute(kept.delete().where(kept.c.trial_id.in_(list(new_ids.values()))))
    batches.carry(source, target, kept, new_ids, of_study)
    nobody = {name: sqlalchemy.literal(value) for name, value in NOBODY.items()}
    former = sqlalchemy.case((schema.claims.c.owner == "", ""), else_=owner)
    batches.carry(source, target, schema.claims, new_ids, {**of_study, **nobody, "owner": former})
    saved = sqlalchemy.select(schema.checkpoints.c.trial_id).where(schema.checkpoints.c.trial_id.in_(list(new_ids)))
    for old in source.execute(saved.order_by(schema.checkpoints.c.trial_id)).scalars().all():
        batches.carry(source, target, schema.checkpoints, {old: new_ids[old]}, {})  # of some megabytes each


def _rows(source: sqlalchemy.Connection, table: sqlalchemy.Table, study_id: int) -> list[dict[str, Any]]:
    query = table.select().where(table.c.study_id == study_id).order_by(*table.primary_key)
    return [dict(row) for row in source.execute(query).mappings()]


def _insert(target: sqlalchemy.Connection, table: sqlalchemy.Table, rows: list[dict[str, Any]]) -> None:
    """Inserts rows, which get a new number of their own."""
    (key,) = table.primary_key
    if rows:
        target.execute(table.insert(), [{name: row[name] for name in row if name != key.name} for row in rows])


def _make_one_file(path: pathlib.Path) -> None:
    """Ends write-ahead logging, which would keep a part of the database in a second file."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
