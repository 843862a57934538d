"""A worker from its first claim to the end of the study, in this process."""

import collections
import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy
import optuna
import pytest
import sqlalchemy
from conftest import Server, quick_text
from optuna.trial import TrialState

from search import errors
from search.ledger import allocations, orders, rosters, studies, summaries
from search.space import spaces
from search.storage import databases, waits
from search.study import samplers, specs
from search.training import objectives, records
from search.worker import loops
from search.worker.settings import Settings

LINE = """
learning_rate = {low = 1e-4, high = 0.1, log = true}
batch_size = {low = 1, high = 128}
depth = {low = 1, high = 1}
width = [8]
activation = ["ReLU"]
"""


def formula(trial: objectives.Trial) -> objectives.Result:
    """Something to learn, better the shallower and the faster."""
    value = 1.0 - 0.1 * float(trial.params["depth"]) - 1e-3 * float(trial.params["batch_size"])
    trial.report(1, value, {})
    return objectives.Result(TrialState.COMPLETE, value, {})


def searched(folder: pathlib.Path, text: str, parts: int = 1) -> list[spaces.Params]:
    """The configurations of a whole study, worked off by `parts` workers one after the other."""
    database = databases.Database(f"sqlite:///{folder}/search.db")
    study = studies.create(database, specs.parse(text, "x"))
    budget = study.spec.budget.trials
    for part in range(1, parts + 1):
        orders.extend(database, study, to=budget * part // parts)
        assert loops.Worker(database, study, formula, threading.Event()).run() is allocations.NoTrial.FINISHED
    found = [trial.params for trial in summaries.whole(database, study).trials]
    database.close()
    return found


@pytest.mark.parametrize("name", samplers.NAMES)
def test_a_study_repeats_exactly(tmp_path: pathlib.Path, name: str) -> None:
    """With one worker and a seed the same configurations come in the same order, also from several workers in turn."""
    text = quick_text(sampler=name, trials=14 if name == "gp" else 24, hopeless="false")
    if name == "cmaes":
        start, end = text.index("learning_rate ="), text.index("[sampler]")
        text = text[:start] + LINE + text[end:]
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    first = searched(folders[0], text)
    assert len(first) == (14 if name == "gp" else 24)
    assert searched(folders[1], text) == first
    assert searched(folders[2], text, parts=3) == first
    if name != samplers.GRID:
        assert searched(tmp_path, text.replace("seed = 1", "seed = 2")) != first


Make = Callable[..., studies.Study]


def test_a_worker_signs_the_roster_and_out_again(opened: databases.Database, make_study: Make) -> None:
    """While it works it is listed with its trial; when it has ended its line is gone."""
    study = make_study(trials=1)
    seen: list[rosters.Roster] = []

    def looked_at(trial: objectives.Trial) -> objectives.Result:
        seen.append(rosters.read(opened, study.study_id))
        return formula(trial)

    assert loops.Worker(opened, study, looked_at, threading.Event()).run() is allocations.NoTrial.FINISHED
    assert [member.trials for member in seen[0].members] == [(0,)]
    assert rosters.read(opened, study.study_id).members == ()


def test_no_thread_outlives_the_worker(opened: databases.Database, make_study: Make) -> None:
    """The heart is waited for: its trials' weights, freed while the interpreter ends, would abort the process."""
    study, stop, busy = make_study(trials=1), threading.Event(), threading.Event()

    def write() -> None:  # by the heart
        busy.set()
        time.sleep(1)

    def ends(trial: Any) -> objectives.Result:
        trial.write_if_due = write
        stop.set()
        assert busy.wait(30)
        trial.check_stop()
        raise AssertionError("it goes on")

    assert loops.Worker(opened, study, ends, stop).run() is None
    assert "heart" not in {thread.name for thread in threading.enumerate()}


def test_a_wait_for_another_tool_names_its_trials(
    opened: databases.Database, make_study: Make, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that waits for what `study.ask` has left running says once what to type."""
    study = make_study(trials=2)
    plain = optuna.load_study(study_name=study.name, storage=url)
    left = [plain.ask().number for _ in range(2)]
    stop = threading.Event()
    worker = threading.Thread(target=loops.Worker(opened, study, formula, stop).run)
    with caplog.at_level("INFO", "search"):
        worker.start()
        until = time.monotonic() + 20
        while "event=waiting" not in caplog.text and time.monotonic() < until:
            time.sleep(0.05)
        for number in left:
            plain.tell(number, 0.1)
        worker.join(20)
        stop.set()
    (said,) = [each.getMessage() for each in caplog.records if "event=waiting" in each.getMessage()]
    assert "other_tools=2 note='search retry quick 0 1 puts back what has ended there' worker=" in said


def test_the_time_of_every_end_is_kept(opened: databases.Database, make_study: Make) -> None:
    """Trials that raise keep their reason, their traceback and their time, which counts in the study's."""
    study = make_study(trials=1, more="max_failures = 1")

    def broken(trial: objectives.Trial) -> objectives.Result:
        threading.Event().wait(0.05)
        raise ValueError("no such thing")

    assert loops.Worker(opened, study, broken, threading.Event()).run() is allocations.NoTrial.FAILURES
    summary = summaries.whole(opened, study)
    assert [trial.state for trial in summary.trials] == [TrialState.FAIL] * 2
    attrs = summary.trials[0].user_attrs
    assert attrs["search:reason"] == "ValueError: no such thing"
    assert "in broken" in attrs["search:traceback"]
    assert attrs["search:seconds"] >= 0.05
    assert summary.seconds == pytest.approx(
        sum(trial.user_attrs["search:seconds"] for trial in summary.trials), abs=5e-3
    )


CONTINUOUS = """
objective = "builtins:len"
[study]
name = "c"
[space]
x = {x}
[sampler]
name = "{sampler}"
[budget]
trials = {trials}
max_failures = 0
"""


@pytest.mark.parametrize(
    ("x", "sampler", "trials", "ends", "done"),
    [
        (
            "{ low = 0.0, high = 1.0 }",
            "gp",
            16,
            allocations.NoTrial.FINISHED,
            16,
        ),  # its best point is the bound, always
        ("{ low = 0.0, high = 0.5, step = 0.1 }", "tpe", 10, allocations.NoTrial.EXHAUSTED, 6),
        ("{ low = 0.1, high = 0.1 }", "random", 3, allocations.NoTrial.EXHAUSTED, 1),
    ],
)
def test_floats_are_never_tried_twice_nor_failed_for_it(
    tmp_path: pathlib.Path, x: str, sampler: str, trials: int, ends: allocations.NoTrial, done: int
) -> None:
    """Where a sampler repeats itself another value is found; a stepped or single float is a finite dimension."""
    database = databases.Database(f"sqlite:///{tmp_path}/search.db")
    study = studies.create(database, specs.parse(CONTINUOUS.format(x=x, sampler=sampler, trials=trials), "x"))

    def higher(trial: objectives.Trial) -> objectives.Result:
        return objectives.Result(TrialState.COMPLETE, float(trial.params["x"]), {})

    assert loops.Worker(database, study, higher, threading.Event()).run() is ends
    found = summaries.whole(database, study).trials
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * done
    assert len({trial.params["x"] for trial in found}) == done
    database.close()


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")]
)
def test_out_of_memory_is_tried_once_more(opened: databases.Database, make_study: Make, error: Exception) -> None:
    """A trial that runs out of memory goes on from its last epoch, and waits for another try; the third fails it."""
    study = make_study(trials=2)
    begun: list[tuple[int, int]] = []
    weights = (numpy.zeros(3, numpy.float32),)

    def hungry(trial: objectives.Trial) -> objectives.Result:
        first = trial.saved.epoch + 1 if trial.saved else 1
        begun.append((trial.number, first))
        trial.report(first, 0.5, {}, objectives.Checkpoint(first, weights, [0.5] * first, {}))
        if trial.number == 0 or first == 1:
            raise error
        return objectives.Result(TrialState.COMPLETE, 0.5, {})

    assert loops.Worker(opened, study, hungry, threading.Event()).run() is allocations.NoTrial.FINISHED
    assert begun == [*((0, epoch) for epoch in range(1, 7)), (1, 1), (1, 2), (2, 1), (2, 2)]
    failed, *others = summaries.whole(opened, study).trials
    assert failed.state == TrialState.FAIL
    assert failed.user_attrs["search:reason"].startswith(type(error).__name__)
    assert failed.user_attrs["search:reason"].endswith("(not the objective's doing; tried 3 times)")
    assert summaries.whole(opened, study).failures == 0
    assert "hungry" in failed.user_attrs["search:traceback"]
    assert [trial.state for trial in others] == [TrialState.COMPLETE] * 2
    assert [sorted(trial.intermediate_values) for trial in others] == [[1, 2]] * 2


def test_a_connection_cut_at_any_statement_fails_no_trial(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever statement of a worker's life meets a dead connection, the study ends as if nothing had been."""
    monkeypatch.setattr(waits, "BACKOFF_SECONDS", 0.002)  # the server is there: each wait would be for nothing
    url = postgres.new_database()
    database, admin = databases.Database(url, patience_seconds=30), sqlalchemy.create_engine(url)
    study = studies.create(database, specs.parse(quick_text(trials=24, sampler="tpe"), "quick.toml"))
    seen: collections.Counter[str] = collections.Counter()

    def cut(connection: sqlalchemy.Connection, cursor: object, statement: str, *_: object) -> None:
        seen[statement] += 1
        if seen[statement] == 1 and threading.current_thread() is threading.main_thread():
            with admin.connect() as other:
                other.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'search'"
                )

    sqlalchemy.event.listen(database.engine, "before_cursor_execute", cut)
    assert loops.Worker(database, study, formula, threading.Event()).run() is allocations.NoTrial.FINISHED
    assert len(seen) > 15
    assert database.interruptions > 15
    trials = summaries.whole(database, study).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 24, [
        t.user_attrs.get("search:reason") for t in trials
    ]
    database.close()


def test_a_worker_whose_heart_fails_stops_at_once(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the error: without beats the others would take its trial, so it hands it over and ends with it."""
    study, begun = make_study(trials=1), threading.Event()
    renew = rosters.Entry.renew

    def fails(entry: rosters.Entry, connection: sqlalchemy.Connection) -> bool:
        if begun.is_set():
            raise TypeError("Object of type float32 is not JSON serializable")
        return renew(entry, connection)

    def endless(trial: objectives.Trial) -> objectives.Result:
        trial.report(1, 0.5, {})
        begun.set()
        while True:
            time.sleep(0.01)
            trial.check_stop()

    monkeypatch.setattr(rosters.Entry, "renew", fails)
    with pytest.raises(errors.WorkFailed, match="the heart of worker .* failed, so it ends: TypeError: Object of type"):
        loops.Worker(opened, study, endless, threading.Event(), Settings(grace_seconds=0.6)).run()
    (trial,) = summaries.whole(opened, study).trials
    assert (trial.state, trial.intermediate_values) == (TrialState.WAITING, {1: 0.5})


class Odd(Exception):
    """Of a user's own, which may do anything."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Odd(), "Odd: its text cannot be had: RuntimeError"),
        (ValueError("bad \ud800"), "ValueError: bad \\ud800"),
        (SystemExit(0), "SystemExit: 0"),
    ],
)
def test_whatever_is_raised_fails_its_trial_alone(
    opened: databases.Database, make_study: Make, error: BaseException, reason: str
) -> None:
    """The worker goes on, and the reason can be shown."""
    study = make_study(trials=2)

    def raises(trial: objectives.Trial) -> objectives.Result:
        if trial.number == 0:
            raise error
        return formula(trial)

    assert loops.Worker(opened, study, raises, threading.Event()).run() is allocations.NoTrial.FINISHED
    failed, *others = summaries.whole(opened, study).trials
    assert (failed.state, records.REASON.find(failed)) == (TrialState.FAIL, reason)
    assert [trial.state for trial in others] == [TrialState.COMPLETE] * 2
