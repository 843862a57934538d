"""Brings a database that an older version made up to date: Optuna's tables by Optuna, ours by `storage.migrations`."""

import contextlib
import dataclasses
import itertools
import logging
import pathlib
import shutil
import sqlite3
from collections.abc import Iterator

import optuna
import sqlalchemy
from sqlalchemy import exc

from search import errors
from search.storage import addresses, connections, outages, places, schema, statements, storages, triggers, versions

MIGRATIONS = pathlib.Path(__file__).with_name("migrations")


@dataclasses.dataclass(frozen=True)
class Upgrade:
    """What was done to a database.

    Attributes:
        before: the version of our tables that was found; None where there are none.
        after: the version that they have now.
        optuna_before: of Optuna's tables; None where there are none.
        copy: of a SQLite file, as it was.
    """

    before: str | None
    after: str | None
    optuna_before: str | None
    optuna_after: str | None
    copy: pathlib.Path | None = None

    @property
    def is_change(self) -> bool:
        """Whether anything was written."""
        return (self.before, self.optuna_before) != (self.after, self.optuna_after)


def upgrade(url: str, keep_copy: bool = True, despite_workers: bool = False) -> Upgrade:
    """Brings a database up to date, ours in one transaction; one that is current stays as it is.

    Args:
        keep_copy: of a SQLite file, beside it.
        despite_workers: though workers are alive: those of the older version fail then.

    Raises:
        errors.InputError: there is no such database, a newer version made it, or workers are alive.
        errors.StorageError: it stayed away or is damaged; nothing of ours was written.
    """
    file = addresses.sqlite_file(url)
    if file is not None and not file.exists():
        raise errors.StudyNotFound(f"no database at {file}; there is nothing to upgrade")
    if file is not None:
        places.check_file(file)
    kwargs = connections.POSTGRES_KWARGS if file is None else {"connect_args": {"timeout": connections.LOCK_SECONDS}}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    probe, storage = sqlalchemy.create_engine(url, **kwargs), storages.Storage(url, kwargs)
    try:
        with connections.rules(url):
            versions.has_ours(probe)  # before a lock is left beside what is no database
        with connections._schema_lock(probe):
            return _upgrade(probe, storage, file if keep_copy else None, despite_workers)
    except RuntimeError as error:  # of `storage.prepare`
        raise errors.InputError(f"storage {addresses.hide_password(url)}: {error}") from error
    except (exc.DBAPIError, exc.TimeoutError, optuna.exceptions.StorageInternalError, sqlite3.Error, OSError) as error:
        raise errors.StorageError(
            f"storage {addresses.hide_password(url)} was not upgraded: {outages.first_line(error)}"
        ) from error
    finally:
        probe.dispose()
        storage.engine.dispose()


def _upgrade(
    probe: sqlalchemy.Engine, storage: storages.Storage, file: pathlib.Path | None, despite_workers: bool
) -> Upgrade:
    with probe.connect() as connection:
        ours, optunas = versions.find(connection), storages.find_version(connection)
        versions.check_known(ours, storage.url)
        is_old, is_optuna_old = ours not in (None, schema.HEAD), optunas not in (None, storages.HEAD)
        if not is_old and not is_optuna_old:
            return Upgrade(ours, ours, optunas, optunas)
        if ours is not None and not despite_workers:
            _refuse_workers(connection, storage.url)
    if is_optuna_old and not storages.is_older(optunas):
        storage.prepare()  # says why not
    copy = _copy(file) if file is not None else None
    if is_optuna_old:
        storage.upgrade()
        storage.engine.dispose()
        if ours == schema.HEAD:  # on SQLite a table that is made anew has lost its triggers
            with _transaction(storage.engine) as connection:
                triggers.create(connection)
    if is_old:
        try:
            with _transaction(storage.engine) as connection:
                migrate(connection)
        except BaseException:
            if copy is not None and not is_optuna_old:
                copy.unlink()  # the database is as it was
            raise
    return Upgrade(ours, schema.HEAD if ours else None, optunas, storages.HEAD, copy)


def migrate(connection: sqlalchemy.Connection) -> None:
    """Takes the steps that our tables need, in the caller's transaction."""
    from alembic import command, config

    logging.getLogger("alembic").setLevel(logging.WARNING)
    found = versions.find(connection)
    schema.version.create(connection, checkfirst=True)
    if found == versions.FIRST:
        connection.execute(schema.version.delete())
        connection.execute(schema.version.insert().values(version_num=versions.FIRST))
    settings = config.Config(attributes={"connection": connection})
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(settings, schema.HEAD)
    triggers.create(connection)


@contextlib.contextmanager
def _transaction(engine: sqlalchemy.Engine) -> Iterator[sqlalchemy.Connection]:
    """One that takes definitions of tables in too, on SQLite as well."""
    (connections._make_exact if engine.dialect.name == "sqlite" else connections.limit_locks)(engine)
    engine.dispose()
    with engine.connect().execution_options(begin_immediate=True) as connection, connection.begin():
        yield connection


def _refuse_workers(connection: sqlalchemy.Connection, url: str) -> None:
    age = statements.clock(connection) - schema.workers.c.seen_at
    alive = (
        sqlalchemy.select(schema.studies.c.study_name, sqlalchemy.func.count())
        .join(schema.workers, schema.workers.c.study_id == schema.studies.c.study_id)
        .where(age < schema.workers.c.grace_seconds)
        .group_by(schema.studies.c.study_name)
        .order_by(schema.studies.c.study_name)
    )
    found = connection.execute(alive).all()
    if found:
        who = ", ".join(f"{count} of {name!r}" for name, count in found)
        raise errors.InputError(
            f"storage {addresses.hide_password(url)}: workers are alive ({who}) and would fail: end them by the "
            "older version's `search stop STUDY --now`; --yes upgrades anyway"
        )


def _copy(file: pathlib.Path) -> pathlib.Path:
    """A SQLite file as it is, its log included, beside it, under a name that is free."""
    names = (f"{file}.before-{schema.HEAD}{'' if not number else f'-{number}'}" for number in itertools.count())
    copy = next(path for path in map(pathlib.Path, names) if not path.exists())
    part = pathlib.Path(f"{copy}.part")
    try:
        with contextlib.closing(sqlite3.connect(file)) as source, contextlib.closing(sqlite3.connect(part)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        shutil.copymode(file, part)
        part.rename(copy)
    finally:
        part.unlink(missing_ok=True)
    return copy
