"""The tables that did not say their version: claims, orders, checkpoints, workers."""

import sqlalchemy
from alembic import op

revision = "0001"
down_revision = None

CASCADES = (
    ("search_claims", "trials", "trial_id"),
    ("search_orders", "studies", "study_id"),
    ("search_workers", "studies", "study_id"),
    ("search_checkpoints", "trials", "trial_id"),
)


def upgrade() -> None:
    """Makes them."""
    _create_claims()
    _create_others()
    if op.get_bind().dialect.name == "sqlite":
        for table, parent, column in CASCADES:
            op.execute(
                f"CREATE TRIGGER {table}_cascade AFTER DELETE ON {parent} "
                f"BEGIN DELETE FROM {table} WHERE {column} = OLD.{column}; END"
            )


def _create_claims() -> None:
    op.create_table(
        "search_claims",
        _of("trial_id", "trials.trial_id", is_key=True),
        _of("study_id", "studies.study_id"),
        sqlalchemy.Column("config", sqlalchemy.String(500)),
        sqlalchemy.Column("repeat", sqlalchemy.Integer, nullable=False),
        sqlalchemy.Column("request", sqlalchemy.String(40), index=True),
        sqlalchemy.Column("owner", sqlalchemy.String(40), nullable=False, index=True),
        *(
            sqlalchemy.Column(name, sqlalchemy.Integer, nullable=False)
            for name in ("generation", "beat", "reached", "stalls", "adoptions")
        ),
        sqlalchemy.Column("seconds", sqlalchemy.Float, nullable=False),
        sqlalchemy.Column("told", sqlalchemy.Boolean, nullable=False),
        sqlalchemy.Column("worker", sqlalchemy.String(200), nullable=False),
        sqlalchemy.Column("host", sqlalchemy.String(100), nullable=False),
        sqlalchemy.Column("pid", sqlalchemy.Integer, nullable=False),
        sqlalchemy.Column("pid_started", sqlalchemy.Float, nullable=False),
        sqlalchemy.UniqueConstraint("study_id", "config"),
    )


def _create_others() -> None:
    op.create_table(
        "search_orders",
        sqlalchemy.Column("order_id", sqlalchemy.Integer, primary_key=True),
        _of("study_id", "studies.study_id"),
        sqlalchemy.Column("token", sqlalchemy.String(40), nullable=False, unique=True),
        sqlalchemy.Column("trials", sqlalchemy.Integer, nullable=False),
        sqlalchemy.Column("hours", sqlalchemy.Float),
        sqlalchemy.Column("state", sqlalchemy.String(20), nullable=False),
        sqlalchemy.Column("at_once", sqlalchemy.Boolean, nullable=False),
    )
    op.create_table(
        "search_checkpoints",
        _of("trial_id", "trials.trial_id", is_key=True),
        sqlalchemy.Column("epoch", sqlalchemy.Integer, nullable=False),
        sqlalchemy.Column("history", sqlalchemy.Text, nullable=False),
        sqlalchemy.Column("weights", sqlalchemy.LargeBinary, nullable=False),
        sqlalchemy.Column("checksum", sqlalchemy.String(64), nullable=False),
    )
    op.create_table(
        "search_workers",
        sqlalchemy.Column("worker_id", sqlalchemy.String(40), primary_key=True),
        _of("study_id", "studies.study_id"),
        sqlalchemy.Column("name", sqlalchemy.String(200), nullable=False),
        sqlalchemy.Column("host", sqlalchemy.String(100), nullable=False),
        sqlalchemy.Column("pid", sqlalchemy.Integer, nullable=False),
        sqlalchemy.Column("pid_started", sqlalchemy.Float, nullable=False),
        sqlalchemy.Column("device", sqlalchemy.String(40), nullable=False),
        sqlalchemy.Column("grace_seconds", sqlalchemy.Float, nullable=False),
        sqlalchemy.Column("seen_at", sqlalchemy.Float, nullable=False),
    )


def _of(name: str, parent: str, is_key: bool = False) -> sqlalchemy.Column[int]:
    key = sqlalchemy.ForeignKey(parent, ondelete="CASCADE")
    if is_key:
        return sqlalchemy.Column(name, sqlalchemy.Integer, key, primary_key=True, autoincrement=False)
    return sqlalchemy.Column(name, sqlalchemy.Integer, key, nullable=False)
