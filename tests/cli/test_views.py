"""What a user sees of studies, on a terminal and in a pipe."""

import dataclasses
import json
import pathlib
import re

import pytest
import terminals
from conftest import quick_text
from optuna.trial import TrialState
from trials import begin

from search import cli, lines, screens
from search.cli import tables
from search.ledger import claims, rosters, sentences, studies, summaries
from search.storage import databases
from search.study import specs
from search.training import records

ECHO = re.compile(r"click\.echo\((?!json\.dumps)")


@pytest.fixture(autouse=True)
def odd(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a database with the study that is hard to show, in force for commands."""
    url = f"sqlite:///{tmp_path}/search.db"
    database = databases.Database(url)
    terminals.odd_study(database)
    database.close()
    monkeypatch.setenv("SEARCH_STORAGE", url)
    monkeypatch.chdir(tmp_path)
    return url


def search(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    capsys.readouterr()
    code = cli.main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_own_code_goes_by_steps(odd: str) -> None:
    """A worker's trial, paused ones and the table speak of steps; those of the lab's networks of epochs."""
    database = databases.Database(odd)
    crew = rosters.Roster((rosters.Member("here:1", "cpu", 1.0, (5,)),), {})
    for name, text, step in (("many", None, "step"), ("quick", quick_text(), "epoch")):
        if text is not None:
            studies.create(database, specs.parse(text, "quick.toml"))
        study = studies.load(database, name)
        found = dataclasses.replace(summaries.summary(database, study), pauses={3: 2})
        said = "\n".join(sentences.situation(found, crew, {}))
        assert f"here:1 on cpu: trial 5, 0 {step}s done, seen 1 s ago" in said
        assert f"paused: 2 after {step} 3; " in said
        heading = tables.of_trials(summaries.whole(database, study), [], None).rows[0].plain
        assert f"{step}s" in heading.split()
    database.close()


def test_a_pipe_gets_everything(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole names, metric, values, reasons of up to 1,000 characters, whatever COLUMNS is; no escape; cuts are said."""
    monkeypatch.setenv("COLUMNS", "40")
    code, out, _ = search(capsys, "status", "many")
    rows = out.splitlines()
    assert (code, "\x1b" in out) == (0, False)
    assert all(name in rows[1] for name in (*terminals.NAMES, terminals.METRIC))
    assert [row.split()[:2] for row in rows[3:8]] == [
        [str(i), s] for i, s in enumerate(["complete"] * 3 + ["failed"] * 2)
    ]
    (said,) = (row for row in rows if row.startswith("trial 3 failed: ValueError"))
    assert said == f"trial 3 failed: {lines.clean(lines.cut(terminals.SAID))}"
    assert said.startswith("trial 3 failed: ValueError: [/red] \\x1b]0;title\\x07 \\x9b2J \\u202e first second words")
    assert any(row.startswith("trial 4 failed: Runtime") and row.endswith("y... (100,014 characters)") for row in rows)
    assert "reason" not in " ".join(row for row in rows if "dashboard" in row)  # more of it is nowhere
    assert all(f"{name} " in rows[-1] for name in terminals.NAMES)  # the best
    heading, _, row = search(capsys, "list")[1].splitlines()
    assert heading.split() == ["study", "state", "budget", "complete", "pruned", "failed", "running", "waiting", "best"]
    assert row.split() == ["many", "active", "9", "3", "0", "2", "0", "0", "1e-07"]
    assert json.loads(search(capsys, "status", "many", "--json")[1])["best"]["params"].keys() == {*terminals.NAMES}


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_terminal_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Number, state and value stand whole in rows of its width, and a command that shows the rest is named."""
    with terminals.in_place_of_stdout(monkeypatch, columns) as terminal:
        assert cli.main(["status", "many"]) == 0
    rows = terminal.lines
    assert [row.split()[:3] for row in rows[3:6]] == [
        ["0", "complete", "0.2500"],
        ["1", "complete", "12.5000"],
        ["2", "complete", "1e-07"],
    ]
    assert all(screens.width(row) <= columns for row in rows if "`" not in row)
    said = " ".join(" ".join(rows).split())
    assert re.search(r"\d\d of 40 parameters not shown, names or values shortened, 2 reasons cut: ", said)
    assert "`search status many | less -S` shows all" in said
    assert re.search(r"best: trial 2, \S+ 1e-07, .* \d+ more$", said)


def test_colours_are_for_terminals_and_those_who_ask(odd: str) -> None:
    """On a terminal styles and nothing else; with NO_COLOR or on a dumb one nothing."""
    code, terminal = terminals.run(80, "status", "many")
    assert code == 0
    assert set(re.findall(r"\x1b\[?[^a-zA-Z]*[a-zA-Z]", terminal.raw)) <= set(terminals.STYLE.findall(terminal.raw))
    assert "\x1b[32mcomplete" in terminal.raw
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}):
        code, plain = terminals.run(80, "status", "many", **environment)
        assert (code, "\x1b" in plain.raw) == (0, False), environment
        assert plain.lines == terminal.lines


def test_an_error_is_one_line_of_a_length(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever was typed: no escape reaches the terminal, 100,000 letters are cut, and --debug shows them."""
    code, out, err = search(capsys, "status", "\x1b]0;title\x07[bold]\nx")
    assert (code, out) == (2, "")
    assert err.startswith("search: no study '\\x1b]0;title\\x07[bold]\\nx' in sqlite:///")
    assert err.count("\n") == 1
    for arguments in (
        ["status", "y" * 100_000],
        ["extend", "many", "--to", "y" * 100_000],
        ["run", "y" * 100_000 + "/x"],
    ):
        code, _, err = search(capsys, *arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert re.fullmatch(r"search: .*y\.\.\. \([\d,]+ characters\) \.\.\.y.* \(--debug shows all of it\)\n", err)
        assert len(err) < 2_100
    assert "y" * 100_000 in search(capsys, "status", "y" * 100_000, "--debug")[2]
    code, _, err = search(capsys, "status", "\x9b31m\u202e", "--nope\x1b[31m")
    assert (code, err.count("\n"), err.rstrip("\n").isprintable()) == (2, 1, True)


def test_what_is_queued_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole in a pipe; on a terminal as many parameters as a few rows hold."""
    given = [f"{name}=0.{place}" for place, name in enumerate(terminals.NAMES) if place % 8]
    code, out, _ = search(capsys, "enqueue", "many", *given)
    assert code == 0
    assert all(f"'{name}': 0." in out for name in terminals.NAMES[1:8])
    with terminals.in_place_of_stdout(monkeypatch, 80) as terminal:
        assert cli.main(["enqueue", "many", *given[1:]]) == 0
    assert re.match(
        r"study 'many': trial 6 waits with \{'model_\S+: 0\.2, .*, \.\.\. 3\d more\}; 3 of 9", terminal.lines[0]
    )


def test_all_that_is_printed_for_people_is_cleaned() -> None:
    """Commands print JSON by `click.echo`, all else by `screens`; a hash for a file is neither, nor a script."""
    for path in pathlib.Path(cli.__file__).parent.glob("*.py"):
        found = [line for line in path.read_text().splitlines() if ECHO.search(line)]
        known = {"views.py": 1, "commands.py": 1, "helps.py": 1, "shells.py": 1}
        assert len(found) == known.get(path.name, 0), (path, found)


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1"}, {}])
def test_a_run_on_a_terminal(tmp_path: pathlib.Path, environment: dict[str, str]) -> None:
    """A dumb one gets lines of a log and no escape; NO_COLOR a display that moves, without a style."""
    (tmp_path / "quick.toml").write_text(quick_text(trials=2))
    code, terminal = terminals.run(80, "run", "./quick.toml", "--workers", "1", **environment)
    assert code == 0, terminal.raw
    assert ("event=complete" in terminal.raw or "event=pruned" in terminal.raw) == ("TERM" in environment)
    assert ("\x1b" in terminal.raw) == ("TERM" not in environment)
    assert bool(re.search(r"\x1b\[[\d;]*m", terminal.raw)) == (not environment)
    assert "quick: 2 of 2 trials done" in terminal.raw


def test_a_large_study_fills_a_screen(odd: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 60 trials the best, the last ten and the running stand there, and --all shows every one."""
    database = databases.Database(odd)
    study = studies.create(database, specs.parse(quick_text(name="large", trials=90), "quick.toml"))
    for number in range(60):
        claim = begin(database, study)
        if number not in (20, 40):
            value = 0.9 if number == 7 else 0.5
            claims.tell(database, claim, TrialState.COMPLETE, value, {records.REASON.name: "enough: so"})
    database.close()
    code, out, _ = search(capsys, "status", "large")
    numbers = [int(row.split()[0]) for row in out.splitlines()[3:16]]
    assert (code, numbers) == (0, [7, 20, 40, *range(50, 60)])
    assert "the best, the last and the running of 60 trials; `search status large --all` shows every one" in out
    assert out.count("enough: so") == 11  # of those that are shown
    assert "58 complete, enough" in out
    code, out, _ = search(capsys, "status", "large", "--all")
    assert [int(row.split()[0]) for row in out.splitlines()[3:63]] == list(range(60))
    assert "--all" not in out


def test_a_best_that_the_test_set_chose_is_marked(odd: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In status and list, for people and programs; a study that spares the test set says what it was judged by."""
    database = databases.Database(odd)
    for name, images in (("tested", "test"), ("spared", "validation")):
        text = quick_text(name=name, trials=1).replace('"test"', f'"{images}"')
        study = studies.create(database, specs.parse(text, "x.toml"))
        assert "chosen" not in search(capsys, "status", name)[1]  # there is no best yet
        claims.tell(database, begin(database, study), TrialState.COMPLETE, 0.5, {})
    database.close()
    found, out = json.loads(search(capsys, "status", "tested", "--json")[1]), search(capsys, "status", "tested")[1]
    assert (found["evaluate_on"], found["value"]) == ("test", "last")
    assert found["caution"].startswith("chosen on the test set: ")
    assert found["caution"] in out
    assert out.splitlines()[-1].startswith("best: trial 0, accuracy 0.5000")
    found, out = json.loads(search(capsys, "status", "spared", "--json")[1]), search(capsys, "status", "spared")[1]
    assert (found["evaluate_on"], found["caution"]) == ("validation", None)
    assert "chosen on images held out of the training set" in out
    assert search(capsys, "list")[1].splitlines()[-1] == "chosen on the test set, so the best is too good: tested"
