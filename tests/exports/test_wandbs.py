"""A study for Weights & Biases: offline runs that wandb's own command takes, once, whatever comes between."""

import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import publishing
import pytest
from optuna.trial import TrialState
from publishing import METRIC, add, report, tell

from search import api, errors
from search.exports import wandbs
from search.ledger import studies
from search.storage import databases


@pytest.fixture
def database(tmp_path: pathlib.Path, prepared_file: pathlib.Path) -> Iterator[databases.Database]:
    shutil.copyfile(prepared_file, tmp_path / "search.db")
    opened = databases.Database(f"sqlite:///{tmp_path}/search.db")
    yield opened
    opened.close()


@pytest.fixture
def study(database: databases.Database) -> studies.Study:
    return publishing.create(database)


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("WANDB_API_KEY", "a-secret-of-forty-characters-which-is-none")
    return tmp_path / "runs"


def publish(database: databases.Database, folder: pathlib.Path) -> tuple[int, int, int]:
    (found,) = api.publish("own", f"wandb:{folder}", storage=database)
    return found.new, found.updated, found.unchanged


def runs(folder: pathlib.Path, study: studies.Study) -> dict[int, list[Any]]:
    """The records of each run, by the number of its trial; each has one."""
    found: dict[int, list[Any]] = {}
    for path in (folder / "wandb").iterdir():
        number = int(path.name.rpartition("-")[2])
        assert path.name.endswith(f"-{study.token[:8]}-{number}")
        assert number not in found
        (file,) = path.glob("*.wandb")
        found[number] = publishing.wandb_records(file)
    return found


def items(records: list[Any]) -> dict[str, Any]:
    """What a run says: its own record, its rows, and its summary."""
    told: dict[str, Any] = {"rows": [], "summary": {}}
    for record in records:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            told["run"] = record.run
            told["config"] = {each.key: json.loads(each.value_json) for each in record.run.config.update}
        elif kind == "history":
            told["rows"].append({(x.key or x.nested_key[0]): json.loads(x.value_json) for x in record.history.item})
        elif kind == "summary":
            told["summary"] |= {(x.key or x.nested_key[0]): json.loads(x.value_json) for x in record.summary.update}
        elif kind == "exit":
            told["exit"] = record.exit.exit_code
    return told


def test_a_trial_is_an_offline_run(database: databases.Database, study: studies.Study, folder: pathlib.Path) -> None:
    """Its id, name, project, parameters with their types, curve, value and what is told; no key is in any file."""
    add(database, user_attrs={"search:worker": "node:7", "search:seconds": 2.5, "n": 4})
    add(database, TrialState.FAIL, intermediate_values={}, user_attrs={"search:reason": "ValueError: no"})
    assert publish(database, folder) == (2, 0, 0)
    first, second = (items(runs(folder, study)[number]) for number in (0, 1))
    run = first["run"]
    assert (run.project, run.display_name, run.run_id) == ("own", "trial 0", f"{study.token[:8]}-0")
    assert (run.run_group, list(run.tags)) == ("own", ["complete", "best"])
    assert {"model/lr%": 0.25, "early": True, "label": "1"}.items() <= first["config"].items()
    curve = [(row["_step"], row[f"curve/{METRIC}"]) for row in first["rows"]]
    assert curve == [(1, 0.5), (2, 0.25)]
    summary = first["summary"]
    assert (summary[METRIC], summary["search/state"], summary["search/worker"]) == (0.25, "complete", "node:7")
    assert (summary["search/seconds"], summary["attr/n"], summary["study/file"]) == (2.5, "4", publishing.TEXT)
    assert (first["exit"], second["exit"]) == (0, 1)
    assert (second["run"].notes, list(second["run"].tags)) == ("ValueError: no", ["failed"])
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not any(b"a-secret-of" in path.read_bytes() for path in files)


