"""Who may have a function that lives in a notebook."""

import logging
import pathlib

import mine
import pytest

import search
from search import cli, errors
from search.api import homes as access
from search.ledger import allocations, homes, outcomes, studies, summaries
from search.storage import databases
from search.study import specs
from search.training import shipments


@pytest.fixture
def study(tmp_path: pathlib.Path) -> tuple[databases.Database, studies.Study]:
    database = databases.Database(f"sqlite:///{tmp_path}/own.db")
    return database, studies.create(database, specs.parse(mine.text("__main__:objective"), "own.toml"))


def test_others_are_told_where_it_lives(study: tuple[databases.Database, studies.Study]) -> None:
    """A worker that search.run did not start, whatever of it is known."""
    database, own = study
    with pytest.raises(
        errors.InputError, match="its function lives in a notebook or script that called search.run, and"
    ):
        search.work("own", storage=database)
    homes.write(database, own, homes.Home("notebook tune.ipynb on elsewhere", "1a"))
    with pytest.raises(errors.InputError, match="its function lives in notebook tune.ipynb on elsewhere, and only"):
        search.work("own", storage=database)


def test_a_worker_of_any_study_passes_it_by(
    study: tuple[databases.Database, studies.Study], caplog: pytest.LogCaptureFixture
) -> None:
    """It says where the function lives, and ends well: nobody but its notebook was to run it."""
    with caplog.at_level(logging.WARNING):
        assert search.work(any=True, storage=study[0]) is allocations.NoTrial.FINISHED
    (said,) = caplog.messages
    assert said.startswith("study='own' event=passed-by reason=")
    assert "its function lives in a notebook or script that called search.run" in said


def test_another_version_is_told(
    study: tuple[databases.Database, studies.Study],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A worker whose function is not the one of the last run says so in its log, and goes on."""
    database, own = study
    homes.write(database, own, homes.Home("a notebook", "1a"))
    for checksum in ("1a", "2b"):
        monkeypatch.setenv(shipments.VARIABLE, f"/somewhere/{checksum}.pickle")
        with caplog.at_level(logging.WARNING):
            access.check(database, own)
    (said,) = caplog.messages
    assert said == "event=other-function ours=2b last_run=1a place='a notebook'"


def test_a_function_of_a_module_is_anybody_s(tmp_path: pathlib.Path) -> None:
    """Nothing is asked of a study whose objective is imported."""
    database = databases.Database(f"sqlite:///{tmp_path}/own.db")
    access.check(database, studies.create(database, specs.parse(mine.text(), "own.toml")))


def test_what_goes_on_with_it_is_its_own_call(
    study: tuple[databases.Database, studies.Study], capsys: pytest.CaptureFixture[str]
) -> None:
    """No hint names a command that would refuse it: create, extend, stop and rename name the call of search.run."""
    database, own = study
    call = "`search.run(FUNCTION, ..., name='own')`"
    assert f"workers have ended; {call} goes on" in str(outcomes.shortfall(summaries.summary(database, own)))
    with pytest.raises(errors.StudyExists, match=r"exists already; `search\.run\(FUNCTION"):
        studies.create(database, own.spec)
    for words, said in (
        (["extend", "own", "--trials", "1"], f"no worker is alive: {call} does it"),
        (["stop", "own"], f"until `search resume own` or {call}"),
        (["rename", "own", "it's mine"], """`search.run(FUNCTION, ..., name="it's mine")` goes on"""),
    ):
        assert cli.main([*words, "--storage", database.url]) == 0
        printed = capsys.readouterr().out
        if words[0] == "stop":
            cli.main(["status", "own", "--storage", database.url])
            printed += capsys.readouterr().out
        assert said in printed
        assert "search run" not in printed
        assert "search work" not in printed
