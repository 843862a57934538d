"""The studies of which people are told something."""

import contextlib

from search import errors
from search.ledger import studies
from search.storage import schema
from search.storage.databases import Database


def of(database: Database, study_id: int | None = None) -> list[studies.Study]:
    """The studies of which people are told anything; one that cannot be read is left out.

    Args:
        study_id: look at this one alone.
    """
    query = studies.rows().where(schema.study_attributes.c.value_json.contains("notify"))
    if study_id is not None:
        query = query.where(schema.studies.c.study_id == study_id)
    found = []
    for row in database.read(lambda connection: connection.execute(query).all()):
        with contextlib.suppress(errors.InputError):
            study = studies.Stored(*row).read()
            found += [study] if study.spec.notify.is_on else []
    return found
