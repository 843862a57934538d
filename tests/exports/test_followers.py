"""A study followed: what changes is sent, and what could not be is sent later."""

import logging
import pathlib
import sys
import threading

import publishing
import pytest
import trials
from optuna.trial import TrialState
from publishing import add, report, tell
from trials import Make

from search import errors
from search.exports import followers
from search.ledger import lives, orders, studies
from search.storage import databases
from search.study import destinations


def follower(database: databases.Database, to: str, **more: bool) -> tuple[followers.Follower, threading.Event]:
    """One of the study `own`, which waits for nothing."""
    stop, place = threading.Event(), destinations.read(to)
    return followers.Follower(database, studies.load(database, "own"), [place], 0.01, stop, **more), stop


def test_what_changes_is_sent_until_the_study_has_ended(
    opened: databases.Database, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A look for each change; the last one has all."""
    caplog.set_level(logging.INFO, "search")
    publishing.create(opened)
    running = add(opened, TrialState.RUNNING)
    one, stop = follower(opened, f"tensorboard:{tmp_path}/a")
    thread = threading.Thread(target=one.run)
    thread.start()
    path = wait_for_file(tmp_path / "a" / "own" / "trial-0")
    before = path.read_bytes()
    report(opened, running, {3: 0.125})
    tell(opened, running, TrialState.COMPLETE, 0.125)
    add(opened, value=0.01)  # the better: both are told again
    stop.set()
    thread.join(60)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes().startswith(before)
    assert len(path.read_bytes()) > len(before)
    assert (tmp_path / "a" / "own" / "trial-1").is_dir()
    assert next(line for line in caplog.messages if "event=published" in line).endswith("new=1 updated=0")


def wait_for_file(folder: pathlib.Path) -> pathlib.Path:
    """A file of events, in place."""
    for _ in range(600):
        if found := [path for path in folder.glob("events.*") if not path.name.startswith(".")]:
            return found[0]
        threading.Event().wait(0.05)
    raise AssertionError(folder)


def test_a_place_that_takes_nothing_is_tried_again(
    opened: databases.Database, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, however often it is tried, and what was to be sent is there when it takes it."""
    caplog.set_level(logging.INFO, "search")
    publishing.create(opened)
    for _ in range(3):
        add(opened)
    (tmp_path / "a").write_text("")
    one, _ = follower(opened, f"tensorboard:{tmp_path}/a", stays=True)
    for _ in range(4):
        one._look(is_last=True)
    add(opened)
    (tmp_path / "a").unlink()
    one._look(is_last=True)
    assert len(list((tmp_path / "a" / "own").glob("trial-*"))) == 4
    said = [line.partition("event=")[2].split()[0] for line in caplog.messages if "event=publish" in line]
    assert said == ["publish-waits", "publish-goes-on", "published"]


def test_a_library_that_is_missing_ends_it(
    opened: databases.Database,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is said once, with what to install."""
    publishing.create(opened)
    monkeypatch.setitem(sys.modules, "wandb", None)
    one, _ = follower(opened, f"wandb:{tmp_path}/a")
    with pytest.raises(errors.InputError, match="study 'own' can be published nowhere from here"):
        one.run()
    assert sum("pip install 'optuna-search-service[wandb]'" in line for line in caplog.messages) == 1


def test_a_study_that_has_ended_ends_it(opened: databases.Database, make_study: Make, tmp_path: pathlib.Path) -> None:
    """Its budget is used up, or it was stopped; with a worker it stays, for an extension."""
    study = make_study(name="own", trials=1)
    trials.succeed(opened, trials.begin(opened, study))
    follower(opened, f"tensorboard:{tmp_path}/a")[0].run()
    assert (tmp_path / "a" / "own" / "trial-0").is_dir()
    orders.extend(opened, study, add=1)
    orders.set_state(opened, study, orders.StudyState.STOPPED)
    follower(opened, f"tensorboard:{tmp_path}/a")[0].run()


def test_a_deleted_study_ends_it(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """Nobody makes another of that name its own."""
    study = publishing.create(opened)
    one, _ = follower(opened, f"tensorboard:{tmp_path}/a", stays=True)
    lives.delete(opened, study)
    with pytest.raises(errors.StudyNotFound):
        one.run()
