"""What tables of ours are made of: where they are gathered, and the columns that point at Optuna's."""

import sqlalchemy
from optuna.storages._rdb import models

ours = sqlalchemy.MetaData()


def partial(name: str, condition: str, table: sqlalchemy.Table, *columns: str) -> None:
    """An index of the rows that meet a condition."""
    where = sqlalchemy.text(condition)
    sqlalchemy.Index(name, *(table.c[each] for each in columns), sqlite_where=where, postgresql_where=where)


def trial_id() -> sqlalchemy.Column[int]:
    """The trial that a row is of, which has one."""
    parent = sqlalchemy.ForeignKey(models.TrialModel.__table__.c.trial_id, ondelete="CASCADE")
    return sqlalchemy.Column("trial_id", parent, primary_key=True, autoincrement=False)


def study_id() -> sqlalchemy.Column[int]:
    """The study that a row is of."""
    parent = sqlalchemy.ForeignKey(models.StudyModel.__table__.c.study_id, ondelete="CASCADE")
    return sqlalchemy.Column("study_id", parent, nullable=False)
