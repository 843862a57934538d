"""Optuna's storage, opened without alembic where the schema is the one that this version of Optuna makes.

Alembic knows how to upgrade old schemas, and takes a fifth of a second to import: more than reading a small study.
"""

import contextlib
import functools
from typing import Any

import optuna
import sqlalchemy
from optuna.storages._rdb import models
from optuna.storages._rdb import storage as rdb
from optuna.study._frozen import FrozenStudy
from sqlalchemy import orm

HEAD = "v3.2.0.a"  # alembic's name for the schema of Optuna 5.0; a test compares it with alembic's own
STUDIES = models.StudyModel.__table__
VERSIONS = sqlalchemy.table("alembic_version", sqlalchemy.column("version_num"))


class Storage(optuna.storages.RDBStorage):
    """An RDBStorage that looks at the schema when it is asked to, by `prepare`, and not at each start."""

    def __init__(self, url: str, engine_kwargs: dict[str, Any]) -> None:
        # what RDBStorage.__init__ sets, in its order
        self.engine_kwargs, self.url = engine_kwargs, url
        self.skip_compatibility_check = False
        self.heartbeat_interval = self.grace_period = None
        self.heartbeat_stale_trial_callback = self.failed_trial_callback = None
        self.engine = sqlalchemy.create_engine(url, **engine_kwargs)
        self.scoped_session = orm.scoped_session(orm.sessionmaker(bind=self.engine))

    @functools.cached_property
    def _version_manager(self) -> Any:  # type: ignore[override]  # RDBStorage's attribute, made when it is needed
        return rdb._VersionManager(self.url, self.engine, self.scoped_session)

    def __getstate__(self) -> dict[str, Any]:
        _ = self._version_manager  # RDBStorage takes it out of the state
        return super().__getstate__()

    def prepare(self) -> None:
        """Makes Optuna's tables where they are missing.

        Raises:
            RuntimeError: they are of another version.
        """
        models.BaseModel.metadata.create_all(self.engine)
        check(self._version_manager.get_current_version())

    def get_all_studies(self) -> list[FrozenStudy]:
        """All studies; one whose attributes or directions are nobody's hides no other, and is shown without them."""
        try:
            return super().get_all_studies()
        except (ValueError, LookupError):
            with self.engine.connect() as connection:
                query = sqlalchemy.select(STUDIES.c.study_id, STUDIES.c.study_name).order_by(STUDIES.c.study_id)
                return [self._as_far_as_it_goes(*row) for row in connection.execute(query).all()]

    def _as_far_as_it_goes(self, study_id: int, name: str) -> FrozenStudy:
        found: dict[str, Any] = {"directions": [], "user_attrs": {}, "system_attrs": {}}
        asked = (self.get_study_directions, self.get_study_user_attrs, self.get_study_system_attrs)
        for key, ask in zip(found, asked, strict=True):
            with contextlib.suppress(ValueError, LookupError):
                found[key] = ask(study_id)
        return FrozenStudy(study_name=name, direction=None, study_id=study_id, **found)


def check(version: str | None) -> None:
    """Passes tables of Optuna's that are of this version.

    Raises:
        RuntimeError: they are of another one.
    """
    if version == HEAD:
        return
    if is_older(version):
        raise RuntimeError(
            f"its tables are an older Optuna's ({version or 'no version'}, this one's are {HEAD}): `search upgrade` "
            "brings them up to date; make a copy first"
        )
    raise RuntimeError(
        f"its tables are a newer Optuna's ({version}, this one's are {HEAD}): take the version of this program that "
        "made them"
    )


def is_older(version: str | None) -> bool:
    """Whether Optuna can bring tables of this version, or of none, up to date."""
    return version != HEAD and (version is None or version in _versions())


def _versions() -> list[str]:
    """All that Optuna knows; asked beside the database, into which asking would write."""
    aside = Storage("sqlite://", {})
    models.BaseModel.metadata.create_all(aside.engine)
    try:
        return list(aside._version_manager.get_all_versions())
    finally:
        aside.engine.dispose()


def find_version(connection: sqlalchemy.Connection) -> str | None:
    """The version of Optuna's tables; None where it is not there."""
    if not sqlalchemy.inspect(connection).has_table(VERSIONS.name):
        return None
    return connection.execute(sqlalchemy.select(VERSIONS.c.version_num)).scalar()
