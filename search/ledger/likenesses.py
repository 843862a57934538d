"""Names of studies that look the same: an accent is one character or two, and other tools take either."""

import sqlalchemy

from search import errors
from search.storage import schema
from search.study import names


def find(connection: sqlalchemy.Connection, name: str) -> str | None:
    """The name of a study that looks like this one, in the form that is stored; None where there is none."""
    if name.isascii():
        return None
    rows = connection.execute(sqlalchemy.select(schema.studies.c.study_name).order_by(schema.studies.c.study_id))
    return next((each for each in rows.scalars() if names.normal(each) == names.normal(name)), None)


def check(connection: sqlalchemy.Connection, name: str, own: str | None = None) -> None:
    """Passes a new name that looks like no other study's; the very same one is refused by the database itself.

    Args:
        own: the name that the study has, where it has one.

    Raises:
        errors.StudyExists: another tool gave a study this name with accents of another form.
    """
    if (other := find(connection, name)) not in (None, name, own):
        raise errors.StudyExists(
            f"study {name!r} exists already, from another tool and with accents of another form ({other!a}); "
            "take another name"
        )