def test_wandb_takes_them(database: databases.Database, study: studies.Study, folder: pathlib.Path) -> None:
    """Its own command finds the runs."""
    add(database)
    add(database)
    publish(database, folder)
    program = [sys.executable, "-m", "wandb", "sync", "--dry-run"]
    home = {"HOME": str(folder), "WANDB_ERROR_REPORTING": "false"}
    done = subprocess.run(program, cwd=folder, env={**os.environ, **home}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for path in (folder / "wandb").glob("offline-run-*"):
        assert path.name in done.stdout + done.stderr


def test_twice_is_once_and_a_change_is_one_run(
    database: databases.Database, study: studies.Study, folder: pathlib.Path
) -> None:
    """The same id in the place of the one before; what has not changed keeps its file."""
    add(database)
    running = add(database, TrialState.RUNNING)
    assert publish(database, folder) == (2, 0, 0)
    before = sorted(folder.rglob("*"))
    assert publish(database, folder) == (0, 0, 2)
    assert sorted(folder.rglob("*")) == before
    report(database, running, {3: 0.125})
    tell(database, running, TrialState.COMPLETE, 0.125)
    assert publish(database, folder) == (0, 2, 0)  # the best is another one now
    told = {number: items(records) for number, records in runs(folder, study).items()}
    assert [len(told[number]["rows"]) for number in (0, 1)] == [2, 3]
    assert [list(told[number]["run"].tags) for number in (0, 1)] == [["complete"], ["complete", "best"]]


def test_a_kill_leaves_nothing_half_written(
    database: databases.Database, study: studies.Study, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it comes, before a run is whole or between two names: the next publication ends it."""
    add(database)
    publish(database, folder)
    tell(database, add(database, TrialState.RUNNING), TrialState.COMPLETE, 0.5)
    (run,) = (folder / "wandb").iterdir()
    left = folder / ".search-publish-left"
    left.mkdir()
    run.rename(left / "old-0")
    write = wandbs.WandB._write

    def killed(*given: Any) -> Any:
        write(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(wandbs.WandB, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        publish(database, folder)
    assert list((folder / "wandb").iterdir()) == []
    monkeypatch.undo()
    assert publish(database, folder) == (2, 0, 0)
    assert sorted(runs(folder, study)) == [0, 1]
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["wandb"]


def test_two_at_a_time_are_one(database: databases.Database, study: studies.Study, folder: pathlib.Path) -> None:
    """Processes that begin in the same moment leave a run for each trial."""
    for _ in range(3):
        add(database)
    program = [sys.executable, "-m", "search", "publish", "own", "--to", f"wandb:{folder}", "--storage", database.url]
    with futures.ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: subprocess.run(program, capture_output=True, text=True, check=False), range(2)))
    assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
    assert sorted(runs(folder, study)) == [0, 1, 2]


def test_numbers_that_are_none(database: databases.Database, study: studies.Study, folder: pathlib.Path) -> None:
    """What is nan, and infinities are what wandb makes of them, and twice is once."""
    add(database, intermediate_values={1: math.nan, 2: math.inf}, value=math.inf)
    assert publish(database, folder) == (1, 0, 0)
    assert publish(database, folder) == (0, 0, 1)
    told = items(runs(folder, study)[0])
    assert [str(row[f"curve/{METRIC}"]).lower() for row in told["rows"]] == ["nan", "inf"]


def test_a_run_of_the_user_s_goes_on(database: databases.Database, study: studies.Study, folder: pathlib.Path) -> None:
    """In a notebook that has one under way, it stays the one."""
    import wandb  # type: ignore[import-untyped]

    add(database)
    with wandb.init(mode="offline", dir=folder.parent, settings=wandb.Settings(silent=True, console="off")) as mine:
        publish(database, folder)
        assert wandb.run is mine
        mine.log({"x": 1})


def test_a_place_that_cannot_be_written_is_a_line(
    database: databases.Database, study: studies.Study, folder: pathlib.Path
) -> None:
    """A file in its place."""
    add(database)
    folder.write_text("")
    with pytest.raises(errors.PublishFailed, match=f"--to wandb:{folder}/wandb cannot be written: Not a directory"):
        publish(database, folder)
