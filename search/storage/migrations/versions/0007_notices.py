"""What people are told of a study."""

import sqlalchemy
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "search_notices",
        sqlalchemy.Column("notice_id", sqlalchemy.Integer, primary_key=True),
        sqlalchemy.Column(
            "study_id",
            sqlalchemy.Integer,
            sqlalchemy.ForeignKey("studies.study_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sqlalchemy.Column("key", sqlalchemy.String(100), nullable=False),
        sqlalchemy.Column("event", sqlalchemy.String(20), nullable=False),
        sqlalchemy.Column("body", sqlalchemy.Text, nullable=False),
        sqlalchemy.Column("state", sqlalchemy.String(20), nullable=False),
        sqlalchemy.Column("made_at", sqlalchemy.Float, nullable=False),
        sqlalchemy.Column("due_at", sqlalchemy.Float, nullable=False),
        sqlalchemy.Column("tries", sqlalchemy.Integer, nullable=False),
        sqlalchemy.Column("owner", sqlalchemy.String(40), nullable=False),
        sqlalchemy.Column("delivered", sqlalchemy.Text, nullable=False),
        sqlalchemy.Column("reasons", sqlalchemy.Text, nullable=False),
        sqlalchemy.UniqueConstraint("study_id", "key"),
    )
    op.execute("CREATE INDEX search_notices_pending ON search_notices (study_id, due_at) WHERE state = 'pending'")
    op.create_index("search_notices_event", "search_notices", ["study_id", "event", "notice_id"])
