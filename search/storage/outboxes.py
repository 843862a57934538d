"""The table of what people are told of a study, each event once by its `key`; see `ledger.notices`.

`made_at` and `due_at` are the database's clock. `delivered` and `reasons` name addresses by their places in the file of
addresses, and hold nothing secret; `body` is the message, as JSON; `owner` is the token of a try that is under way.
"""

from typing import Any

import sqlalchemy

from search.storage import columns

NOTICE: dict[str, Any] = {
    **{"key": sqlalchemy.String(100), "event": sqlalchemy.String(20), "body": sqlalchemy.Text},
    **{"state": sqlalchemy.String(20), "made_at": sqlalchemy.Float, "due_at": sqlalchemy.Float},
    **{"tries": sqlalchemy.Integer, "owner": sqlalchemy.String(40)},
    **{"delivered": sqlalchemy.Text, "reasons": sqlalchemy.Text},
}
notices = sqlalchemy.Table(
    "search_notices",
    columns.ours,
    sqlalchemy.Column("notice_id", sqlalchemy.Integer, primary_key=True),
    columns.study_id(),
    *(sqlalchemy.Column(name, kind, nullable=False) for name, kind in NOTICE.items()),
    sqlalchemy.UniqueConstraint("study_id", "key"),
    sqlalchemy.Index("search_notices_event", "study_id", "event", "notice_id"),
)
PENDING = "state = 'pending'"
columns.partial("search_notices_pending", PENDING, notices, "study_id", "due_at")
