"""Windows and macOS, as far as Linux can play them: what they lack is hidden from our modules."""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import optuna
import pytest
from conftest import ROOT, quick_text

import search
from search.worker import platforms

pytestmark = pytest.mark.slow

# what looks at studies, steers them, carries them away, or trains in this very process
LOOKING = (
    ["--help"],
    ["list"],
    ["list", "--json"],
    ["status"],
    ["status", "quick"],
    ["status", "quick", "--json"],
    ["report", "quick", "--output", "page"],
    ["dashboard", "--port", "0"],
    ["extend", "quick", "--trials", "2"],
    ["enqueue", "quick", "depth=0"],
    ["pause", "quick"],
    ["resume", "quick"],
    ["stop", "quick"],
    ["retry", "quick"],
    ["backup", "quick", "quick.backup"],
    ["restore", "quick.backup", "--storage", "sqlite:///other/search.db"],
    ["copy", "quick", "nul"],
    ["rename", "nul", "quick-2"],
    ["delete", "quick-2", "--yes"],
    ["create", "lab"],
    ["fetch", "quick.toml"],
    ["upgrade"],
    ["replay", "quick", "0"],
    ["export", "quick", "--to", "quick.safetensors"],
    ["predict", "quick.safetensors", "--test-set"],
)
WORKING = (
    ["run", "quick.toml"],
    ["work", "quick"],
    ["work", "quick", "--restart"],
    ["confirm", "quick"],
    ["reproduce"],
    ["init", "train.py:objective"],
)


def played(system: str, *commands: list[str]) -> list[dict[str, Any]]:
    """What commands answer there, one process for all."""
    words = [sys.executable, "-X", "warn_default_encoding", ROOT / "tests/whole/other_system.py", system]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEARCH_STORAGE": "sqlite:///runs/search.db"}
    done = subprocess.run(
        [*words, json.dumps(commands)], env=environment, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def _studies(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a finished study of ours, and one of another tool with a name that no Windows console can show."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("quick.toml").write_text(quick_text(trials=2, hopeless="false"))
    search.create("quick.toml", storage="sqlite:///runs/search.db")
    search.work("quick", storage="sqlite:///runs/search.db")
    optuna.create_study(study_name="研究", storage="sqlite:///runs/search.db")


@pytest.mark.usefixtures("_studies")
@pytest.mark.parametrize("system", ["windows", "macos"])
def test_all_modules_are_imported_and_what_looks_works(system: str) -> None:
    """On either, with a console of 256 characters: nothing needs what the system lacks; the dashboard serves pages."""
    for answer in played(system, *LOOKING):
        assert answer["code"] == 0, answer
        assert "Traceback" not in answer["err"]
        assert answer["asked"] == ([200, 200] if answer["words"][0] == "dashboard" else [])
    assert pathlib.Path("page/report.html").is_file()
    assert pathlib.Path("quick.safetensors").is_file()


@pytest.mark.usefixtures("_studies")
def test_windows_refuses_workers_in_a_line() -> None:
    """Exit code 2 and what to do instead, before anything is written."""
    for answer in played("windows", *WORKING):
        verb = answer["words"][0]
        assert (answer["code"], answer["out"]) == (2, ""), answer
        assert answer["err"].startswith(f"search: {verb} starts workers, which need signals"), answer
        assert "WSL 2" in answer["err"]
        assert answer["err"].count("\n") == 1
    assert sorted(optuna.get_all_study_names("sqlite:///runs/search.db")) == ["quick", "研究"]
    platforms.check("run")  # here they run
