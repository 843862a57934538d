"""Which trials have finished, in which order, and how good each is: triggers keep it, whoever writes.

So the best trial of a study and the number of those after it are looks at an index. The order is the database's own, of
the moments in which trials were written as COMPLETE or PRUNED, since times come from the clocks of many machines: each
has a place that is one above the last it saw; of two that did not see one another the older trial is the first.
"""

import sqlalchemy

from search.storage import schema, tallies

# names of tables and columns are no input
# ruff: noqa: S608
TABLE, ADDED, CLAIMS = schema.finished.name, schema.added.name, schema.claims.name
STATES = "('COMPLETE', 'PRUNED')"
INFINITE = {"sqlite": "9e999", "postgresql": "CAST('Infinity' AS double precision)"}
NEXT = f"SELECT coalesce(max(place), 0) + 1 FROM {TABLE} WHERE study_id = NEW.study_id"
COLUMNS = "(trial_id, study_id, place, score, is_outside, is_counted)"
# a trial that was added with its result is none of the budget's; what paused has ended only since its study has
COUNTED = (
    f"(NOT EXISTS (SELECT 1 FROM {ADDED} AS brought WHERE brought.trial_id = {{row}}.trial_id AND NOT brought.ran) "
    f"AND NOT EXISTS (SELECT 1 FROM {CLAIMS} AS asleep WHERE asleep.trial_id = {{row}}.trial_id "
    "AND asleep.paused IS NOT NULL))"
)
INSERT = (
    f"INSERT INTO {TABLE} {COLUMNS} SELECT NEW.trial_id, NEW.study_id, ({NEXT}), NULL, false, "
    f"{COUNTED.format(row='NEW')} WHERE NEW.study_id IS NOT NULL AND NEW.state IN {STATES} "
    "ON CONFLICT (trial_id) DO NOTHING"
)


def _score(dialect: str, trial_id: str) -> str:
    """The value of a trial that is complete, such that less is better; NULL where there is none, or nan."""
    infinite = INFINITE[dialect]
    return (
        "(SELECT CASE WHEN directions.direction = 'MINIMIZE' THEN 1 ELSE -1 END * CASE found.value_type "
        f"WHEN 'INF_POS' THEN {infinite} WHEN 'INF_NEG' THEN -{infinite} ELSE found.value END "
        "FROM trials AS own JOIN trial_values AS found ON found.trial_id = own.trial_id AND found.objective = 0 "
        "LEFT JOIN study_directions AS directions ON directions.study_id = own.study_id AND directions.objective = 0 "
        f"WHERE own.trial_id = {trial_id} AND own.state = 'COMPLETE' "
        f"AND (found.value_type <> 'FINITE' OR found.value < {infinite}))"
    )


def _rescore(dialect: str, row: str) -> str:
    return f"UPDATE {TABLE} SET score = {_score(dialect, f'{row}.trial_id')} WHERE trial_id = {row}.trial_id"


def _recount(row: str) -> str:
    counted = COUNTED.format(row=TABLE)
    return f"UPDATE {TABLE} SET is_counted = {counted} WHERE trial_id = {row}.trial_id"


