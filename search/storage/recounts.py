"""The counts of the rows themselves, in one statement, and what those that the database keeps lack of them."""

import sqlalchemy

from search.storage import schema, tallies

# names of tables and columns are no input
# ruff: noqa: S608


def _rows(where: str) -> str:
    """The counts of the rows themselves: a line for each trial and claim."""
    values = ", ".join(
        f"{value} AS {name}"
        for name, value in zip(
            tallies.OF_TRIAL,
            tallies.of_trial("trials.state", "added.trial_id IS NOT NULL", "blamed.trial_id IS NOT NULL"),
            strict=True,
        )
    )
    own = ", ".join(
        f"{value} AS {name}" for name, value in zip(tallies.OF_CLAIM, tallies.of_claim("claims"), strict=True)
    )
    nothing = ", ".join(f"0 AS {name}" for name in tallies.OF_TRIAL)
    return (
        f"SELECT trials.study_id, {values}, {', '.join(f'0 AS {name}' for name in tallies.OF_CLAIM)} FROM trials "
        f"LEFT JOIN {schema.added.name} AS added ON added.trial_id = trials.trial_id AND NOT added.ran "
        f"LEFT JOIN {schema.claims.name} AS blamed ON blamed.trial_id = trials.trial_id AND blamed.told "
        f"AND NOT blamed.excused WHERE trials.study_id {where} "
        f"UNION ALL SELECT claims.study_id, {nothing}, {own} FROM {schema.claims.name} AS claims "
        f"WHERE claims.study_id {where}"
    )


def _lacking(where: str) -> str:
    """What has to be added to the sums of each study that they be the counts of its rows."""
    sums = ", ".join(f"sum({name}) AS {name}" for name in tallies.ALL)
    less = ", ".join(f"-{name}" for name in tallies.ALL)
    wrong = " OR ".join(f"sum({name}) <> 0" for name in tallies.ALL)
    return (
        f"SELECT study_id, {sums} FROM ({_rows(where)} "
        f"UNION ALL SELECT study_id, {less} FROM {tallies.COUNTS} WHERE study_id {where}) AS each_row "
        f"GROUP BY study_id HAVING {wrong}"
    )


def _recount(where: str) -> str:
    return f"INSERT INTO {tallies.COUNTS} (study_id, {', '.join(tallies.ALL)}) {_lacking(where)}"


# SQLite gives an id out again, and lets a tool delete a study before its trials
REUSED = (
    f"CREATE TRIGGER search_study_counted AFTER INSERT ON studies BEGIN "
    f"DELETE FROM {tallies.COUNTS} WHERE study_id = NEW.study_id; {_recount('= NEW.study_id')}; END"
)
# TRUNCATE fires nothing else
EMPTIED = (
    "CREATE OR REPLACE FUNCTION search_emptied() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS "
    f"$$ BEGIN {_recount('IS NOT NULL')}; RETURN NULL; END $$",
    *(
        f"CREATE OR REPLACE TRIGGER {table}_emptied AFTER TRUNCATE ON {table} FOR EACH STATEMENT "
        "EXECUTE FUNCTION search_emptied()"
        for table in (schema.added.name, schema.claims.name)
    ),
)
STATEMENTS = {"sqlite": (REUSED,), "postgresql": EMPTIED}


def lacking(connection: sqlalchemy.Connection, study_id: int) -> dict[str, int]:
    """What the kept counts lack that they be the counts of a study's rows, seen at one moment; empty where nothing."""
    row = connection.execute(sqlalchemy.text(_lacking("= :study_id")), {"study_id": study_id}).mappings().first()
    return {} if row is None else {name: int(row[name]) for name in tallies.ALL if row[name]}


def recount(connection: sqlalchemy.Connection, study_id: int | None = None) -> None:
    """Adds what they lack, of one study or of all, in one statement: what others write meanwhile is in neither sum."""
    if connection.dialect.name == "postgresql":  # two at once would add it twice; nobody else waits for this lock
        connection.exec_driver_sql(f"LOCK TABLE {tallies.COUNTS} IN SHARE UPDATE EXCLUSIVE MODE")
    where = "IS NOT NULL" if study_id is None else f"= {int(study_id)}"
    connection.exec_driver_sql(_recount(where))
