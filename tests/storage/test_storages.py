"""Optuna's storage as ours opens it."""

import pickle

import optuna
import pytest
import sqlalchemy

from search.storage import databases, storages, versions


def test_the_expected_schema_is_optunas(url: str) -> None:
    """The version that needs no look by alembic is the one that this Optuna makes."""
    storage = optuna.storages.RDBStorage(url)
    assert storage.get_head_version() == storages.HEAD == storage.get_current_version()


def test_an_empty_database_is_not_current(empty_url: str) -> None:
    """Nothing is skipped where there are no tables yet; afterwards they are there, and stamped."""
    engine = sqlalchemy.create_engine(empty_url)
    assert not versions.is_current(engine)
    databases.Database(empty_url).close()
    assert versions.is_current(engine)
    engine.dispose()


def test_it_is_an_rdbstorage_like_any_other(opened: databases.Database) -> None:
    """All that RDBStorage sets is set: its version can be asked for, it survives a pickle, a study works on it."""
    plain = optuna.storages.RDBStorage(opened.url)
    assert set(vars(plain)) - {"_version_manager"} <= set(vars(opened.optuna))
    assert opened.optuna.get_current_version() == storages.HEAD
    copied = pickle.loads(pickle.dumps(opened.optuna))  # noqa: S301  # our own
    study = optuna.create_study(storage=copied)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(plain.get_all_trials(study._study_id)) == 2


@pytest.mark.parametrize("seconds", [0.5, 7.0])
def test_patience_is_its_own(opened: databases.Database, seconds: float) -> None:
    """Who waits otherwise has a view of the database; the one that it was given stays as it is."""
    stop, before = opened.stop, opened.patience_seconds
    other = opened.patient(seconds)
    assert (other.patience_seconds, other.engine) == (seconds, opened.engine)
    other.stop.set()
    assert (opened.patience_seconds, opened.stop, opened.stop.is_set()) == (before, stop, False)
