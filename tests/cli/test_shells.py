"""Completion, by a real bash; what it looks at stays as it is."""

import os
import pathlib
import stat
import subprocess
import sys

import optuna
import pytest
from conftest import ROOT, Server, quick_text

import search

# a terminal types; bash's own function is called as bash calls it
TRY = """
compopt() { echo "compopt $*"; }
eval "$(search completion bash)"
while IFS= read -r COMP_LINE; do
    COMP_POINT=${#COMP_LINE} COMPREPLY=()
    echo "> ${COMP_LINE}"
    _search_completion search </dev/null
    if (( ${#COMPREPLY[@]} )); then printf '%s\\n' "${COMPREPLY[@]}"; fi
done
"""
ODD = "my [b] study, ü*"


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder with `search` on the path, a study file, and two studies in the usual storage."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SEARCH_")]:
        monkeypatch.delenv(name)
    command = tmp_path / "bin" / "search"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m search "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "quick.toml").write_text(quick_text())
    search.create("quick.toml")
    optuna.create_study(study_name=ODD, storage="sqlite:///runs/search.db")
    return tmp_path


def completed(*lines: str) -> dict[str, list[str]]:
    """What bash offers for each line; it says nothing on stderr."""
    given = "".join(f"{line}\n" for line in lines).encode()
    done = subprocess.run(["bash", "--norc", "-c", TRY], input=given, capture_output=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    found: dict[str, list[str]] = {}
    words: list[str] = []
    for line in done.stdout.decode().splitlines():
        if line.startswith("> "):
            words = found.setdefault(line[2:], [])
        elif not line.startswith("compopt"):
            words.append(line)
    return found


def snapshot(folder: pathlib.Path) -> dict[pathlib.Path, bytes]:
    """All files, but for the memory that SQLite's processes share: whoever reads beside them is counted there."""
    return {
        path: b"" if path.suffix == ".db-shm" else path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.slow
def test_bash_completes(folder: pathlib.Path) -> None:
    """Commands, options, studies of the storage or files, as a command takes them, parameters and values; no trace."""
    before = snapshot(folder)
    found = completed(
        "search st",
        "search status ",
        "search status q",
        "search status my\\ ",
        'search status "my',
        "search create ",
        "search run q",
        "search enqueue quick ba",
        "search enqueue quick wi",
        "search enqueue quick depth=0 activation=S",
        "search run quick --engine=c",
        "search run quick --device cu",
        "search list --storage sqlite:///r",
        "search completion ",
        "search copy 'quick' lab --to 'sqlite:///runs/search.db' --storage ",
        "search extend quick --ho",
    )
    assert found["search st"] == ["status", "stop"]
    assert set(found["search status "]) == {"quick", r"my\ \[b\]\ study,\ ü\*"}
    assert found["search status q"] == ["quick"]
    assert found["search status my\\ "] == [r"my\ \[b\]\ study,\ ü\*"]
    assert found['search status "my'] == [ODD]
    assert {"lab", "depth", "quick.toml"} <= set(found["search create "])
    assert "quick" not in found["search create "]
    assert found["search run q"] == ["quick", "quick.toml"]
    assert found["search enqueue quick ba"] == ["batch_size="]
    assert found["search enqueue quick wi"] == ["width=8", "width=16", "width=32"]
    assert found["search enqueue quick depth=0 activation=S"] == ["Sigmoid"]
    assert found["search run quick --engine=c"] == ["cpu", "cpu-bf16", "cuda", "cuda-bf16", "cuda-tf32"]
    assert found["search run quick --device cu"] == ["cuda", "cuda:0"]
    assert found["search list --storage sqlite:///r"] == ["///runs/search.db"]
    assert found["search copy 'quick' lab --to 'sqlite:///runs/search.db' --storage "][-1] == "postgresql://"
    assert found["search completion "] == ["bash", "zsh", "fish"]
    assert found["search extend quick --ho"] == ["--hours"]
    assert snapshot(folder) == before


@pytest.mark.slow
def test_a_storage_that_cannot_be_read_offers_nothing(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away, no database, a folder, a server that is not there, a wrong address: nothing is said, nothing is made."""
    (folder / "no.db").write_text("no database")
    (folder / "deep").mkdir()
    before = snapshot(folder)
    for url in (
        "sqlite:///away.db",
        "sqlite:///no.db",
        "sqlite:///deep",
        "postgresql://127.0.0.1:1/x",
        "mysql://x",
        "?",
    ):
        monkeypatch.setenv("SEARCH_STORAGE", url)
        assert completed("search status ") == {"search status ": []}, url
    assert snapshot(folder) == before


@pytest.mark.slow
def test_names_of_a_postgres(folder: pathlib.Path, postgres: Server) -> None:
    """As those of a file, by the address on the line."""
    url = postgres.new_database(postgres.prepared)
    search.create("quick.toml", storage=url)
    line = f"search status --storage '{url}' "
    assert completed(line) == {line: ["quick"]}


@pytest.mark.slow
@pytest.mark.parametrize("line", ["search sta", "search status ", "search run ", "search enqueue quick "])
def test_it_loads_nothing_that_trains(folder: pathlib.Path, line: str) -> None:
    """A word is completed while it is typed."""
    code = "import sys, atexit\nfrom search.cli import commands\ntry: commands.main([])\nfinally: print(*sys.modules)"
    environment = {**os.environ, "_SEARCH_COMPLETE": "bash_complete", "COMP_LINE": line}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("plain,")
    assert not {"torch", "numba", "scipy", "matplotlib"} & set(done.stdout.split())


def test_a_storage_in_use_is_read_with_its_log(folder: pathlib.Path) -> None:
    """What stands in SQLite's log only, while a worker has it open, is offered too; a read-only folder is as good."""
    from search.storage import databases, glances

    database = databases.Database("sqlite:///runs/search.db")
    optuna.create_study(study_name="new", storage=database.optuna)
    assert (folder / "runs" / "search.db-wal").stat().st_size > 0
    assert "new" in glances.names(database.url)
    database.close()
    (folder / "runs").chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert "new" in glances.names("sqlite:///runs/search.db")
    (folder / "runs").chmod(0o755)
