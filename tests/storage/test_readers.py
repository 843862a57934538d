"""Postgres looked at by who may only read, or as if one might."""

import pytest
import sqlalchemy
from conftest import Server, quick_text
from looks import plain

from search import errors
from search.ledger import backups, listings, rosters, studies, summaries
from search.storage import databases, schema
from search.study import specs


def run(url: str, *statements: str) -> None:
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for each in statements:
            connection.exec_driver_sql(each)
    engine.dispose()


@pytest.fixture
def both(postgres: Server) -> str:
    """A database with a study of ours and one of Optuna's own."""
    url = postgres.new_database(postgres.prepared)
    database = databases.Database(url)
    studies.create(database, specs.parse(quick_text(), "quick.toml"))
    database.close()
    plain(url)
    return url


def as_reader(url: str) -> str:
    """The same for a role that may select, and nothing else."""
    name = f"reader_{sqlalchemy.make_url(url).database}"
    database = sqlalchemy.make_url(url).database
    run(
        url,
        f"CREATE ROLE {name} LOGIN",
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {database} TO {name}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO {name}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}",
    )
    return sqlalchemy.make_url(url).set(username=name).render_as_string(hide_password=False)


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_role_that_may_only_select_sees_all(both: str, postgres: Server, is_ours: bool, tmp_path: object) -> None:
    """On a database of ours and on a plain one of Optuna's."""
    url = both
    if not is_ours:
        url = postgres.new_database()
        plain(url)
    database = databases.open_to_read(as_reader(url))
    found = listings.read(database)
    assert len(found) == 1 + is_ours
    assert not [each for each in found if isinstance(each, listings.Unreadable)]
    if is_ours:
        study = studies.load(database, "quick")
        assert rosters.read(database, study.study_id).members == ()
        backups.write(database, study, tmp_path / "quick.db")  # type: ignore[operator]
    database.close()


def test_a_database_that_is_read_only_by_default_is_read(both: str) -> None:
    """As a replica is: whoever looks asks for nothing else."""
    name = sqlalchemy.make_url(both).database
    run(both, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    database = databases.open_to_read(both)
    assert len(listings.read(database)) == 2
    database.close()


def test_the_server_refuses_what_is_written(both: str) -> None:
    """Whoever looks says so to the server, in every transaction, Optuna's too."""
    database = databases.open_to_read(both, patience_seconds=0)
    study = studies.load(database, "quick")
    with pytest.raises(errors.StorageError, match="read-only transaction"):
        database.read(lambda connection: connection.execute(schema.orders.delete()))
    with pytest.raises(errors.StorageError, match="read-only transaction"):
        database.call(lambda: database.optuna.set_study_user_attr(study.study_id, "mine", 1))
    assert summaries.whole(database, study).budget == 10
    database.close()


def test_what_may_not_be_selected_is_one_line(both: str) -> None:
    """A role without any right: the server's own words, at once."""
    name = f"nobody_{sqlalchemy.make_url(both).database}"
    run(both, f"CREATE ROLE {name} LOGIN")
    with pytest.raises(errors.SearchError, match="permission denied for table"):
        listings.read(databases.open_to_read(both.replace("postgres:", f"{name}:", 1)))