def _triggers(dialect: str) -> tuple[tallies.Trigger, ...]:
    moved = f"NOT {tallies.SAME_STUDY}"
    gone = f"DELETE FROM {TABLE} WHERE trial_id = NEW.trial_id AND (NEW.state NOT IN {STATES} OR {moved})"
    return (
        tallies.Trigger(
            "search_trial_came", "AFTER INSERT ON trials", f"NEW.state IN {STATES}", (INSERT, _rescore(dialect, "NEW"))
        ),
        tallies.Trigger(
            "search_trial_finished",
            "AFTER UPDATE OF state, study_id ON trials",
            f"OLD.state <> NEW.state OR {moved}",
            (gone, INSERT, _rescore(dialect, "NEW")),
        ),
        *(
            tallies.Trigger(
                f"search_value_{word}", f"AFTER {event} ON trial_values", condition, (_rescore(dialect, row),)
            )
            for word, event, row, condition in (
                ("came", "INSERT", "NEW", "NEW.objective = 0"),
                ("changed", "UPDATE", "NEW", "NEW.objective = 0 OR OLD.objective = 0"),
                ("gone", "DELETE", "OLD", "OLD.objective = 0"),
            )
        ),
        *(
            tallies.Trigger(f"search_added_{word}", f"AFTER {event} ON {ADDED}", condition, (_recount(row),))
            for word, event, row, condition in (
                ("came", "INSERT", "NEW", "NOT NEW.ran"),
                ("turned", "UPDATE OF ran", "NEW", "OLD.ran <> NEW.ran"),
                ("gone", "DELETE", "OLD", "NOT OLD.ran"),
            )
        ),
        tallies.Trigger(
            "search_pause_turned",
            f"AFTER UPDATE OF paused ON {CLAIMS}",
            "(OLD.paused IS NULL) <> (NEW.paused IS NULL)",
            (_recount("NEW"),),
        ),
        tallies.Trigger("search_pause_gone", f"AFTER DELETE ON {CLAIMS}", "OLD.paused IS NOT NULL", (_recount("OLD"),)),
    )


STATEMENTS = {
    "sqlite": tuple(each for trigger in _triggers("sqlite") for each in trigger.sqlite()),
    "postgresql": tuple(each for trigger in _triggers("postgresql") for each in trigger.postgresql()),
}
IS_HERE = f"trials.trial_id = {TABLE}.trial_id AND trials.study_id = {TABLE}.study_id AND trials.state IN {STATES}"


def lacking(connection: sqlalchemy.Connection, study_id: int) -> int:
    """How many trials of a study are not kept as their rows say, seen at one moment."""
    score = _score(connection.dialect.name, f"{TABLE}.trial_id")
    differs = f"coalesce({TABLE}.score <> {score}, ({TABLE}.score IS NULL) <> ({score} IS NULL))"
    differs += f" OR is_counted <> {COUNTED.format(row=TABLE)}"
    query = (
        f"SELECT (SELECT count(*) FROM trials WHERE study_id = :study AND state IN {STATES} AND NOT EXISTS "
        f"(SELECT 1 FROM {TABLE} WHERE {IS_HERE})) + (SELECT count(*) FROM {TABLE} WHERE study_id = :study "
        f"AND ({differs} OR NOT EXISTS (SELECT 1 FROM trials WHERE {IS_HERE})))"
    )
    return int(connection.execute(sqlalchemy.text(query), {"study": study_id}).scalar_one())


def refill(connection: sqlalchemy.Connection, study_id: int | None = None) -> None:
    """Makes what is kept, of a study or of all, what the rows say; what was not kept comes in the order of its end."""
    where = "IS NOT NULL" if study_id is None else f"= {int(study_id)}"
    unkept = f"NOT EXISTS (SELECT 1 FROM {TABLE} WHERE {IS_HERE})"
    new = f"trials.study_id {where} AND trials.state IN {STATES} AND {unkept}"
    execute = connection.exec_driver_sql
    execute(f"DELETE FROM {TABLE} WHERE study_id {where} AND NOT EXISTS (SELECT 1 FROM trials WHERE {IS_HERE})")
    # whether they lie outside the space is asked again
    execute(f"UPDATE {ADDED} SET is_known = false WHERE trial_id IN (SELECT trial_id FROM trials WHERE {new})")
    ended = "datetime_complete IS NULL, datetime_complete, trial_id"
    last = f"(SELECT max(place) FROM {TABLE} WHERE {TABLE}.study_id = trials.study_id)"
    execute(
        f"INSERT INTO {TABLE} {COLUMNS} SELECT trial_id, study_id, "
        f"coalesce({last}, 0) + row_number() OVER (PARTITION BY study_id ORDER BY {ended}), NULL, false, false "
        f"FROM trials WHERE {new} ON CONFLICT (trial_id) DO NOTHING"
    )
    score = _score(connection.dialect.name, f"{TABLE}.trial_id")
    counted = COUNTED.format(row=TABLE)
    execute(f"UPDATE {TABLE} SET score = {score}, is_counted = {counted} WHERE study_id {where}")
