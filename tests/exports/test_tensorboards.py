"""A study in TensorBoard: what its own reader and its pages have of it, once, whatever comes between."""

import json
import math
import pathlib
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import pausing
import publishing
import pytest
from optuna.trial import TrialState
from publishing import METRIC, add, report, tell
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.util import tensor_util

from search import api, errors
from search.exports import targets, tensorboards
from search.ledger import lives, studies
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
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "board"


def publish(database: databases.Database, folder: pathlib.Path, name: str = "own") -> tuple[int, int, int]:
    (found,) = api.publish(name, f"tensorboard:{folder}", storage=database)
    return found.new, found.updated, found.unchanged


def picture(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def scalars(folder: pathlib.Path, name: str) -> list[tuple[int, float]]:
    """What TensorBoard's own reader finds in a trial's folder."""
    found = event_accumulator.EventAccumulator(str(folder), {"tensors": 0}).Reload()
    if name not in found.Tags()["tensors"]:
        return []
    return [(event.step, float(tensor_util.make_ndarray(event.tensor_proto))) for event in found.Tensors(name)]


class Board:
    """A real TensorBoard on a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.port = publishing.free_port()
        options = ("--host", "127.0.0.1", "--port", str(self.port), "--reload_interval", "1", "--load_fast", "false")
        program = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), *options]
        self.process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        publishing.wait_for(f"http://127.0.0.1:{self.port}/data/runs", self.process)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/data/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.mark.slow
def test_a_real_tensorboard_shows_it(database: databases.Database, study: studies.Study, folder: pathlib.Path) -> None:
    """Curves by HTTP, the tab HParams with parameters, value and status, the texts; and what is added while it runs."""
    add(database)
    add(database, TrialState.FAIL, intermediate_values={}, user_attrs={"search:reason": "ValueError: no"})
    running = add(database, TrialState.RUNNING, params={"model/lr%": 0.75, "early": False, "label": "é"})
    publish(database, folder)
    board = Board(folder)
    try:
        tags = board.ask("plugin/scalars/tags")
        assert set(tags["own/trial-0"]) == {METRIC, f"curve/{METRIC}"}
        experiment = board.ask("plugin/hparams/experiment", {"experimentName": ""})
        assert {each["name"]: each["type"] for each in experiment["hparamInfos"]} == {
            "model/lr%": "DATA_TYPE_FLOAT64",
            "early": "DATA_TYPE_BOOL",
            "label": "DATA_TYPE_STRING",
        }
        wanted = {
            "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
            "startIndex": 0,
            "sliceSize": 100,
            "colParams": [{"metric": {"group": "", "tag": METRIC}}],
        }
        groups = {each["name"]: each for each in board.ask("plugin/hparams/session_groups", wanted)["sessionGroups"]}
        assert {name: each["sessions"][0].get("status") for name, each in groups.items()} == {
            "trial 0": "STATUS_SUCCESS",
            "trial 1": "STATUS_FAILURE",
            "trial 2": "STATUS_UNKNOWN",  # it has not ended
        }
        assert groups["trial 0"]["hparams"] == {"model/lr%": 0.25, "early": True, "label": "1"}
        values = {each["name"]["tag"]: each["value"] for each in groups["trial 0"]["metricValues"]}
        assert values[METRIC] == 0.25
        texts = board.ask("plugin/text/text?run=own/trial-1&tag=trial")
        assert "ValueError: no" in texts[0]["text"]
        report(database, running, {3: 0.125})
        tell(database, running, TrialState.COMPLETE, 0.125)
        publish(database, folder)
        for _ in range(60):
            threading.Event().wait(0.5)
            curve = board.ask(
                f"plugin/scalars/scalars?run=own/trial-2&tag=curve/{METRIC.replace(' ', '+').replace('%', '%25')}"
            )
            if len(curve) == 3:
                break
        assert [(step, value) for _, step, value in curve] == [(1, 0.5), (2, 0.25), (3, 0.125)]
    finally:
        board.end()


def test_twice_is_once(database: databases.Database, study: studies.Study, folder: pathlib.Path) -> None:
    """Not a byte changes."""
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING):
        add(database, state)
    assert publish(database, folder) == (4, 0, 0)
    before = picture(folder)
    assert publish(database, folder) == (0, 0, 4)
    assert picture(folder) == before


def test_a_file_grows_with_its_trial(database: databases.Database, study: studies.Study, folder: pathlib.Path) -> None:
    """What a reader has read of it stays where it was; the end comes last."""
    running = add(database, TrialState.RUNNING)
    publish(database, folder)
    (path,) = (folder / "own" / "trial-0").iterdir()
    before = path.read_bytes()
    report(database, running, {3: 0.125})
    assert publish(database, folder) == (0, 1, 0)
    assert path.read_bytes().startswith(before)
    tell(database, running, TrialState.COMPLETE, 0.125)
    publish(database, folder)
    assert path.read_bytes().startswith(before)
    assert scalars(path.parent, f"curve/{METRIC}") == [(1, 0.5), (2, 0.25), (3, 0.125)]
    assert scalars(path.parent, METRIC) == [(3, 0.125)]


def test_another_curve_takes_the_place_of_the_first(
    database: databases.Database, study: studies.Study, folder: pathlib.Path
) -> None:
    """There is one file, of a later name, with the new curve alone."""
    add(database, TrialState.RUNNING)
    publish(database, folder)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trial_intermediate_values SET intermediate_value = 9 WHERE step = 2")
    assert publish(database, folder) == (0, 1, 0)
    (path,) = (folder / "own" / "trial-0").iterdir()
    assert path.name == "events.out.tfevents.0000000001.search"
    assert scalars(path.parent, f"curve/{METRIC}") == [(1, 0.5), (2, 9.0)]


def test_a_kill_at_any_byte_is_mended(database: databases.Database, study: studies.Study, folder: pathlib.Path) -> None:
    """What was cut off is appended: the file has the bytes of one that nobody has cut."""
    add(database)
    publish(database, folder)
    (path,) = (folder / "own" / "trial-0").iterdir()
    whole = path.read_bytes()
    for length in (0, 5, 12, 40, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert publish(database, folder) == (0, 1, 0)
        assert [each.read_bytes() for each in path.parent.iterdir()] == [whole]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:12] + b"\xff" * 20 + whole[32:],  # no message at all
        lambda whole: whole[:13] + b"\xff" * 8 + whole[21:],  # a message, whose time is no number
        lambda whole: b"\x00" * len(whole),
        lambda whole: b"<!DOCTYPE html>" * 20,
    ],
)
@pytest.mark.parametrize("place", ["own", "own/trial-0"])
def test_a_damaged_file_is_replaced(
    database: databases.Database, study: studies.Study, folder: pathlib.Path, damage: Any, place: str
) -> None:
    """By one of a later name, which TensorBoard reads; what another tool has put beside it stays."""
    add(database)
    publish(database, folder)
    (path,) = (folder / place).glob(f"{tensorboards.FILE.format(0)}*")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    foreign = path.with_name("events.out.tfevents.1700000000.host.search")
    foreign.write_bytes(b"")
    assert publish(database, folder) == ((0, 1, 0) if "trial" in place else (0, 0, 1))
    assert not path.exists()
    assert len(path.with_name(tensorboards.FILE.format(1)).read_bytes()) == len(whole)
    assert foreign.exists()
    assert scalars(folder / "own" / "trial-0", METRIC) == [(2, 0.25)]
    assert publish(database, folder) == (0, 0, 1)


def test_a_kill_between_two_files_is_mended(
    database: databases.Database, study: studies.Study, folder: pathlib.Path
) -> None:
    """The earlier of two goes."""
    add(database)
    publish(database, folder)
    (path,) = (folder / "own" / "trial-0").iterdir()
    path.with_name(tensorboards.FILE.format(7)).write_bytes(path.read_bytes())
    assert publish(database, folder) == (0, 0, 1)
    assert [each.name for each in path.parent.iterdir()] == [tensorboards.FILE.format(7)]


def test_two_at_a_time_are_one(database: databases.Database, study: studies.Study, folder: pathlib.Path) -> None:
    """Publishers that begin in the same moment leave a file for each trial, whole."""
    for _ in range(8):
        add(database)
    gate = threading.Barrier(4)

    def one() -> None:
        gate.wait()
        publish(database, folder)

    with futures.ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(one) for _ in range(4)]:
            each.result()
    assert publish(database, folder) == (0, 0, 8)
    assert len(list(folder.glob("own/trial-*/*"))) == 8
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["own"]


def test_a_pause_goes_on_in_the_same_file(database: databases.Database, folder: pathlib.Path) -> None:
    """Though a trial that waits has no start, and another one when it goes on."""
    study = pausing.create(database, name="paused")
    claims = [pausing.begin(database, study) for _ in range(2)]
    publish(database, folder, "paused")
    names = sorted(picture(folder))
    pausing.reach(database, study, claims[0], 1, 0.1)
    pausing.reach(database, study, claims[1], 1, 0.5)
    publish(database, folder, "paused")
    pausing.begin(database, study)
    publish(database, folder, "paused")
    assert set(names) <= set(picture(folder))
    assert all(len(list(each.iterdir())) == 1 for each in (folder / "paused").glob("trial-*"))


def test_numbers_and_names_that_are_none(
    database: databases.Database, study: studies.Study, folder: pathlib.Path
) -> None:
    """Nan and infinities are as they are, and twice is once."""
    add(database, intermediate_values={1: math.nan, 2: math.inf, 3: -math.inf}, value=-math.inf)
    publish(database, folder)
    assert publish(database, folder) == (0, 0, 1)
    values = dict(scalars(folder / "own" / "trial-0", f"curve/{METRIC}"))
    assert math.isnan(values[1])
    assert (values[2], values[3]) == (math.inf, -math.inf)


def test_a_folder_of_another_study_is_left_alone(
    database: databases.Database, study: studies.Study, folder: pathlib.Path
) -> None:
    """One of the same name gets its own beside it; a study that is renamed keeps its own."""
    add(database)
    publish(database, folder)
    lives.delete(database, study)
    second = publishing.create(database)
    add(database, value=9.0)
    publish(database, folder)
    assert scalars(folder / "own" / "trial-0", METRIC) == [(2, 0.25)]
    assert not list(folder.rglob(tensorboards.PART))
    assert scalars(folder / f"own-{second.token[:8]}" / "trial-0", METRIC) == [(2, 9.0)]
    lives.rename(database, second, "other")
    publish(database, folder, "other")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["own", f"own-{second.token[:8]}"]


def test_a_full_disk_is_a_line_and_the_rest_comes_later(
    database: databases.Database, study: studies.Study, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """A file that could not be written whole is written on by the next publication."""
    add(database, intermediate_values={step: 1 / step for step in range(1, 200)})
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000)); from search import cli; "
        f"sys.exit(cli.main(['publish', 'own', '--to', 'tensorboard:{folder}', '--storage', {database.url!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"search: --to tensorboard:{folder}/own/trial-0 cannot be written: File too large\n"
    publish(database, folder)
    assert len(scalars(folder / "own" / "trial-0", f"curve/{METRIC}")) == 199
    assert publish(database, folder) == (0, 0, 1)


def test_a_place_that_is_no_folder_is_a_line(
    database: databases.Database, study: studies.Study, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in its place, or somebody who holds its lock for ever."""
    folder.write_text("")
    with pytest.raises(errors.PublishFailed, match=f"--to tensorboard:{folder} cannot be written: File exists"):
        publish(database, folder)
    folder.unlink()
    publish(database, folder)
    monkeypatch.setattr(targets, "LOCK_SECONDS", 0.1)
    with targets.lock(folder), pytest.raises(errors.PublishFailed, match="cannot be written: "):
        publish(database, folder)
