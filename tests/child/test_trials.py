"""A trial of the user's own code goes on from its checkpoint, wherever and by whomever it was interrupted."""

import pathlib
import threading
from typing import Any

import pytest
from mine import text
from optuna.trial import FrozenTrial, TrialState
from processes import until

from search.ledger import checkpoint_files, checkpoints, studies, summaries
from search.storage import databases, schema, stores
from search.study import specs
from search.training import functions
from search.worker import loops
from search.worker.settings import Settings

EPOCHS = 6
MODULE = """
import pathlib, pickle, time

def generator(trial):
    done, total = pickle.loads(trial.restore() or pickle.dumps((0, 0.0)))
    print("from", done, flush=True)
    for epoch in range(done + 1, 7):
        total = total / 3 + trial.params["x"] * epoch
        trial.checkpoint(pickle.dumps((epoch, total)), step=epoch)
        yield total
        stop_at(epoch)

def afterwards(trial):
    done, total = pickle.loads(trial.restore() or pickle.dumps((0, 0.0)))
    print("from", done, flush=True)
    for epoch in range(done + 1, 7):
        total = total / 3 + trial.params["x"] * epoch
        yield total
        trial.checkpoint(pickle.dumps((epoch, total)))
        stop_at(epoch)

def plain(trial):
    folder, done, total = trial.restore(), 0, 0.0
    if folder is not None:
        done, total = pickle.loads((folder / "inner" / "state").read_bytes())
    print("from", done, flush=True)
    for epoch in range(done + 1, 7):
        total = total / 3 + trial.params["x"] * epoch
        trial.report(total, 10 * epoch)
        (trial.dir / "mine" / "inner").mkdir(parents=True, exist_ok=True)
        (trial.dir / "mine" / "inner" / "state").write_bytes(pickle.dumps((epoch, total)))
        trial.checkpoint(trial.dir / "mine")
        stop_at(epoch)
    return total

def parting(trial):
    done, total = pickle.loads(trial.restore() or pickle.dumps((0, 0.0)))
    print("from", done, flush=True)
    try:
        for epoch in range(done + 1, 7):
            total = total / 3 + trial.params["x"] * epoch
            done = epoch
            yield total
            stop_at(epoch)
    except BaseException:
        trial.checkpoint(pickle.dumps((done, total)))
        raise

def short_of_memory(trial):
    done = pickle.loads(trial.restore() or pickle.dumps(0))
    is_first = not pathlib.Path("tried").exists()
    pathlib.Path("tried").touch()
    for epoch in range(done + 1, 7 if is_first else 3):
        if epoch == 6:
            raise MemoryError
        yield float(epoch)

def yields_nothing(trial):
    yield 0.25
    yield None

def reads_past_the_end(trial):
    trial.report(0.5, 1)
    raise EOFError("the file is short")

def breaks_its_pipe(trial):
    yield 0.5
    raise BrokenPipeError("nobody listens")

def lives(trial):
    for number in range(12):
        time.sleep(0.2)
        trial.checkpoint(b"x")
    return 0.5

def asks(trial):
    began = time.monotonic()
    trial.report(0.5, 1)
    while time.monotonic() < began + 60:
        trial.should_prune()
    return 0.5

def gives_up(trial):
    saved = trial.restore()
    for epoch in range(1, 7):
        trial.report(float(epoch), epoch)
        trial.checkpoint(b"state")
        if epoch == 2 and saved:
            trial.set_user_attr("seen", True)
        stop_at(epoch)
    return 6.0

def stop_at(epoch):
    if epoch == 3 and pathlib.Path("stop").exists():
        pathlib.Path("stop").rename("stopped")
        time.sleep(60)
"""
FUNCTIONS = ("generator", "afterwards", "plain", "parting")


@pytest.fixture(autouse=True)
def _folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("mine.py").write_text(MODULE)


def searched(
    database: databases.Database, function: str, is_stopped: bool, save_seconds: float = 0.0, **settings: Any
) -> tuple[FrozenTrial, str]:
    """One trial, interrupted after its third epoch or not, and what it printed."""
    name = f"{function}-{is_stopped}"
    study = studies.create(database, specs.parse(text(f"mine:{function}", trials=1).replace('"own"', f'"{name}"'), "x"))
    if is_stopped:
        pathlib.Path("stop").touch()
    while True:
        stop = threading.Event()
        worker = threading.Thread(target=_work, args=(database, study, stop, save_seconds, settings))
        worker.start()
        if not is_stopped:
            worker.join()
            break
        until(pathlib.Path("stopped").exists, 30)
        pathlib.Path("stopped").unlink()
        stop.set()
        worker.join()
        is_stopped = False
    trial, *_ = summaries.whole(database, study).trials
    log = pathlib.Path("trials") / study.name / "0" / "log.txt"
    return trial, log.read_text() if log.exists() else ""


def _work(
    database: databases.Database, study: studies.Study, stop: threading.Event, seconds: float, settings: dict[str, Any]
) -> None:
    objective = functions.FunctionObjective(study.spec, pathlib.Path("trials"), seconds)
    try:
        loops.Worker(database, study, objective, stop, Settings(save_seconds=seconds, **settings)).run()
    finally:
        objective.close()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_trial_that_was_handed_over_goes_on(function: str, opened: databases.Database) -> None:
    """Bytes or a folder, before or after the report, by hand at the end: each step and value as without a stop."""
    whole, said = searched(opened, function, is_stopped=False)
    parted, log = searched(opened, function, is_stopped=True, save_seconds=3600)
    assert (whole.state, whole.value) == (parted.state, parted.value) == (TrialState.COMPLETE, parted.value)
    assert parted.intermediate_values == whole.intermediate_values
    assert len(whole.intermediate_values) == EPOCHS
    assert said == "from 0\n"
    assert log == "from 0\nfrom 3\n"
    left = opened.read(lambda c: c.execute(schema.checkpoints.select()).all())
    assert left == [], "a checkpoint outlived its trial"
    assert [
        each.name for each in pathlib.Path("trials", f"{function}-True", "0").iterdir() if each.name[0] == "."
    ] == []


