"""Where a study's function lives that no worker can import, and which version of it the last run had."""

import dataclasses
import json

import sqlalchemy

from search.ledger import studies
from search.storage import schema, statements
from search.storage.databases import Database

KEY = "search:function"


@dataclasses.dataclass(frozen=True)
class Home:
    """Where it lives, in words, and the checksum of its code."""

    place: str
    checksum: str


def read(database: Database, study: studies.Study) -> Home | None:
    """What is known of it; None where nothing is, or another tool wrote something else."""
    table = schema.study_attributes
    query = sqlalchemy.select(table.c.value_json).where(table.c.study_id == study.study_id, table.c.key == KEY)
    stored = database.read(lambda connection: connection.execute(query).scalar())
    try:
        said = json.loads(stored or "null")
        return Home(str(said["place"]), str(said["checksum"]))
    except (ValueError, TypeError, KeyError):
        return None


def write(database: Database, study: studies.Study, home: Home) -> None:
    """Says where it lives now."""
    row = {"study_id": study.study_id, "key": KEY, "value_json": json.dumps(dataclasses.asdict(home))}
    database.write(lambda connection: statements.put(connection, schema.study_attributes, ("study_id", "key"), [row]))
