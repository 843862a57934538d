"""Why trials of a study were pruned or failed, counted: reasons without their figures."""

import collections
import json

import sqlalchemy

from search import words
from search.ledger import counts, summaries
from search.storage import schema
from search.storage.databases import Database
from search.training import records


def count(database: Database, summary: summaries.Summary) -> dict[str, int]:
    """How many trials were pruned or failed for each reason, the most frequent first.

    A reason's figures, behind its first colon, are left out.
    """
    t, a = schema.trials.c, schema.attributes.c
    query = sqlalchemy.select(t.number, t.state, a.value_json).join(schema.attributes, a.trial_id == t.trial_id)
    query = query.where(t.study_id == summary.study.study_id, t.state.in_(counts.ENDED), a.key == records.REASON.name)
    found: collections.Counter[str] = collections.Counter()
    for number, state, text in database.read(lambda connection: connection.execute(query.order_by(t.trial_id)).all()):
        reason = json.loads(text)
        if isinstance(reason, str):
            again = " and put back" if number in summary.put_back else ""
            found[f"{words.STATES[state]}{again}, {reason.partition(':')[0]}"] += 1
    return dict(found.most_common())
