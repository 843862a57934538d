"""Tables as a terminal or a pipe shows them."""

import pathlib
import re

import optuna
import pytest
import terminals
from conftest import quick_text
from optuna.trial import TrialState
from trials import begin

from search import lines, screens, words
from search.cli import tables
from search.ledger import claims, listings, studies, summaries
from search.reports import confirmations, evidence
from search.storage import databases, schema
from search.study import specs

LONG = "a-study-of-eighty-letters-" + "x" * 54


@pytest.fixture
def database(tmp_path: pathlib.Path) -> databases.Database:
    return databases.Database(f"sqlite:///{tmp_path}/search.db")


def of_trials(summary: summaries.Whole, room: int | None) -> tuple[list[str], list[str]]:
    found = tables.of_trials(summary, summary.trials, room)
    return [row.plain for row in found.rows], found.left_out


def test_a_pipe_has_every_parameter_whole(database: databases.Database) -> None:
    """40 names of 80 letters and all values stand in full; a choice of 3,000 letters alone is cut, and that is said."""
    summary = summaries.whole(database, terminals.odd_study(database))
    (heading, _, *rows), left_out = of_trials(summary, None)
    assert all(name in heading for name in terminals.NAMES)
    assert terminals.METRIC in heading
    for trial, row in zip(summary.trials, rows, strict=True):
        for value in trial.params.values():
            assert lines.said(words.setting(value)) in row
    cut = sum(value == "z" * 3_000 for trial in summary.trials for value in trial.params.values())
    assert cut == "".join(rows).count("z... (3,000 characters)") > 0
    assert left_out == [words.plural(cut, "value") + " cut"]
    assert "\x1b" not in "".join(rows)


@pytest.mark.parametrize("room", [60, 80, 100, 200])
def test_on_a_terminal_parameters_give_way(database: databases.Database, room: int) -> None:
    """Number, state and value are whole, no row is wider than it, and how many parameters have no room is said."""
    (heading, _, *rows), left_out = of_trials(summaries.whole(database, terminals.odd_study(database)), room)
    assert all(screens.width(row) <= room for row in (heading, *rows))
    found = [re.match(r"(\d+) +(\w+) +([\d.e+-]*)", row) for row in rows]
    assert [match and match.groups() for match in found][:3] == [
        ("0", "complete", "0.2500"),
        ("1", "complete", "12.5000"),
        ("2", "complete", "1e-07"),
    ]
    assert [match and match[2] for match in found][3:] == ["failed", "failed"]
    assert heading.split()[-2:] == ["steps", "sec"]
    shown = [word for word in heading.split() if word.startswith("model")]
    assert 0 < len(shown) == len(set(shown))
    assert left_out == [f"{40 - len(shown)} of 40 parameters not shown", "names or values shortened"]


def test_the_lab_has_room_on_80_columns(database: databases.Database) -> None:
    """All of the lab's columns are there, and nothing is said of what is not."""
    study = studies.create(database, specs.parse(quick_text(), "quick.toml"))
    claims.tell(database, begin(database, study), TrialState.COMPLETE, 0.8702, {"search:avg_loss": 1e300})
    (heading, _, row), left_out = of_trials(summaries.whole(database, study), 80)
    assert heading.split() == [
        "#",
        "state",
        "accuracy",
        "avg",
        "loss",
        "lr",
        "batch",
        "depth",
        "width",
        "act.",
        "epochs",
        "sec",
    ]
    assert row.split()[:4] == ["0", "complete", "0.8702", "1e+300"]
    assert left_out == []


def test_two_parameters_with_one_heading_tell_apart(database: databases.Database) -> None:
    """`lr` beside `learning_rate`, and a parameter called as a column of ours, each have their values."""
    space = "lr = [1]\nlearning_rate = [2]\nstate = [3]\nsec = [4]"
    text = f'objective = "own:f"\n[study]\nname = "twins"\n[space]\n{space}\n[budget]\ntrials = 3'
    study = studies.create(database, specs.parse(text, "twins.toml"))
    begin(database, study)
    (heading, _, row), _ = of_trials(summaries.whole(database, study), None)
    assert heading.split() == ["#", "state", "value", "lr", "lr", "state", "sec", "steps", "sec"]
    assert row.split()[:6] == ["0", "running", "1", "2", "3", "4"]


@pytest.mark.parametrize("room", [60, 80, 200, None])
def test_studies_have_whole_names_and_headings(database: databases.Database, room: int | None) -> None:
    """A name without room has a line of its own; columns of zeros alone go first, unsaid; nothing is markup."""
    names = ["lab", "activation-confirm", LONG, "[bold]red[/bold] \x1b[31m:smile:"]
    for place, name in enumerate(names):
        study = studies.create(database, specs.parse(quick_text(name=f"s{place}"), "x.toml"))
        renamed = schema.studies.update().where(schema.studies.c.study_id == study.study_id).values(study_name=name)
        database.write(lambda connection, statement=renamed: connection.execute(statement))
    found = tables.of_studies(listings.read(database), room)
    shown = [row.plain for row in found.rows]
    assert shown[0].split()[:3] == ["study", "state", "budget"]
    assert shown[0].split()[-1] == "best"
    assert {"lab", "activation-confirm", LONG} <= {row.split()[0] for row in shown[2:] if row.split()}
    assert all(screens.width(row) <= max(room or 0, len(LONG)) for row in shown) or room is None
    assert sum("active" in row for row in shown) == 4
    assert any("[bold]red[/bold] \\x1b[31m:smile:" in row for row in shown)
    assert found.left_out == []
    assert ("waiting" in shown[0]) == (room in (200, None))


def test_a_confirmation_keeps_its_figures() -> None:
    """Parameters give way to them on a terminal, which is said; a pipe has all."""
    params = dict.fromkeys(terminals.NAMES, 0.5)
    trials = {seed: optuna.trial.create_trial(value=0.8 + seed / 100) for seed in range(2)}
    entry = confirmations.Confirmed(0.9, evidence.Runs(params, trials))
    searched = specs.parse(quick_text(name="many"), "many.toml")
    found = confirmations.Confirmation(searched, "many-confirm", 2, (entry,))
    for room in (60, 80, 200):
        laid = tables.of_confirmation(found, room)
        assert all(screens.width(row.plain) <= room for row in laid.rows)
        assert re.search(r" (more|parameters) +0\.9000  0\.8050  0\.0635   \+0\.0950$", laid.rows[2].plain)
        assert laid.left_out == ["not all parameters shown"]
    laid = tables.of_confirmation(found, None)
    assert all(f"{name} 0.5" in laid.rows[2].plain for name in terminals.NAMES)
    assert laid.left_out == []
