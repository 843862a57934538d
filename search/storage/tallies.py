"""What the database itself counts of a study: triggers add a row for each change, and their sum is the count of rows.

A row is never changed, so nobody waits for another's. What one transaction writes and its count become visible at one
moment; so the sum that a statement sees is the count of the rows that it sees, whoever wrote them, in whatever way.
Where a count depends on two tables (a trial and that it was added, a trial and what its worker told), whoever writes
the other table writes the trial's row too, without a change: of two at once the second sees what the first one did.
"""

import dataclasses

import sqlalchemy

from search.storage import schema

# names of tables and columns are no input
# ruff: noqa: S608
COUNTS = schema.counts.name
STATES = ("running", "waiting", "complete", "pruned", "fail")
OF_TRIAL = (*STATES, "added", "failures")
OF_CLAIM = ("configs", "microseconds")
ALL = (*OF_TRIAL, *OF_CLAIM)
IS_ADDED = f"EXISTS (SELECT 1 FROM {schema.added.name} WHERE trial_id = {{row}}.trial_id AND NOT ran)"
IS_BLAMED = f"EXISTS (SELECT 1 FROM {schema.claims.name} WHERE trial_id = {{row}}.trial_id AND told AND NOT excused)"


@dataclasses.dataclass(frozen=True)
class Trigger:
    """A trigger for either kind of database; its function in Postgres has the same name.

    Attributes:
        on: the event and its table.
        when: the condition, without which nothing is called.
        body: statements, each for each row.
        before: what Postgres does first, where other transactions write at the same time.
    """

    name: str
    on: str
    when: str
    body: tuple[str, ...]
    before: str = ""

    def sqlite(self) -> tuple[str, ...]:
        """The statements that make it."""
        body = "".join(f"{each}; " for each in self.body)
        return (f"CREATE TRIGGER {self.name} {self.on} WHEN {self.when} BEGIN {body}END",)

    def postgresql(self) -> tuple[str, ...]:
        """The statements that make it, or replace it."""
        body = "".join(f"{each}; " for each in (*filter(None, [self.before]), *self.body))
        result = "OLD" if self.on.startswith("BEFORE") else "NULL"
        return (
            f"CREATE OR REPLACE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT "
            f"AS $$ BEGIN {body}RETURN {result}; END $$",
            f"CREATE OR REPLACE TRIGGER {self.name} {self.on} FOR EACH ROW WHEN ({self.when}) "
            f"EXECUTE FUNCTION {self.name}()",
        )


def _one(condition: str) -> str:
    return f"CASE WHEN {condition} THEN 1 ELSE 0 END"


def _of_trial(state: str, is_added: str, is_blamed: str) -> list[str]:
    """What a trial counts, in the order of `OF_TRIAL`."""
    states = [_one(f"{state} = '{each.upper()}' AND NOT {is_added}") for each in STATES]
    return [*states, _one(is_added), _one(f"{state} = 'FAIL' AND {is_blamed}")]


def _of_claim(row: str) -> list[str]:
    """What a claim counts, in the order of `OF_CLAIM`; the time of a trial once it was told: see `schema.OPEN`."""
    spent = f"CAST(round({row}.seconds * 1000000) AS BIGINT)"
    return [
        _one(f"{row}.config IS NOT NULL AND {row}.repeat = 0"),
        f"CASE WHEN {row}.told OR {row}.generation = 0 THEN {spent} ELSE 0 END",
    ]


def _minus(values: list[str]) -> list[str]:
    return [f"-({each})" for each in values]


def _change(new: list[str], old: list[str]) -> list[str]:
    return [f"({after}) - ({before})" for after, before in zip(new, old, strict=True)]


def _add(columns: tuple[str, ...], row: str, values: list[str], rest: str = "") -> str:
    return f"INSERT INTO {COUNTS} (study_id, {', '.join(columns)}) SELECT {row}study_id, {', '.join(values)}{rest}"


def _known(row: str) -> str:
    both = f"{IS_ADDED.format(row=row)} AS is_added, {IS_BLAMED.format(row=row)} AS is_blamed"
    return f" FROM (SELECT {both}) AS known"


def _trial(row: str) -> list[str]:
    return _of_trial(f"{row}.state", "known.is_added", "known.is_blamed")


