"""Summaries of many studies at once, by a few queries for all of them and one for the best trial of each."""

from collections.abc import Sequence

import sqlalchemy
from sqlalchemy import Connection

from search.ledger import counts, coverages, excerpts, orders, stops, studies, summaries
from search.storage import schema, trials


def read(connection: Connection, asked: Sequence[studies.Study]) -> dict[int, summaries.Summary]:
    """A summary of each study that is still there, by its id: counts, sums and the best trial, without the others.

    What is `is_exhausted`, `is_answered` or `put_back` is not looked for, nor `done_seconds`.

    Raises:
        errors.InputError: an order is of a newer version.
    """
    tokens = _tokens(connection)
    there = [study for study in asked if tokens.get(study.study_id) == study.token]
    ordered, found, spent = orders.all_latest(connection), counts.all_of(connection), counts.all_seconds(connection)
    brought = set(connection.execute(sqlalchemy.select(schema.added.c.study_id).distinct()).scalars())
    imported = counts.imported(connection) if brought else {}
    bests = {}
    for study in there:
        outside = coverages.outside(connection, study) if study.study_id in brought else frozenset()
        bests[study.study_id] = outside, excerpts.best_id(connection, study, outside)
    ids = [best for _, best in bests.values() if best is not None]
    of = {trial._trial_id: trial for trial in trials.read(connection, None, ids, attributes=(), steps=False)}
    nothing = counts.Counts.empty()
    read = {}
    for study in there:
        count = found.get(study.study_id, nothing)
        outside, best = bests[study.study_id]
        read[study.study_id] = summaries.Summary(
            **summaries.NOTHING,
            study=study,
            order=ordered[study.study_id],
            standing=_standing(connection, study, ordered[study.study_id]),
            states=summaries.states(connection, study.study_id) if count.added else count.states,
            own=count.states,
            paused=count.paused,
            done=count.done,
            failures=count.failures,
            added=count.added,
            imported=imported.get(study.study_id, 0),
            seconds=sum(spent.get(study.study_id, ())),
            outside=outside,
            best=None if best is None else of.get(best),
        )
    return read


def _standing(connection: Connection, study: studies.Study, order: orders.Order) -> stops.Standing:
    return stops.read(connection, study, order) if order.has_any else stops.UNKNOWN


def _tokens(connection: Connection) -> dict[int, str]:
    """Of the first order of each study."""
    first = sqlalchemy.select(sqlalchemy.func.min(schema.orders.c.order_id)).group_by(schema.orders.c.study_id)
    query = sqlalchemy.select(schema.orders.c.study_id, schema.orders.c.token)
    return {row[0]: row[1] for row in connection.execute(query.where(schema.orders.c.order_id.in_(first)))}
