"""The last of what the code of a trial has printed."""

import sqlalchemy
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "search_logs",
        sqlalchemy.Column(
            "trial_id",
            sqlalchemy.Integer,
            sqlalchemy.ForeignKey("trials.trial_id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sqlalchemy.Column("host", sqlalchemy.String(100), nullable=False),
        sqlalchemy.Column("bytes", sqlalchemy.BigInteger, nullable=False),
        sqlalchemy.Column("tail", sqlalchemy.Text, nullable=False),
    )
