"""Trials that pause: what a claim and the counts say of them, what trials had at each rung, how often some woke."""

import sqlalchemy
from alembic import op

revision = "0004"
down_revision = "0003"

ZERO = sqlalchemy.text("0")


def upgrade() -> None:
    """Makes the columns, the table and the indexes; the triggers, made when all steps are done, fill the counts."""
    op.add_column("search_claims", sqlalchemy.Column("paused", sqlalchemy.Integer))
    op.add_column("search_claims", sqlalchemy.Column("standing", sqlalchemy.Float))
    op.add_column("search_claims", sqlalchemy.Column("passed", sqlalchemy.Integer, nullable=False, server_default=ZERO))
    op.add_column(
        "search_orders", sqlalchemy.Column("wakings", sqlalchemy.Integer, nullable=False, server_default=ZERO)
    )
    op.add_column("search_counts", sqlalchemy.Column("paused", sqlalchemy.Integer, nullable=False, server_default=ZERO))
    op.execute("DROP INDEX search_claims_open")
    op.execute(
        "CREATE INDEX search_claims_open ON search_claims (study_id) "
        "WHERE NOT told AND generation > 0 AND paused IS NULL"
    )
    op.execute(
        "CREATE INDEX search_claims_paused ON search_claims (study_id, paused, standing, trial_id) "
        "WHERE NOT told AND paused IS NOT NULL"
    )
    op.create_table(
        "search_rungs",
        sqlalchemy.Column("rung_id", sqlalchemy.Integer, primary_key=True),
        _parent("trial_id", "trials.trial_id"),
        _parent("study_id", "studies.study_id"),
        sqlalchemy.Column("rung", sqlalchemy.Integer, nullable=False),
        sqlalchemy.Column("place", sqlalchemy.Integer, nullable=False),
        sqlalchemy.Column("standing", sqlalchemy.Float),
        sqlalchemy.UniqueConstraint("trial_id", "rung"),
    )
    op.create_index("search_rungs_place", "search_rungs", ["study_id", "rung", "place"])
    op.create_index("search_rungs_standing", "search_rungs", ["study_id", "rung", "standing", "trial_id"])


def _parent(name: str, parent: str) -> sqlalchemy.Column[int]:
    return sqlalchemy.Column(
        name, sqlalchemy.Integer, sqlalchemy.ForeignKey(parent, ondelete="CASCADE"), nullable=False
    )
