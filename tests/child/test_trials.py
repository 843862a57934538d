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
    (trial,) = summaries.whole(database, study).trials
    return trial, (pathlib.Path("trials") / study.name / "0" / "log.txt").read_text()


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
