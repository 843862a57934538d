"""Counts that the database keeps, and indexes for what is looked at while a study is locked."""

import sqlalchemy
from alembic import op

revision = "0003"
down_revision = "0002"

KEPT = ("running", "waiting", "complete", "pruned", "fail", "added", "failures", "configs")


def upgrade() -> None:
    """Makes them; the triggers, which are made when all steps are done, fill the counts."""
    op.create_table(
        "search_counts",
        sqlalchemy.Column("count_id", sqlalchemy.Integer, primary_key=True),
        sqlalchemy.Column("study_id", sqlalchemy.Integer, nullable=False, index=True),
        *(_kept(name, sqlalchemy.Integer) for name in KEPT),
        _kept("microseconds", sqlalchemy.BigInteger),
    )
    op.execute("CREATE INDEX search_trials_state ON trials (study_id, state, trial_id)")
    op.execute("CREATE INDEX search_trials_number ON trials (study_id, number)")
    op.create_index("search_claims_worker", "search_claims", ["study_id", "worker", "trial_id"])
    op.execute("CREATE INDEX search_claims_open ON search_claims (study_id) WHERE NOT told AND generation > 0")
    op.execute("CREATE INDEX search_added_unknown ON search_added (study_id) WHERE NOT is_known")


def _kept(name: str, kind: type[sqlalchemy.Integer]) -> sqlalchemy.Column[int]:
    return sqlalchemy.Column(name, kind, nullable=False, server_default=sqlalchemy.text("0"))
