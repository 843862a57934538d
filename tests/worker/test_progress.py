"""A study under way, as a terminal shows it."""

import io
import pathlib
import re

import pytest
import rich.console
import terminals
from conftest import quick_text
from optuna.trial import TrialState
from trials import begin

from search import screens
from search.ledger import claims, studies, summaries
from search.storage import databases
from search.study import specs
from search.training import records
from search.worker import progress


@pytest.fixture
def database(tmp_path: pathlib.Path) -> databases.Database:
    return databases.Database(f"sqlite:///{tmp_path}/search.db")


def start(database: databases.Database, study: studies.Study, steps: int) -> None:
    """A trial that runs, and has reported."""
    claim = begin(database, study)
    for step in range(1, steps + 1):
        database.optuna.set_trial_intermediate_value(claim.trial_id, step, 0.5 / step)


def shown(database: databases.Database, study: studies.Study, columns: int, height: int, note: str = "") -> list[str]:
    """The part of the live display that stays, after the trials that have ended."""
    out = rich.console.Console(file=io.StringIO(), width=columns, height=height, _environ={})
    live = progress.Live(out)
    live.update(summaries.summary(database, study), (), 2, note)
    out.print(live._render())
    return out.file.getvalue().rstrip("\n").split("\n")  # type: ignore[attr-defined]


def told(database: databases.Database, study: studies.Study, columns: int) -> dict[int, list[str]]:
    """The rows that each trial scrolls by with when it ends."""
    trials = summaries.whole(database, study).trials
    return {trial.number: [row.plain for row in progress._told(trial, columns)] for trial in trials}


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_a_trial_that_ends_keeps_number_state_and_value(database: databases.Database, columns: int) -> None:
    """They begin its row, whole; parameters give way; the reason is broken between words and cut with its length."""
    found = told(database, terminals.odd_study(database), columns)
    assert all(screens.width(row) <= columns for rows in found.values() for row in rows)
    for number, start_ in ((0, "complete 0.2500"), (1, "complete 12.5000"), (2, "complete 1e-07"), (3, "failed")):
        assert re.match(rf"trial {number} +{re.escape(start_)} ", found[number][0])
        assert re.search(r"\.\.\. \d+ more$|40 parameters$", found[number][0])
    reason = " ".join(" ".join(found[3][1:]).split())
    assert reason.startswith("(ValueError: [/red] \\x1b]0;title\\x07 \\x9b2J \\u202e first second words of an")
    assert set(re.sub(r"(\w*)\.\.\..*", "", reason).split()[7:]) <= {"words", "of", "an", "error"}
    assert "(100,014 characters))" in " ".join(" ".join(found[4][1:]).split())
    assert max(map(len, found.values())) <= 1 + progress.REASON_ROWS + 2


def test_a_short_trial_stays_in_one_row(database: databases.Database) -> None:
    """With its configuration and its reason, as long as they have room."""
    study = studies.create(database, specs.parse(quick_text(), "quick.toml"))
    attrs = {records.REASON.name: "hopeless: move 1e-05", records.SECONDS.name: 2.0}
    claims.tell(database, begin(database, study), TrialState.PRUNED, 0.1, attrs)
    (row,) = told(database, study, 120)[0]
    assert row.startswith("trial 0   pruned   0.1000     2.0 s  lr ")
    assert row.endswith("  (hopeless: move 1e-05)")


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_running_trials_have_a_row_each(database: databases.Database, columns: int) -> None:
    """With number, epoch and value, however long metric and parameters are; nothing is wider than the terminal."""
    study = terminals.odd_study(database)
    start(database, study, 2)
    start(database, study, 0)
    rows = shown(database, study, columns, 24, "paused: " + "a note of many words " * 5)
    assert all(screens.width(row) <= columns for row in rows)
    assert re.match(r"many +━+[╸ ]* 3/9 ", rows[0])
    assert rows[1].startswith("best: trial 2, va")
    assert " 1e-07" in rows[1]
    running = [row for row in rows if row.startswith("trial ")]
    assert re.search(r"trial 5 .*step +2/\S+  \S+ 0\.2500\b", running[0])
    assert re.search(r"trial 6 .*step +0/\S+  \S+ -", running[1])
    assert " ".join(" ".join(rows[4:]).split()).startswith("paused: a note of many words a note of many words")


@pytest.mark.parametrize("columns", [50, 60, 80, 200])
def test_a_long_name_leaves_the_counts_their_room(database: databases.Database, columns: int) -> None:
    """Both ends of the study's name are shown, and how far it is."""
    name = f"begins-{'x' * 80}-ends"
    study = studies.create(database, specs.parse(quick_text(name=name), "long.toml"))
    row = shown(database, study, columns, 24)[0]
    assert screens.width(row) <= columns
    assert re.match(r"begins-.*-ends .*0/10 0:00:00", row)


@pytest.mark.parametrize("height", [6, 10, 24])
def test_the_display_is_never_higher_than_the_terminal(database: databases.Database, height: int) -> None:
    """Trials that have no row are counted, the rest stays; a higher display would be printed again and again."""
    study = studies.create(database, specs.parse(quick_text(trials=30), "quick.toml"))
    for _ in range(30):
        start(database, study, 1)
    rows = shown(database, study, 80, height)
    assert len(rows) < height
    running = sum(row.startswith("trial ") for row in rows)
    assert running >= 1
    assert rows[-1] == f"{30 - running} more running trials not shown"
