"""What a trial is trained with to its end, and what each worker can train with."""

import sqlalchemy
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Adds the columns; of trials under way nothing is known, so anybody goes on with them, as before."""
    op.add_column("search_claims", sqlalchemy.Column("backend", sqlalchemy.String(100)))
    op.add_column(
        "search_workers",
        sqlalchemy.Column("backends", sqlalchemy.Text, nullable=False, server_default=sqlalchemy.text("''")),
    )
