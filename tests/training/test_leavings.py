"""Files that the user's own code keeps, through a real worker and a real process."""

import pathlib
import sys
import threading

import pytest
from optuna.trial import TrialState
from s3_services import S3

from search.ledger import artifacts, studies, summaries
from search.storage import artifact_stores, databases, stores
from search.study import specs
from search.training import functions, leavings
from search.worker import loops
from search.worker.settings import Settings

MODULE = """
import pathlib

def generator(trial):
    for epoch in range(2):
        path = pathlib.Path(f"of-{trial.number}.txt")
        path.write_text(f"epoch {epoch}")
        assert trial.artifact(path, "state.txt")
        path.unlink()
        yield trial.params["x"]

def plain(trial):
    try:
        trial.artifact("nowhere")
    except FileNotFoundError as error:
        trial.set_user_attr("refused", str(error))
    pathlib.Path("mine.txt").write_text("plain")
    trial.artifact("mine.txt")
    return trial.params["x"]
"""
TEXT = """
objective = "keeps_files:{function}"
[study]
name = "own"
[trial]
{trial}
[space]
x = {{ low = -1.0, high = 1.0 }}
[budget]
trials = 2
max_failures = 0
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keeps_files.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "keeps_files", raising=False)


def searched(function: str, trial: str = "", settings: Settings | None = None) -> tuple[list[str], list[str]]:
    """A whole study by one worker in this process: what is listed, with what it holds, and what refused it."""
    settings = settings or Settings()
    database = databases.Database("sqlite:///own.db")
    study = studies.create(database, specs.parse(TEXT.format(function=function, trial=trial), "own.toml"))
    loops.Worker(database, study, functions.FunctionObjective(study.spec), threading.Event(), settings).run()
    summary = summaries.whole(database, study)
    assert [each.state for each in summary.trials] == [TrialState.COMPLETE] * 2, summary.trials[0].user_attrs
    store = stores.Store(stores.location(study.spec.trial.store, database.url, settings.store))
    found = []
    for each in artifacts.of_study(database, study):
        with store.open(artifact_stores.path_of(each.artifact_id)) as content:
            found.append(f"{each.number} {each.name} {content.read().decode()}")
    database.close()
    assert len(store.names()) == len(found)
    return found, [each.user_attrs.get("refused", "") for each in summary.trials]


def test_a_generator_keeps_files(tmp_path: pathlib.Path) -> None:
    """As they were when it said so, the last of each name, in a folder beside the database."""
    assert searched("generator")[0] == ["0 state.txt epoch 1", "1 state.txt epoch 1"]
    assert (tmp_path / "own.store" / "artifacts").is_dir()


def test_a_plain_objective_keeps_files(tmp_path: pathlib.Path) -> None:
    """Where the worker is told to; what is no file is an error of its own, which it may catch."""
    found, refused = searched("plain", settings=Settings(store=str(tmp_path / "elsewhere")))
    assert found == ["0 mine.txt plain", "1 mine.txt plain"]
    assert all(reason.startswith("artifact: there is no file ") for reason in refused)
    assert not (tmp_path / "own.store").exists()


def test_a_study_file_says_where(tmp_path: pathlib.Path) -> None:
    """Before what the worker is told."""
    settings = Settings(store=str(tmp_path / "elsewhere"))
    searched("plain", f'store = "{tmp_path}/its own"', settings)
    assert (tmp_path / "its own" / "artifacts").is_dir()
    assert not (tmp_path / "elsewhere").exists()


def test_files_go_to_a_service(s3: S3) -> None:
    """As to a folder."""
    assert searched("generator", settings=Settings(store=s3.new_place()))[0] == [
        "0 state.txt epoch 1",
        "1 state.txt epoch 1",
    ]


class Kept:
    """A trial that notes what it is to keep."""

    def __init__(self) -> None:
        self.kept: list[tuple[pathlib.Path, str]] = []

    def artifact(self, path: pathlib.Path, name: str) -> str:
        self.kept.append((path, name))
        return "id"


def test_what_a_program_leaves_is_kept(tmp_path: pathlib.Path) -> None:
    """Every file below `artifacts/`, by its path there, and nothing that lies elsewhere; no folder is nothing."""
    trial = Kept()
    assert leavings.keep_all(trial, tmp_path) == []  # type: ignore[arg-type]
    folder = tmp_path / "artifacts"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "log.txt").write_text("not this")
    (folder / "model.pt").write_text("m")
    (folder / "deep" / "plot.png").write_text("p")
    (folder / "out").symlink_to(tmp_path / "log.txt")
    (folder / "again").symlink_to("model.pt")
    assert leavings.keep_all(trial, tmp_path) == ["again", "deep/plot.png", "model.pt"]  # type: ignore[arg-type]
    assert trial.kept[1] == (folder / "deep" / "plot.png", "deep/plot.png")
