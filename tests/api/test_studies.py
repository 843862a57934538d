"""The verbs from Python."""

import pathlib
import re
import signal
import threading
from concurrent import futures
from typing import Any

import optuna
import pytest
import sqlalchemy
from conftest import Server, quick_text
from processes import until
from trials import PARAMS, Make, trained

import search
from search import errors
from search.ledger import orders, summaries
from search.storage import addresses, databases


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(addresses.VARIABLE, raising=False)
    monkeypatch.delenv(addresses.PASSWORD_VARIABLE, raising=False)
    return tmp_path


def test_a_study_is_steered(opened: databases.Database, folder: pathlib.Path) -> None:
    """Created, extended, filled, paused and let go on, with a database that is open or its address."""
    file = folder / "quick.toml"
    file.write_text(quick_text(trials=3))
    assert isinstance(search.create(str(file), storage=opened), optuna.Study)
    assert search.extend("quick", 2, storage=opened.url) == 5
    assert search.extend("quick", to=4, storage=opened) == 4
    assert search.enqueue("quick", PARAMS, storage=opened) == [0]
    assert search.enqueue(
        "quick", search.load("quick", storage=opened).trials[0].system_attrs["fixed_params"], repeats=2, storage=opened
    ) == [1, 2]
    for act, state in ((search.pause, "paused"), (search.stop, "stopped"), (search.resume, "active")):
        act("quick", storage=opened)
        assert str(search.status("quick", storage=opened).order.state) == state


@pytest.mark.parametrize(
    ("given", "message"),
    [({}, "extend takes either"), ({"trials": 1, "to": 2}, "extend takes either"), ({"hours": 1.0}, "no budget.hours")],
)
def test_an_extension_must_be_one(
    opened: databases.Database, make_study: Make, given: dict[str, float], message: str
) -> None:
    """Nothing to add is bad input, as it is for the command."""
    make_study()
    with pytest.raises(errors.InputError, match=message):
        search.extend("quick", storage=opened, **given)  # type: ignore[arg-type]


def test_a_configuration_must_lie_in_the_space(opened: databases.Database, make_study: Make) -> None:
    """A value outside is named, with its rule."""
    make_study()
    with pytest.raises(errors.InputError, match="enqueue: batch_size must be an integer from 1 to 128, got 500"):
        search.enqueue("quick", {"batch_size": 500}, storage=opened)


