"""`search check`: a line for each promise, and an exit code that says whether all hold."""

import json
import pathlib
import sqlite3

import pytest
from conftest import quick_text

from search import cli

pytestmark = pytest.mark.usefixtures("own_folder")


def test_what_does_not_hold_is_said_and_mended(capsys: pytest.CaptureFixture[str]) -> None:
    """Code 0 where all holds, 1 with the line that does not; --recount mends the counts; looking changes nothing."""
    pathlib.Path("quick.toml").write_text(quick_text(), encoding="utf-8")
    assert cli.main(["create", "quick.toml"]) == cli.main(["enqueue", "quick", "depth=1"]) == 0
    assert cli.main(["check", "quick"]) == 0
    lines = capsys.readouterr().out.splitlines()[-10:]
    assert lines[1] == "holds  counts: those of 1 row"
    assert all(line.startswith("holds  ") for line in lines)
    with sqlite3.connect("runs/search.db") as connection:
        connection.execute("UPDATE search_counts SET waiting = 3")
    for _ in range(2):
        assert cli.main(["check", "quick"]) == 1
        assert "WRONG  counts: the kept ones are wrong: waiting by +2\n" in capsys.readouterr().out
    assert cli.main(["check", "quick", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["checks"] if not each["holds"]] == ["counts"]
    assert (found["name"], found["holds"], found["recounted"]) == ("quick", False, False)
    assert cli.main(["check", "quick", "--recount"]) == 0
    assert cli.main(["check", "nobody"]) == 2
