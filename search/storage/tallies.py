"""What the database itself counts of a study: triggers add a row for each change, and their sum is the count of rows.

A row is never changed, so nobody waits for another's. What one transaction writes and its count become visible at one
moment; so the sum that a statement sees is the count of the rows that it sees, whoever wrote them, in whatever way.
Where a count depends on two tables (a trial and that it was added, a trial and what its worker told), whoever writes
the other table writes the trial's row too, without a change: of two at once the second sees what the first one did.
"""

import dataclasses

from search.storage import schema

# names of tables and columns are no input
# ruff: noqa: S608
COUNTS = schema.counts.name
STATES = ("running", "waiting", "complete", "pruned", "fail")
OF_TRIAL = (*STATES, "added", "failures")
OF_CLAIM = ("configs", "paused", "microseconds")
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


def one(condition: str) -> str:
    """1 where a condition holds, else 0."""
    return f"CASE WHEN {condition} THEN 1 ELSE 0 END"


def of_trial(state: str, is_added: str, is_blamed: str) -> list[str]:
    """What a trial counts, in the order of `OF_TRIAL`."""
    states = [one(f"{state} = '{each.upper()}' AND NOT {is_added}") for each in STATES]
    return [*states, one(is_added), one(f"{state} = 'FAIL' AND {is_blamed}")]


def of_claim(row: str) -> list[str]:
    """What a claim counts, in the order of `OF_CLAIM`; the time of one that is told or paused: see `schema.OPEN`."""
    spent = f"CAST(round({row}.seconds * 1000000) AS BIGINT)"
    return [
        one(f"{row}.config IS NOT NULL AND {row}.repeat = 0"),
        one(f"{row}.paused IS NOT NULL AND NOT {row}.told"),
        f"CASE WHEN {row}.told OR {row}.generation = 0 OR {row}.paused IS NOT NULL THEN {spent} ELSE 0 END",
    ]


def _minus(values: list[str]) -> list[str]:
    return [f"-({each})" for each in values]


def _change(new: list[str], old: list[str]) -> list[str]:
    return [f"({after}) - ({before})" for after, before in zip(new, old, strict=True)]


def _add(columns: tuple[str, ...], row: str, values: list[str], rest: str = "") -> str:
    return f"INSERT INTO {COUNTS} (study_id, {', '.join(columns)}) SELECT {row}study_id, {', '.join(values)}{rest}"


def _known(row: str) -> str:
    both = f"{IS_ADDED.format(row=row)} AS is_added, {IS_BLAMED.format(row=row)} AS is_blamed"
    return f" FROM (SELECT {both} LIMIT 1) AS known"  # a limit: each is looked up once, not for each column


def _trial(row: str) -> list[str]:
    return of_trial(f"{row}.state", "known.is_added", "known.is_blamed")


def _mark(row: str, sign: int) -> str:
    """A trial is added from now on, or no more."""
    plain = [one(f"trials.state = '{each.upper()}'") for each in STATES]
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
        (_add(STATES, "NEW.", [one(f"NEW.state = '{each.upper()}'") for each in STATES]),),
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
NEW, OLD = of_claim("NEW"), of_claim("OLD")
BLAMED = "({row}.told AND NOT {row}.excused)"
CLAIMS = (
    Trigger(
        "search_claim_counted",
        "AFTER INSERT ON search_claims",
        "NEW.config IS NOT NULL OR NEW.seconds <> 0 OR NEW.paused IS NOT NULL",
        (_add(OF_CLAIM, "NEW.", NEW),),
    ),
    Trigger(
        "search_claim_changed",
        "AFTER UPDATE OF config, repeat, told, generation, seconds, paused ON search_claims",
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
        "OLD.config IS NOT NULL OR OLD.seconds <> 0 OR OLD.paused IS NOT NULL",
        # Postgres fires what a cascade from the study fires after all that the study's own end does
        (_add(OF_CLAIM, "OLD.", _minus(OLD), " WHERE EXISTS (SELECT 1 FROM studies WHERE study_id = OLD.study_id)"),),
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

STATEMENTS = {
    "sqlite": tuple(each for trigger in TRIGGERS for each in trigger.sqlite()),
    "postgresql": tuple(each for trigger in TRIGGERS for each in trigger.postgresql()),
}
