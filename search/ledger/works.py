"""How much work each study holds: epochs and adoptions, over all its trials and owners."""

import dataclasses

import sqlalchemy

from search.storage import databases, schema


@dataclasses.dataclass(frozen=True)
class Work:
    """What a study's claims add up to."""

    epochs: int
    adoptions: int


def read(database: databases.Database) -> dict[int, Work]:
    """Over all trials and owners of each study, by its id."""
    claims = schema.claims
    sums = [sqlalchemy.func.coalesce(sqlalchemy.func.sum(claims.c[name]), 0) for name in ("reached", "adoptions")]
    query = sqlalchemy.select(claims.c.study_id, *sums).group_by(claims.c.study_id)
    rows = database.read(lambda connection: connection.execute(query).all())
    return {row[0]: Work(int(row[1]), int(row[2])) for row in rows}