def _mark(row: str, sign: int) -> str:
    """A trial is added from now on, or no more."""
    plain = [_one(f"trials.state = '{each.upper()}'") for each in STATES]
    values = _minus(plain) if sign > 0 else plain
    rest = f" FROM trials WHERE trials.trial_id = {row}.trial_id AND NOT {row}.ran"
    return _add((*STATES, "added"), "trials.", [*values, str(sign)], rest)


def _blame(row: str, sign: int) -> str:
    """A failure counts from now on, or no more."""
    rest = f" FROM trials WHERE trials.trial_id = {row}.trial_id AND trials.state = 'FAIL'"
    return _add(("failures",), "trials.", [str(sign)], f"{rest} AND {row}.told AND NOT {row}.excused")


def _hold(row: str, where: str = "") -> str:
    """Writes a trial's row without a change, where no trigger of the trial is at work already."""
    update = f"UPDATE trials SET number = number WHERE trial_id = {row}.trial_id{where}"
    return f"IF pg_trigger_depth() = 1 THEN {update}; END IF"


SAME_STUDY = "COALESCE(OLD.study_id, -1) = COALESCE(NEW.study_id, -1)"
FAILED = " AND state = 'FAIL'"
TRIALS = (
    Trigger(
        "search_trial_counted",
        "AFTER INSERT ON trials",
        "NEW.study_id IS NOT NULL",
        (_add(STATES, "NEW.", [_one(f"NEW.state = '{each.upper()}'") for each in STATES]),),
    ),
    Trigger(
        "search_trial_changed",
        "AFTER UPDATE OF state ON trials",
        f"OLD.state <> NEW.state AND {SAME_STUDY}",
        (_add(OF_TRIAL, "NEW.", _change(_trial("NEW"), _trial("OLD")), _known("NEW")),),
    ),
    Trigger(
        "search_trial_moved",
        "AFTER UPDATE OF study_id ON trials",
        f"NOT {SAME_STUDY}",
        (
            _add(OF_TRIAL, "OLD.", _minus(_trial("OLD")), _known("OLD")),
            _add(OF_TRIAL, "NEW.", _trial("NEW"), _known("NEW")),
        ),
    ),
    # before: what cascades would be gone
    Trigger(
        "search_trial_uncounted",
        "BEFORE DELETE ON trials",
        "OLD.study_id IS NOT NULL",
        (_add(OF_TRIAL, "OLD.", _minus(_trial("OLD")), _known("OLD")),),
    ),
)
ADDED = (
    Trigger("search_added_counted", "AFTER INSERT ON search_added", "NOT NEW.ran", (_mark("NEW", 1),), _hold("NEW")),
    Trigger(
        "search_added_changed",
        "AFTER UPDATE OF ran ON search_added",
        "OLD.ran <> NEW.ran",
        (_mark("OLD", -1), _mark("NEW", 1)),
        _hold("NEW"),
    ),
    Trigger("search_added_uncounted", "AFTER DELETE ON search_added", "NOT OLD.ran", (_mark("OLD", -1),), _hold("OLD")),
)
NEW, OLD = _of_claim("NEW"), _of_claim("OLD")
BLAMED = "({row}.told AND NOT {row}.excused)"
CLAIMS = (
    Trigger(
        "search_claim_counted",
        "AFTER INSERT ON search_claims",
        "NEW.config IS NOT NULL OR NEW.seconds <> 0",
        (_add(OF_CLAIM, "NEW.", NEW),),
    ),
    Trigger(
        "search_claim_changed",
        "AFTER UPDATE OF config, repeat, told, generation, seconds ON search_claims",
        " OR ".join(f"({new}) <> ({old})" for new, old in zip(NEW, OLD, strict=True)),
        (_add(OF_CLAIM, "NEW.", _change(NEW, OLD)),),
    ),
    Trigger(
        "search_claim_moved",
        "AFTER UPDATE OF study_id ON search_claims",
        f"NOT {SAME_STUDY}",
        (_add(OF_CLAIM, "OLD.", _minus(OLD)), _add(OF_CLAIM, "NEW.", OLD)),
    ),
    Trigger(
        "search_claim_uncounted",
        "AFTER DELETE ON search_claims",
        "OLD.config IS NOT NULL OR OLD.seconds <> 0",
        (_add(OF_CLAIM, "OLD.", _minus(OLD)),),
    ),
    Trigger(
        "search_blame_counted",
        "AFTER INSERT ON search_claims",
        BLAMED.format(row="NEW"),
        (_blame("NEW", 1),),
        _hold("NEW", FAILED),
    ),
    Trigger(
        "search_blame_changed",
        "AFTER UPDATE OF told, excused ON search_claims",
        f"{BLAMED.format(row='NEW')} <> {BLAMED.format(row='OLD')}",
        (_blame("OLD", -1), _blame("NEW", 1)),
        _hold("NEW", FAILED),
    ),
    Trigger(
        "search_blame_uncounted",
        "AFTER DELETE ON search_claims",
        BLAMED.format(row="OLD"),
        (_blame("OLD", -1),),
        _hold("OLD", FAILED),
    ),
)
STUDIES = (
    Trigger(
        "search_study_uncounted",
        "AFTER DELETE ON studies",
        "OLD.study_id IS NOT NULL",
        (f"DELETE FROM {COUNTS} WHERE study_id = OLD.study_id",),
    ),
)
TRIGGERS = (*TRIALS, *ADDED, *CLAIMS, *STUDIES)


