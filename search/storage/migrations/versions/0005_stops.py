"""What ends a study before its trials are used up, and in which order its trials have finished."""

from typing import Any

import sqlalchemy
from alembic import op

revision = "0005"
down_revision = "0004"

OF_ORDER: dict[str, Any] = {
    "target": sqlalchemy.Float(),
    "patience": sqlalchemy.Integer(),
    "deadline": sqlalchemy.String(40),
    "regret": sqlalchemy.Float(),
    "begun_at": sqlalchemy.Float(),
    "bound": sqlalchemy.Float(),
    "bound_trials": sqlalchemy.Integer(),
}


def upgrade() -> None:
    """Makes them; the triggers' making, when all steps are done, fills in what has finished."""
    for name, kind in OF_ORDER.items():
        op.add_column("search_orders", sqlalchemy.Column(name, kind))
    op.create_table(
        "search_finished",
        sqlalchemy.Column(
            "trial_id",
            sqlalchemy.Integer,
            sqlalchemy.ForeignKey("trials.trial_id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sqlalchemy.Column("study_id", sqlalchemy.Integer, nullable=False),
        sqlalchemy.Column("place", sqlalchemy.Integer, nullable=False),
        sqlalchemy.Column("score", sqlalchemy.Float),
        sqlalchemy.Column("is_outside", sqlalchemy.Boolean, nullable=False),
        sqlalchemy.Column("is_counted", sqlalchemy.Boolean, nullable=False),
    )
    op.create_index("search_finished_place", "search_finished", ["study_id", "place"])
    op.execute(
        "CREATE INDEX search_finished_best ON search_finished (study_id, score, place, trial_id) "
        "WHERE score IS NOT NULL AND NOT is_outside"
    )
    op.execute("CREATE INDEX search_finished_counted ON search_finished (study_id, place, trial_id) WHERE is_counted")
