"""delete, rename and copy as they are typed."""

import json
import os
import pathlib
import pty
import subprocess
import sys

import optuna
import pytest
from conftest import ROOT, Processes, quick_text
from trials import Make, trained

from search import cli
from search.ledger import studies
from search.storage import databases
from search.study import specs


@pytest.fixture
def storage(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A storage with one study and one trial."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/search.db"
    monkeypatch.setenv("SEARCH_STORAGE", url)
    database = databases.Database(url)
    trained(database, studies.create(database, specs.parse(quick_text(trials=3), "x")))
    database.close()
    return url


def search(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code, and all that was said."""
    capsys.readouterr()
    code = cli.main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.mark.parametrize("command", ["delete", "rename", "copy"])
def test_each_has_help_with_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """`search COMMAND --help` shows how it is typed."""
    code, said = search(capsys, command, "--help")
    assert (code, f"search {command} lab" in said) == (0, True)


def test_nobody_is_there_to_be_asked(capsys: pytest.CaptureFixture[str], storage: str) -> None:
    """Without a terminal delete wants --yes, and says what would be lost."""
    code, said = search(capsys, "delete", "quick")
    assert code == 2
    assert said.startswith("search: delete takes --yes where nobody can be asked: study 'quick' has 1 trial, ")
    code, said = search(capsys, "delete", "quick", "--yes")
    assert (code, said.startswith("study 'quick' deleted: 1 trial, ")) == (0, True)
    code, said = search(capsys, "delete", "quick", "--yes")
    assert (code, said.count("\n"), "no study 'quick' in sqlite:///" in said) == (2, 1, True)


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, []), ("n", 1, ["quick"]), ("", 1, ["quick"])])
def test_on_a_terminal_it_asks(storage: str, tmp_path: pathlib.Path, answer: str, code: int, left: list[str]) -> None:
    """It says what would be lost, and deletes after a yes alone."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "search", "delete", "quick"]
    asked = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment)
    os.write(ours, f"{answer}\n".encode())
    said, _ = asked.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert asked.returncode == code
    assert "Delete study 'quick' with 1 trial, " in said
    database = databases.Database(storage)
    assert studies.names(database) == left
    database.close()


def test_rename_and_copy(capsys: pytest.CaptureFixture[str], storage: str, tmp_path: pathlib.Path) -> None:
    """They say where the study is now; a taken name is one line."""
    code, said = search(capsys, "rename", "quick", "monday")
    assert (code, said) == (0, "study 'quick' is 'monday' now; `search run monday` goes on\n")
    code, said = search(capsys, "copy", "monday", "tuesday")
    assert code == 0
    assert said.startswith("study 'monday' copied to 'tuesday': 1 of 3 trials done (1 ")
    code, said = search(capsys, "copy", "monday", "monday", "--to", f"sqlite:///{tmp_path}/other.db")
    assert (code, f"copied to 'monday' in sqlite:///{tmp_path}/other.db: 1 of 3" in said) == (0, True)
    for command in ("copy", "rename"):
        code, said = search(capsys, command, "monday", "tuesday")
        assert (code, said.count("\n"), "study 'tuesday' exists already" in said) == (2, 1, True)
    names = [each["name"] for each in json.loads(search(capsys, "list", "--json")[1])]
    assert names == ["monday", "tuesday"]


def test_a_bad_study_is_a_row_and_a_reason(capsys: pytest.CaptureFixture[str], storage: str) -> None:
    """list, status and report show the others and exit with 0; a command on the bad one alone exits with 2."""
    optuna.copy_study(
        from_study_name="quick", from_storage=storage, to_storage=storage, to_study_name="it's [red]/a\\ copy"
    )
    name, reason = "it's [red]/a\\ copy", "copy that another tool made: it has a study file and trials, but no budget"
    for command in (["list"], ["status"], ["report", "quick", name]):
        code, said = search(capsys, *command)
        assert (code, reason in said) == (0, True), command
    assert pathlib.Path("report/report.md").read_text().count(reason) == 1
    for as_json in (["list", "--json"], ["status", "--json"]):
        good, bad = json.loads(search(capsys, *as_json)[1])
        assert (good["name"], bad["name"], bad["state"], reason in bad["reason"]) == ("quick", name, "unreadable", True)
    for command in (["status", name], ["extend", name, "--trials", "1"], ["report", name], ["work", name]):
        code, said = search(capsys, *command)
        assert (code, said.count("\n"), reason in said) == (2, 1, True), command
    code, said = search(capsys, "copy", name, "again")
    assert (code, "copied to 'again': 1 of 3 trials done" in said) == (0, True)
    assert search(capsys, "delete", name, "--yes")[0] == 0
    assert [each["name"] for each in json.loads(search(capsys, "list", "--json")[1])] == ["quick", "again"]


@pytest.mark.slow
def test_a_renamed_study_is_run_by_its_name(opened: databases.Database, make_study: Make, processes: Processes) -> None:
    """There is no file of that name: the storage has the study, and `search run` goes on with it."""
    trained(opened, make_study(trials=3))
    assert processes.run("rename", "quick", "monday")[0] == 0
    code, said = processes.run("run", "monday", "--workers", "1")
    assert code == 0, said
    assert "monday: 3 of 3 trials done" in said
