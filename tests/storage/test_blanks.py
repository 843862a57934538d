"""Databases without tables of ours, read as ones in which they are empty."""

import pathlib
from typing import Any

import optuna
import pytest
import releases
import sqlalchemy
from conftest import Server, quick_text
from looks import plain

from search import errors
from search.ledger import identities, listings, outsiders, studies, summaries
from search.storage import databases, schema
from search.study import specs


def tables(url: str) -> list[str]:
    """What there is, tables of ours and of anybody."""
    engine = sqlalchemy.create_engine(url)
    found = sorted(sqlalchemy.inspect(engine).get_table_names())
    engine.dispose()
    return found


def test_an_empty_database_has_no_studies(empty_url: str, tmp_path: pathlib.Path) -> None:
    """Nothing is made in it."""
    if empty_url.startswith("sqlite"):
        (tmp_path / "search.db").touch()
    database = databases.open_to_read(empty_url)
    assert listings.read(database) == []
    assert database.optuna.get_all_studies() == []
    with pytest.raises(errors.StudyNotFound, match="no study 'lab' in .*`search create STUDY` makes one"):
        studies.load(database, "lab")
    assert tables(empty_url) == []


def test_other_tools_studies_are_read(empty_url: str) -> None:
    """By the queries that read ours, and no table of ours is made."""
    study = plain(empty_url)
    before = tables(empty_url)
    database = databases.open_to_read(empty_url)
    (found,) = listings.read(database)
    assert isinstance(found, outsiders.Outsider)
    assert (found.name, found.total) == ("theirs", 12)
    assert identities.of_studies(database, [study._study_id])[study._study_id][:2] == ("theirs", None)
    assert not [name for name in before if name.startswith("search_")]
    assert tables(empty_url) == before


def test_tables_that_come_later_are_seen(empty_url: str) -> None:
    """Who stays follows: the first study of ours in somebody's database appears beside theirs."""
    plain(empty_url)
    database = databases.open_to_read(empty_url)
    assert [each.name for each in studies.all_stored(database)] == ["theirs"]
    other = databases.Database(empty_url)
    made = studies.create(other, specs.parse(quick_text(), "quick.toml"))
    found = listings.read(database)
    assert [type(each) for each in found] == [outsiders.Outsider, summaries.Summary]
    assert isinstance(found[1], summaries.Summary)
    assert found[1].study == made


def test_who_would_write_to_nothing_of_ours_changes_nothing(empty_url: str) -> None:
    """A database for a verb that needs a study of ours is looked at first."""
    plain(empty_url)
    before = tables(empty_url)
    database = databases.open_existing(empty_url)
    with pytest.raises(errors.InputError, match="study 'theirs' is Optuna's own: it was not made by `search create`"):
        studies.load(database, "theirs")
    with pytest.raises(errors.InputError, match="`search adopt theirs --objective FILE.py:FUNCTION` makes"):
        studies.load(database, "theirs")
    with pytest.raises(errors.StudyNotFound, match="did you mean theirs"):
        studies.load(database, "their")
    database.close()
    assert tables(empty_url) == before


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize(
    ("table", "version", "words"),
    [
        ("search_version", None, "was made by an older version .0001, .*`search upgrade` brings it up to date"),
        ("search_version", "0999", "was made by a newer version of this program: its tables are 0999"),
        ("alembic_version", "v2.6.0.a", "its tables are an older Optuna's .v2.6.0.a, .*`search upgrade` brings"),
        ("alembic_version", "v9.9.9.z", "its tables are a newer Optuna's .v9.9.9.z"),
    ],
)
def test_other_versions_are_one_line(
    kind: str, table: str, version: str | None, words: str, tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> None:
    """An older or newer version of ours or of Optuna's is told what to do, and is left as it is."""
    if version is None:
        server: Any = request.getfixturevalue("postgres") if kind == "postgres" else None
        url = releases.sqlite(tmp_path / "old.db") if server is None else releases.postgres(server)
    else:
        server = request.getfixturevalue("postgres") if kind == "postgres" else None
        url = f"sqlite:///{tmp_path}/x.db" if server is None else server.new_database(server.prepared)
        databases.Database(url).close()
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE {table} SET version_num = '{version}'")
        engine.dispose()
    before, names = releases.content(url), sorted(tmp_path.iterdir())
    with pytest.raises(errors.InputError, match=words):
        databases.open_to_read(url)
    assert releases.content(url) == before
    assert sorted(tmp_path.iterdir()) == names


def test_names_of_tables_are_filled_in_once(empty_url: str) -> None:
    """A query of several missing tables, joined, counted and summed, as ours are."""
    optuna.create_study(study_name="theirs", storage=empty_url)
    database = databases.open_to_read(empty_url)
    both = schema.claims.join(schema.orders, schema.orders.c.study_id == schema.claims.c.study_id)
    query = sqlalchemy.select(
        sqlalchemy.func.count(), sqlalchemy.func.coalesce(sqlalchemy.func.sum(schema.claims.c.seconds), 0.0)
    ).select_from(both)
    assert database.read(lambda connection: tuple(connection.execute(query).one())) == (0, 0.0)


def test_a_file_of_another_kind_is_empty_too(tmp_path: pathlib.Path, postgres: Server) -> None:
    """Somebody's database that is none of Optuna's has no studies, and keeps its tables."""
    for url in (f"sqlite:///{tmp_path}/other.db", postgres.new_database()):
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE trials (mine INTEGER)")
        assert listings.read(databases.open_to_read(url)) == []
        assert tables(url) == ["trials"]
        engine.dispose()