def test_a_password_comes_from_its_file(
    postgres: Server, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SEARCH_STORAGE and SEARCH_STORAGE_PASSWORD_FILE stand in for `storage`, as they do for the commands."""
    (folder / "password").write_text("between us\n")
    monkeypatch.setenv(addresses.VARIABLE, "postgresql://somebody@127.0.0.1:1/search")
    monkeypatch.setenv(addresses.PASSWORD_VARIABLE, "password")
    assert sqlalchemy.make_url(addresses.from_environment()).password == "between us"  # noqa: S105
    monkeypatch.setattr(databases, "OPEN_SECONDS", 0.1)
    with pytest.raises(errors.StorageError, match=r"somebody:\*\*\*@127"):
        search.load("quick")
    (folder / "password").write_text("")
    with pytest.raises(errors.InputError, match="--storage-password-file password must hold a secret"):
        search.load("quick")


def test_a_mistyped_file_is_not_made(folder: pathlib.Path) -> None:
    """Who looks at a study makes no database."""
    with pytest.raises(errors.StudyNotFound, match="no database at nowhere.db"):
        search.load("quick", storage="sqlite:///nowhere.db")
    assert not list(folder.iterdir())


def test_a_worker_makes_no_file(folder: pathlib.Path) -> None:
    """A worker that starts while a mount is away leaves nothing in its place, which would hide what comes back."""
    with pytest.raises(errors.StudyNotFound, match="no database at away/search.db"):
        search.work("quick", storage="sqlite:///away/search.db")
    assert not list(folder.iterdir())


def test_code_that_the_database_names_is_not_replayed(opened: databases.Database, folder: pathlib.Path) -> None:
    """Where a worker may not run it: nothing of it is imported, and what allows it is in the line."""
    (folder / "own.toml").write_text(
        'objective = "os:getcwd"\n[study]\nname = "own"\n[space]\nx = { low = 0.0, high = 1.0 }\n[budget]\ntrials = 1\n'
    )
    search.create("own.toml", storage=opened)
    opened.optuna.create_new_trial(opened.optuna.get_study_id_from_name("own"))
    with pytest.raises(errors.InputError, match="search replay own 0 --allow-objectives os:getcwd"):
        search.replay("own", 0, storage=opened, allow_objectives="none")
    with pytest.raises(errors.InputError, match="trial 0 has no values"):
        search.replay("own", 0, storage=opened)


def test_code_that_the_database_names_confirms_nothing(opened: databases.Database, folder: pathlib.Path) -> None:
    """Where a worker may not run it: no study is made for it."""
    (folder / "own.toml").write_text(
        'objective = "os:getcwd"\n[study]\nname = "own"\n[space]\nx = { low = 0.0, high = 1.0 }\n[budget]\ntrials = 1\n'
    )
    study = search.create("own.toml", storage=opened)
    study.add_trial(
        optuna.trial.create_trial(
            params={"x": 0.5}, distributions={"x": optuna.distributions.FloatDistribution(0.0, 1.0)}, value=0.5
        )
    )
    with pytest.raises(errors.InputError, match="search confirm own --allow-objectives os:getcwd"):
        search.confirm("own", storage=opened, allow_objectives="none")
    assert opened.optuna.get_all_studies()[-1].study_name == "own"


def test_the_caller_s_database_stays_as_it_is(
    opened: databases.Database, make_study: Make, folder: pathlib.Path
) -> None:
    """A run with another patience changes neither the database that it was given nor this process's signals."""
    study = make_study(trials=1)
    (folder / "quick.toml").write_text(study.spec.text)
    trained(opened, study)
    stop, patience, handler = opened.stop, opened.patience_seconds, signal.getsignal(signal.SIGTERM)
    assert len(search.run("quick.toml", storage=opened, patience_seconds=1, workers=1).trials) == 1
    assert (opened.stop, opened.patience_seconds, signal.getsignal(signal.SIGTERM)) == (stop, patience, handler)
    assert summaries.whole(opened, study).order.state is orders.StudyState.ACTIVE


@pytest.mark.slow
def test_a_failed_worker_is_told(opened: databases.Database, folder: pathlib.Path) -> None:
    """Python gets an error with the worker's exit code; the database that was given is as before, and works."""
    (folder / "broken.py").write_text("def f(trial):\n    raise ValueError('no')\n")
    (folder / "own.toml").write_text(
        'objective = "broken:f"\n[study]\nname = "own"\n[space]\nx = { low = 0.0, high = 1.0 }\n'
        "[budget]\ntrials = 3\nmax_failures = 0\n"
    )
    stop, patience = opened.stop, opened.patience_seconds
    with pytest.raises(
        errors.WorkFailed, match="study 'own': 0 of 3 trials done .1 failed.: 1 trial failed"
    ) as failure:
        search.run("own.toml", storage=opened, workers=1, patience_seconds=5)
    assert failure.value.exit_code == 1
    assert (opened.stop, opened.patience_seconds, opened.stop.is_set()) == (stop, patience, False)
    assert search.status("own", storage=opened).count(optuna.trial.TrialState.FAIL) == 1


@pytest.mark.parametrize("empty_url", ["postgres"], indirect=True)
def test_a_worker_of_any_study_waits_for_the_first(empty_url: str, folder: pathlib.Path) -> None:
    """Where it stays, even for the tables; else a database without studies is told."""
    with pytest.raises(errors.StudyNotFound, match="no study in postgresql"):
        search.work(any=True, storage=empty_url)
    stop = threading.Event()
    with futures.ThreadPoolExecutor() as pool:
        ended = pool.submit(search.work, any=True, match="qu*", stay=True, stop=stop, storage=empty_url)
        (folder / "quick.toml").write_text(quick_text(trials=1, epochs=1))
        search.create("quick.toml", storage=empty_url)
        until(lambda: search.status("quick", storage=empty_url).done == 1 or ended.done())
        stop.set()
    assert ended.result() is None


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "work takes either a STUDY or --any, got neither"),
        ({"name": "quick", "any": True}, "work takes either a STUDY or --any, got both, of 'quick'"),
        ({"name": "quick", "match": ["q*"]}, "--match must stand beside --any, got 'q*' beside study 'quick'"),
    ],
)
def test_work_is_for_one_study_or_for_any(folder: pathlib.Path, given: dict[str, Any], line: str) -> None:
    """The rule of the command."""
    with pytest.raises(errors.InputError, match=re.escape(line)):
        search.work(**given, storage=f"sqlite:///{folder}/search.db")
