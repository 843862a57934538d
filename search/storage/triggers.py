"""What the database itself keeps, whichever tool writes: rows that vanish together, and which trials were added."""

import sqlalchemy

from search.storage import finishes, recounts, schema, tallies

# names of tables and columns are no input
# ruff: noqa: S608
# Optuna adds a trial with its result as RUNNING first, but with the time of its end
FINISHED = "('COMPLETE', 'PRUNED', 'FAIL')"
IS_OURS = f"EXISTS (SELECT 1 FROM {schema.orders.name} WHERE study_id = NEW.study_id)"
INTO_ADDED = f"INSERT INTO {schema.added.name} (trial_id, study_id, ran, is_known)"
ADD = f"{INTO_ADDED} VALUES (NEW.trial_id, NEW.study_id, false, false)"
RAN = (
    f"{INTO_ADDED} SELECT NEW.trial_id, NEW.study_id, true, false WHERE {IS_OURS} AND NOT EXISTS "
    f"(SELECT 1 FROM {schema.claims.name} WHERE trial_id = NEW.trial_id) ON CONFLICT (trial_id) DO NOTHING"
)
PLPGSQL = "LANGUAGE plpgsql SET search_path FROM CURRENT"  # whatever path the tool that fires it has
# one that is told at its study's end while it pauses may be woken
IS_ASLEEP = f"EXISTS (SELECT 1 FROM {schema.claims.name} WHERE trial_id = NEW.trial_id AND told AND paused IS NOT NULL)"
CLEAR = f"DELETE FROM {schema.checkpoints.name} WHERE trial_id = NEW.trial_id AND NOT {IS_ASLEEP}"
# whoever takes or ends a trial that pauses
TAKEN = "OLD.state = 'WAITING' AND NEW.state <> 'WAITING'"
UNPAUSE = (
    f"UPDATE {schema.claims.name} SET passed = paused, paused = NULL WHERE trial_id = NEW.trial_id AND {schema.PAUSED}"
)
TRIGGERS: dict[str, tuple[str, ...]] = {
    "sqlite": (
        # SQLite heeds ON DELETE CASCADE only on connections that ask for it, and a dashboard does not
        *(
            f"CREATE TRIGGER IF NOT EXISTS {table}_cascade AFTER DELETE ON {parent} "
            f"BEGIN DELETE FROM {table} WHERE {column} = OLD.{column}; END"
            for table, parent, column in (
                ("search_claims", "trials", "trial_id"),
                ("search_orders", "studies", "study_id"),
                ("search_workers", "studies", "study_id"),
                ("search_checkpoints", "trials", "trial_id"),
                ("search_added", "trials", "trial_id"),
                ("search_finished", "trials", "trial_id"),
                ("search_rungs", "trials", "trial_id"),
                ("search_logs", "trials", "trial_id"),
                ("search_notices", "studies", "study_id"),
            )
        ),
        "CREATE TRIGGER IF NOT EXISTS search_trial_added AFTER INSERT ON trials "
        f"WHEN NEW.datetime_complete IS NOT NULL AND {IS_OURS} BEGIN {ADD}; END",
        "CREATE TRIGGER IF NOT EXISTS search_trial_ended AFTER UPDATE OF state ON trials "
        f"WHEN NEW.state IN {FINISHED} BEGIN {CLEAR}; {RAN}; END",
        f"CREATE TRIGGER IF NOT EXISTS search_trial_taken AFTER UPDATE OF state ON trials WHEN {TAKEN} "
        f"BEGIN {UNPAUSE}; END",
    ),
    "postgresql": (
        f"CREATE OR REPLACE FUNCTION search_trial_added() RETURNS trigger {PLPGSQL} AS "
        f"$$ BEGIN IF {IS_OURS} THEN {ADD}; END IF; RETURN NULL; END $$",
        "CREATE OR REPLACE TRIGGER search_trial_added AFTER INSERT ON trials FOR EACH ROW "
        "WHEN (NEW.datetime_complete IS NOT NULL) EXECUTE FUNCTION search_trial_added()",
        f"CREATE OR REPLACE FUNCTION search_trial_ended() RETURNS trigger {PLPGSQL} AS "
        f"$$ BEGIN {CLEAR}; {RAN}; RETURN NULL; END $$",
        "CREATE OR REPLACE TRIGGER search_trial_ended AFTER UPDATE OF state ON trials FOR EACH ROW "
        f"WHEN (NEW.state IN {FINISHED}) EXECUTE FUNCTION search_trial_ended()",
        f"CREATE OR REPLACE FUNCTION search_trial_taken() RETURNS trigger {PLPGSQL} AS "
        f"$$ BEGIN {UNPAUSE}; RETURN NULL; END $$",
        "CREATE OR REPLACE TRIGGER search_trial_taken AFTER UPDATE OF state ON trials FOR EACH ROW "
        f"WHEN ({TAKEN}) EXECUTE FUNCTION search_trial_taken()",
    ),
}

# by `trigger NAME` or `function NAME`, what is kept of it
FOUND = {
    "sqlite": ("SELECT 'trigger ' || name, sql FROM sqlite_master WHERE type = 'trigger'",),
    "postgresql": (
        "SELECT 'function ' || proname, prosrc FROM pg_proc WHERE pg_function_is_visible(oid) "
        "AND prorettype = 'trigger'::regtype",
        "SELECT 'trigger ' || tgname, '' FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
        "WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') AND pg_table_is_visible(tgrelid)",
    ),
}


def create(connection: sqlalchemy.Connection) -> None:
    """Makes them anew, in place of those of an older version; then the counts that they keep are right, and stay so.

    On Postgres the table of trials is locked first: who writes to it waits until the transaction ends.
    """
    for name in names(connection):
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    for statement in statements(connection.dialect.name):
        connection.exec_driver_sql(statement)
    recounts.recount(connection)
    finishes.refill(connection)


def statements(dialect: str) -> tuple[str, ...]:
    """What makes them all."""
    return (
        *TRIGGERS[dialect],
        *tallies.STATEMENTS[dialect],
        *recounts.STATEMENTS[dialect],
        *finishes.STATEMENTS[dialect],
    )


def wrong(connection: sqlalchemy.Connection) -> list[str]:
    """The names of those that are missing, switched off, or of another version, in alphabetical order."""
    there: dict[str, str] = {}
    for query in FOUND[connection.dialect.name]:
        there |= {name: _body(text) for name, text in connection.exec_driver_sql(query)}
    wanted = {}
    for statement in statements(connection.dialect.name):
        words = statement.replace("IF NOT EXISTS ", "").replace("OR REPLACE ", "").split()
        wanted[f"{words[1].lower()} {words[2]}".replace("()", "")] = _body(statement)
    return sorted({name.split()[1] for name, body in wanted.items() if there.get(name) != body})


def _body(statement: str) -> str:
    """What a database keeps of it as it was written: of a function what it does, of Postgres' triggers nothing."""
    if statement.startswith("CREATE OR REPLACE TRIGGER"):
        return ""
    return statement.split("$$")[1] if "$$" in statement else statement.replace("IF NOT EXISTS ", "")


def names(connection: sqlalchemy.Connection) -> list[str]:
    """Those of ours that are there and cannot be replaced: SQLite's."""
    if connection.dialect.name != "sqlite":
        return []
    found = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'search!_%' ESCAPE '!' ORDER BY name"
    return [row[0] for row in connection.exec_driver_sql(found)]