def test_a_large_checkpoint_goes_to_the_store(
    opened: databases.Database, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Beyond the database's bound; one object at a time, none at the end, and the same values."""
    monkeypatch.setattr(checkpoints, "LIMIT_BYTES", 3)
    puts = []
    put = stores.Store.put

    def counted(store: stores.Store, path: str, source: pathlib.Path) -> None:
        put(store, path, source)
        puts.append((path, len(store.names("checkpoints/"))))

    monkeypatch.setattr(stores.Store, "put", counted)
    place = str(tmp_path / "store")
    whole, _ = searched(opened, "generator", is_stopped=False, save_seconds=3600, store=place)
    assert puts == []
    parted, log = searched(opened, "generator", is_stopped=True, store=place)
    assert parted.intermediate_values == whole.intermediate_values
    assert log == "from 0\nfrom 3\n"
    assert max(count for _, count in puts) == 2, "the one before stays until the next one's row is written"
    study = studies.find(opened, "generator-True")
    assert study is not None
    checkpoint_files.sweep(opened, study, stores.Store(place))
    assert stores.Store(place).names() == []


def test_a_damaged_object_starts_the_training_over(
    opened: databases.Database, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Nothing of the first training is taken for the second's, and all is as if it had begun there."""
    monkeypatch.setattr(checkpoints, "LIMIT_BYTES", 3)
    place, fetched = str(tmp_path / "store"), stores.Store.fetch

    def damaged(store: stores.Store, path: str, target: pathlib.Path, **more: Any) -> None:
        fetched(store, path, target, **more)
        target.write_bytes(b"?" + target.read_bytes())

    monkeypatch.setattr(stores.Store, "fetch", damaged)
    whole, _ = searched(opened, "generator", is_stopped=False, store=place)
    parted, log = searched(opened, "generator", is_stopped=True, store=place)
    assert parted.intermediate_values == whole.intermediate_values
    assert log == "from 0\nfrom 0\n"


def test_a_try_with_too_little_memory_leaves_no_step(opened: databases.Database) -> None:
    """The second try of a trial that keeps nothing ends sooner: its curve has what it has reported, and no more."""
    trial, _ = searched(opened, "short_of_memory", is_stopped=False)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 2.0)
    assert trial.intermediate_values == {1: 1.0, 2: 2.0}


def test_nothing_is_no_value(opened: databases.Database) -> None:
    """A generator that yields None has not ended: the trial fails and says where."""
    trial, _ = searched(opened, "yields_nothing", is_stopped=False)
    assert trial.state == TrialState.FAIL
    assert "what it yields after epoch 2 must be a number, got None" in trial.user_attrs["search:reason"]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("reads_past_the_end", "EOFError: the file is short"),
        ("breaks_its_pipe", "BrokenPipeError: nobody listens"),
    ],
)
def test_its_own_errors_are_its_own(opened: databases.Database, function: str, reason: str) -> None:
    """Those that a lost worker would raise in its process, too: the trial has reason and traceback."""
    trial, _ = searched(opened, function, is_stopped=False)
    assert (trial.state, trial.user_attrs["search:reason"]) == (TrialState.FAIL, reason)
    assert f"in {function}" in trial.user_attrs["search:traceback"]


def test_a_checkpoint_is_a_sign_of_life(opened: databases.Database) -> None:
    """Code that neither reports nor prints, and keeps its state more often than `silent_seconds`, is not ended."""
    written = text("mine:lives", trials=1) + "[trial]\nsilent_seconds = 1\n"
    study = studies.create(opened, specs.parse(written, "x"))
    _work(opened, study, threading.Event(), 0.0, {})
    assert [trial.state for trial in summaries.whole(opened, study).trials] == [TrialState.COMPLETE]


def test_code_that_only_asks_hears_that_it_must_end(opened: databases.Database) -> None:
    """One that asks whether to prune without a pause is handed over when its worker is asked to stop."""
    study, stop = studies.create(opened, specs.parse(text("mine:asks", trials=1), "x")), threading.Event()
    worker = threading.Thread(target=_work, args=(opened, study, stop, 0.0, {}))
    worker.start()
    until(lambda: [t for t in summaries.whole(opened, study).trials if t.intermediate_values], 30)
    stop.set()
    worker.join(20)
    assert not worker.is_alive()
    assert summaries.whole(opened, study).trials[0].state == TrialState.WAITING


def test_a_state_belongs_to_the_step_reported_last(opened: databases.Database) -> None:
    """Of code that goes on from its beginning though a later state was kept, too."""
    trial, _ = searched(opened, "gives_up", is_stopped=True)
    assert trial.intermediate_values == {epoch: float(epoch) for epoch in range(1, 7)}


def test_an_import_that_hangs_keeps_no_worker(opened: databases.Database) -> None:
    """A new process that does not come to its function is left when the worker is asked to stop."""
    written = text("mine:lives", trials=3) + '[trial]\nprocess = "fresh"\n'
    study, stop = studies.create(opened, specs.parse(written, "x")), threading.Event()
    worker = threading.Thread(target=_work, args=(opened, study, stop, 0.0, {}))
    worker.start()
    until(lambda: summaries.whole(opened, study).trials, 30)
    pathlib.Path("mine.py").write_text("import time; time.sleep(600)")
    until(lambda: len(summaries.whole(opened, study).trials) == 2, 60)
    stop.set()
    worker.join(30)
    assert not worker.is_alive()