def _rows(where: str) -> str:
    """The counts of the rows themselves: a line for each trial and claim."""
    values = ", ".join(
        f"{value} AS {name}"
        for name, value in zip(
            OF_TRIAL,
            _of_trial("trials.state", "added.trial_id IS NOT NULL", "blamed.trial_id IS NOT NULL"),
            strict=True,
        )
    )
    own = ", ".join(f"{value} AS {name}" for name, value in zip(OF_CLAIM, _of_claim("claims"), strict=True))
    nothing = ", ".join(f"0 AS {name}" for name in OF_TRIAL)
    return (
        f"SELECT trials.study_id, {values}, {', '.join(f'0 AS {name}' for name in OF_CLAIM)} FROM trials "
        f"LEFT JOIN {schema.added.name} AS added ON added.trial_id = trials.trial_id AND NOT added.ran "
        f"LEFT JOIN {schema.claims.name} AS blamed ON blamed.trial_id = trials.trial_id AND blamed.told "
        f"AND NOT blamed.excused WHERE trials.study_id {where} "
        f"UNION ALL SELECT claims.study_id, {nothing}, {own} FROM {schema.claims.name} AS claims "
        f"WHERE claims.study_id {where}"
    )


def _lacking(where: str) -> str:
    """What has to be added to the sums of each study that they be the counts of its rows."""
    sums = ", ".join(f"sum({name}) AS {name}" for name in ALL)
    less = ", ".join(f"-{name}" for name in ALL)
    wrong = " OR ".join(f"sum({name}) <> 0" for name in ALL)
    return (
        f"SELECT study_id, {sums} FROM ({_rows(where)} "
        f"UNION ALL SELECT study_id, {less} FROM {COUNTS} WHERE study_id {where}) AS each_row "
        f"GROUP BY study_id HAVING {wrong}"
    )


def _recount(where: str) -> str:
    return f"INSERT INTO {COUNTS} (study_id, {', '.join(ALL)}) {_lacking(where)}"


# SQLite gives an id out again, and lets a tool delete a study before its trials
REUSED = (
    f"CREATE TRIGGER search_study_counted AFTER INSERT ON studies BEGIN "
    f"DELETE FROM {COUNTS} WHERE study_id = NEW.study_id; {_recount('= NEW.study_id')}; END"
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
STATEMENTS = {
    "sqlite": (*(each for trigger in TRIGGERS for each in trigger.sqlite()), REUSED),
    "postgresql": (*(each for trigger in TRIGGERS for each in trigger.postgresql()), *EMPTIED),
}


def lacking(connection: sqlalchemy.Connection, study_id: int) -> dict[str, int]:
    """What the kept counts lack that they be the counts of a study's rows, seen at one moment; empty where nothing."""
    row = connection.execute(sqlalchemy.text(_lacking("= :study_id")), {"study_id": study_id}).mappings().first()
    return {} if row is None else {name: int(row[name]) for name in ALL if row[name]}


def recount(connection: sqlalchemy.Connection, study_id: int | None = None) -> None:
    """Adds what they lack, of one study or of all, in one statement: what others write meanwhile is in neither sum.

    The caller holds the study's row, or all of trials' table: two at once would add it twice.
    """
    where = "IS NOT NULL" if study_id is None else f"= {int(study_id)}"
    connection.exec_driver_sql(_recount(where))
