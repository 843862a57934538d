"""Where a study's function lives."""

import json

import mine

from search.ledger import homes, studies
from search.storage import databases, schema
from search.study import specs


def test_it_is_kept_and_said_anew(opened: databases.Database) -> None:
    """Nothing at first, then what was said last; what another tool writes there is nothing."""
    study = studies.create(opened, specs.parse(mine.text("__main__:objective"), "own.toml"))
    assert homes.read(opened, study) is None
    for home in (homes.Home("a notebook", "1a"), homes.Home("script tune.py", "2b")):
        homes.write(opened, study, home)
        assert homes.read(opened, study) == home
    table = schema.study_attributes
    for odd in ("none", [1], {"place": "here"}):
        change = table.update().where(table.c.key == homes.KEY).values(value_json=json.dumps(odd))
        opened.write(lambda connection, change=change: connection.execute(change))  # type: ignore[misc]
        assert homes.read(opened, study) is None
