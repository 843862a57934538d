"""A study in MLflow: what a real server has of it, once, whatever comes between."""

import datetime
import json
import math
import pathlib
import re
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import optuna
import pausing
import publishing
import pytest
from mlflow.utils import validation  # type: ignore[import-untyped]
from optuna.trial import TrialState
from publishing import METRIC, MLflowServer, add, report, tell

from search import api, errors
from search.exports import entries, mlflow_clients, mlflows
from search.exports.targets import Outcome
from search.ledger import lives
from search.storage import databases

pytestmark = pytest.mark.slow  # a server of MLflow
LABEL = entries.names([METRIC], mlflows.NAME, 250)[METRIC]
CURVE = entries.names([f"curve/{METRIC}"], mlflows.NAME, 250)[f"curve/{METRIC}"]
LR = entries.names(["model/lr%"], mlflows.NAME, 250)["model/lr%"]


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflowServer]:
    """One for all tests: each has studies, and so experiments, of its own."""
    server = MLflowServer(tmp_path_factory.mktemp("mlflow"), publishing.free_port())
    yield server
    server.stop()


@pytest.fixture
def database(tmp_path: pathlib.Path, prepared_file: pathlib.Path) -> Iterator[databases.Database]:
    """What is read of either kind of database, tests/ledger/test_portions.py has."""
    (tmp_path / "search.db").write_bytes(prepared_file.read_bytes())
    opened = databases.Database(f"sqlite:///{tmp_path}/search.db")
    yield opened
    opened.close()


def publish(database: databases.Database, server: MLflowServer, name: str = "own") -> tuple[int, int, int]:
    (found,) = api.publish(name, f"mlflow:{server.uri}", storage=database)
    return found.new, found.updated, found.unchanged


def test_a_trial_is_a_run(database: databases.Database, mlflow_server: MLflowServer) -> None:
    """Its status, times, parameters with their types, value, curve, what is told of it, and what its code has set."""
    study = publishing.create(database)
    began = datetime.datetime(2026, 11, 1, 12, 0, 0)
    told = {"search:worker": "node:7", "search:seconds": 2.5, "search:seed": 3, "loss kind": "cross", "n": 4}
    add(
        database,
        user_attrs={**told, "search:code": {"train.py": "ab12"}},
        datetime_start=began,
        datetime_complete=began + datetime.timedelta(seconds=3),
    )
    add(database, TrialState.PRUNED, user_attrs={"search:reason": "hopeless: it cannot learn"})
    add(database, TrialState.FAIL, intermediate_values={}, user_attrs={"search:reason": "ValueError: no"})
    add(database, TrialState.RUNNING)
    add(database, TrialState.WAITING, params={}, distributions={}, intermediate_values={})
    assert publish(database, mlflow_server) == (4, 0, 0)
    runs = mlflow_server.runs(study)
    statuses = {number: (run.info.status, run.data.tags["search.state"]) for number, run in runs.items()}
    assert statuses == {
        0: ("FINISHED", "complete"),
        1: ("KILLED", "pruned"),
        2: ("FAILED", "failed"),
        3: ("RUNNING", "running"),
    }
    first = runs[0]
    assert first.info.run_name == "trial 0"
    since = began.replace(tzinfo=datetime.UTC).timestamp() * 1000
    assert (first.info.start_time, first.info.end_time) == (since, since + 3000)
    assert first.data.params == {LR: "0.25", "early": "True", "label": "'1'"}
    assert json.loads(first.data.tags["search.params"]) == {"model/lr%": 0.25, "early": True, "label": "1"}
    assert first.data.metrics == {LABEL: 0.25, CURVE: 0.25, "search/seconds": 2.5}
    assert mlflow_server.curve(first, CURVE) == [(1, 0.5), (2, 0.25)]
    wanted = {"search.worker": "node:7", "search.seed": "3", "attr.n": "4", "search.best": "true"}
    wanted |= {"search.code": '{"train.py": "ab12"}', "attr.loss kind": "cross"}
    assert wanted.items() <= first.data.tags.items()
    assert runs[1].data.tags["search.reason"] == "hopeless: it cannot learn"
    assert runs[1].data.tags["search.best"] == "false"


def test_a_study_is_an_experiment(database: databases.Database, mlflow_server: MLflowServer) -> None:
    """Its name, its whole file, what it seeks, and the best trial, which MLflow shows as a note."""
    long = publishing.TEXT + "# " + "é" * 12_000
    study = publishing.create(database, long)
    add(database, value=0.5)
    add(database, value=0.125)
    publish(database, mlflow_server)
    experiment = mlflow_server.experiment(study)
    tags = experiment.tags
    assert experiment.name.startswith("own")
    assert "".join(tags[f"search.study_file{end}"] for end in ("", ".2", ".3")) == long
    assert (tags["search.metric"], tags["search.direction"], tags["search.trains"]) == (METRIC, "minimize", "os:getcwd")
    assert (tags["search.best_trial"], tags["search.best_value"]) == ("1", "0.125")
    assert json.loads(tags["search.best_params"])["early"] is True
    assert "Best: trial 1" in tags["mlflow.note.content"]


def test_twice_is_once(database: databases.Database, mlflow_server: MLflowServer) -> None:
    """No second run, no second point, and not a request that writes."""
    study = publishing.create(database)
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING):
        add(database, state)
    assert publish(database, mlflow_server) == (4, 0, 0)
    before = {number: run.to_dictionary() for number, run in mlflow_server.runs(study).items()}
    assert publish(database, mlflow_server) == (0, 0, 4)
    after = mlflow_server.runs(study)
    assert {number: run.to_dictionary() for number, run in after.items()} == before
    assert mlflow_server.curve(after[0], CURVE) == [(1, 0.5), (2, 0.25)]


def test_a_trial_that_goes_on_is_updated(database: databases.Database, mlflow_server: MLflowServer) -> None:
    """Its curve grows in the same run; where another owner has told another curve, one run has that one alone."""
    study = publishing.create(database)
    number = add(database, TrialState.RUNNING)
    publish(database, mlflow_server)
    first = mlflow_server.runs(study)[number]
    report(database, number, {3: 0.125, 4: 0.1})
    assert publish(database, mlflow_server) == (0, 1, 0)
    tell(database, number, TrialState.COMPLETE, 0.1)
    assert publish(database, mlflow_server) == (0, 1, 0)
    run = mlflow_server.runs(study)[number]
    assert (run.info.run_id, run.info.status) == (first.info.run_id, "FINISHED")
    assert mlflow_server.curve(run, CURVE) == [(1, 0.5), (2, 0.25), (3, 0.125), (4, 0.1)]
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trial_intermediate_values SET intermediate_value = 9 WHERE step = 2")
    assert publish(database, mlflow_server) == (0, 1, 0)
    run = mlflow_server.runs(study)[number]
    assert mlflow_server.curve(run, CURVE) == [(1, 0.5), (2, 9.0), (3, 0.125), (4, 0.1)]


def test_a_pause_is_told_and_what_was_woken_goes_on(database: databases.Database, mlflow_server: MLflowServer) -> None:
    """A trial that waits at a rung is SCHEDULED; promoted, it runs again, in the same run."""
    study = pausing.create(database, name="paused")
    trials = [pausing.begin(database, study) for _ in range(2)]
    pausing.reach(database, study, trials[0], 1, 0.1)
    pausing.reach(database, study, trials[1], 1, 0.5)
    publish(database, mlflow_server, "paused")
    runs = mlflow_server.runs(study)
    asleep = [number for number, run in runs.items() if run.data.tags["search.state"] == "paused"]
    assert asleep
    assert {runs[number].info.status for number in asleep} == {"SCHEDULED"}
    again = pausing.begin(database, study)
    publish(database, mlflow_server, "paused")
    assert mlflow_server.runs(study)[again.number].info.status == "RUNNING"


def test_the_best_is_one(database: databases.Database, mlflow_server: MLflowServer) -> None:
    """A better trial takes the mark from the one before."""
    study = publishing.create(database)
    add(database, value=0.5)
    publish(database, mlflow_server)
    add(database, value=0.25)
    assert publish(database, mlflow_server) == (1, 1, 0)
    runs = mlflow_server.runs(study)
    assert [runs[number].data.tags["search.best"] for number in (0, 1)] == ["false", "true"]


class Killed(BaseException):
    """Ends a publication as a kill does."""


@pytest.mark.parametrize("number", [1, 2, 3, 4, 6, 7])
def test_a_kill_between_any_two_requests_leaves_nothing_double(
    database: databases.Database, mlflow_server: MLflowServer, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The next publication ends what was begun: each trial is one run, each point is there once."""
    study = publishing.create(database)
    add(database)
    add(database, TrialState.RUNNING)
    ask, asked = mlflow_clients.Client.call, 0

    def call(self: Any, name: str, *given: Any, **options: Any) -> Any:
        nonlocal asked
        found = ask(self, name, *given, **options)
        asked += name not in ("search_runs", "search_experiments", "get_run")
        if asked == number:
            raise Killed
        return found

    monkeypatch.setattr(mlflow_clients.Client, "call", call)
    with pytest.raises(Killed):
        publish(database, mlflow_server)
    monkeypatch.undo()
    publish(database, mlflow_server)
    assert publish(database, mlflow_server) == (0, 0, 2)
    runs = mlflow_server.runs(study)
    assert {n: run.info.status for n, run in runs.items()} == {0: "FINISHED", 1: "RUNNING"}
    assert [mlflow_server.curve(run, CURVE) for run in runs.values()] == [[(1, 0.5), (2, 0.25)]] * 2
    assert mlflow_server.curve(runs[0], LABEL) == [(2, 0.25)]


def test_two_at_a_time_are_one(database: databases.Database, mlflow_server: MLflowServer) -> None:
    """Publishers that begin in the same moment leave a run for each trial, whole."""
    study = publishing.create(database)
    for _ in range(6):
        add(database)
    gate = threading.Barrier(3)

    def one() -> None:
        gate.wait()
        publish(database, mlflow_server)

    with futures.ThreadPoolExecutor(3) as pool:
        for each in [pool.submit(one) for _ in range(3)]:
            each.result()
    publish(database, mlflow_server)
    assert publish(database, mlflow_server) == (0, 0, 6)
    runs = mlflow_server.runs(study)
    assert sorted(runs) == list(range(6))
    assert all(mlflow_server.curve(run, CURVE) == [(1, 0.5), (2, 0.25)] for run in runs.values())


def test_a_run_that_somebody_has_deleted_is_made_again(
    database: databases.Database, mlflow_server: MLflowServer
) -> None:
    """Also by a publisher that knew it."""
    study = publishing.create(database)
    add(database, TrialState.RUNNING)
    target = mlflows.MLflow(mlflow_server.uri)
    target.begin(publishing.head(database, study))
    (entry,) = publishing.found(database, study)
    assert target.send(publishing.head(database, study), entry) is Outcome.NEW
    mlflow_server.client.delete_run(mlflow_server.runs(study)[0].info.run_id)
    report(database, 0, {3: 0.125})
    (entry,) = publishing.found(database, study)
    assert target.send(publishing.head(database, study), entry) in (Outcome.NEW, Outcome.UPDATED)
    assert mlflow_server.curve(mlflow_server.runs(study)[0], CURVE) == [(1, 0.5), (2, 0.25), (3, 0.125)]


def test_studies_of_one_name_are_two_experiments(
    database: databases.Database, mlflow_server: MLflowServer, tmp_path: pathlib.Path
) -> None:
    """Of another database, or made anew after a deletion; a study that is renamed keeps its own."""
    text = publishing.TEXT.replace('"own"', '"same"')
    first = publishing.create(database, text)
    add(database, name="same")
    publish(database, mlflow_server, "same")
    lives.delete(database, first)
    second = publishing.create(database, text)
    add(database, name="same")
    assert publish(database, mlflow_server, "same") == (1, 0, 0)
    assert mlflow_server.experiment(first).name == "same"
    assert mlflow_server.experiment(second).name == f"same ({second.token[:8]})"
    lives.rename(database, second, "other")
    new, updated, _ = publish(database, mlflow_server, "other")
    assert (new, updated) == (0, 1)
    assert len(mlflow_server.runs(second)) == 1


def test_numbers_that_are_none(database: databases.Database, mlflow_server: MLflowServer) -> None:
    """Nan stays nan, what is infinite is MLflow's largest number, and twice is once."""
    study = publishing.create(database)
    curve = {1: math.nan, 2: math.inf, 3: -math.inf, 4: 0.5}
    add(database, intermediate_values=curve, value=math.inf)
    publish(database, mlflow_server)
    assert publish(database, mlflow_server) == (0, 0, 1)
    run = mlflow_server.runs(study)[0]
    values = dict(mlflow_server.curve(run, CURVE))
    assert math.isnan(values[1])
    assert (values[2] > 1e308, values[3] < -1e308, values[4]) == (True, True, 0.5)
    assert run.data.metrics[LABEL] > 1e308


def test_what_mlflow_refuses_is_cut_or_named_otherwise(
    database: databases.Database, mlflow_server: MLflowServer
) -> None:
    """150 parameters, names and values of any length and sign, 200 attributes, 2,000 steps."""
    names = [f"p{n}" for n in range(147)] + ["../up", "a" * 100, "semi;colon"]
    space = "\n".join(f"{json.dumps(name)} = {{ low = 0, high = 9 }}" for name in names)
    text = publishing.TEXT.replace('label = ["1", "é"]', f"label = ['1', 'é']\n{space}")
    long = "é" * 7_000
    study = publishing.create(database, text)
    kinds = {**publishing.KINDS, **{name: optuna.distributions.IntDistribution(0, 9) for name in names}}
    kinds["label"] = optuna.distributions.CategoricalDistribution([long])
    params = {"model/lr%": 0.5, "early": False, "label": long, **dict.fromkeys(names, 3)}
    attrs = {f"attr {n} \u2713" * 20: "x" * 9_000 for n in range(199)} | {"half": "a\0b\udc80"}
    steps = {step: 1 / step for step in range(1, 2_001)}
    add(database, params=params, distributions=kinds, intermediate_values=steps, user_attrs=attrs)
    assert publish(database, mlflow_server) == (1, 0, 0)
    assert publish(database, mlflow_server) == (0, 0, 1)
    run = mlflow_server.runs(study)[0]
    assert len(run.data.params) == 153
    assert run.data.params["label"].endswith("... (7,000 characters)")
    assert len([name for name in run.data.tags if name.startswith("attr.")]) == 200
    assert len(mlflow_server.client.get_metric_history(run.info.run_id, CURVE)) == 2_000


NAMES = ["a", "a/b", "a b", "é", "a:b", "..", "../a", "a/../b", "/a", "a/", "", ".", "a//b", "a/./b", " a", "a ", "a."]


@pytest.mark.parametrize("name", [*NAMES, "a%", "x" * 251])
def test_names_are_judged_as_mlflow_does(name: str) -> None:
    """What stays as it is MLflow takes, and so it does what we make of the others."""
    made = entries.names([name], mlflows.NAME, mlflows.NAME_CHARACTERS)[name]
    validation._validate_metric_name(made)
    validation._validate_param_name(made)
    assert len(made) <= 250
    assert made == name or re.fullmatch(r"[\w.-]+-[0-9a-f]{8}", made)


def test_a_server_that_does_not_answer_is_a_line(
    database: databases.Database, mlflow_server: MLflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bounded time, without the token, and what is to be sent is sent when it is back."""
    publishing.create(database)
    add(database)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-secret")
    nobody = f"http://127.0.0.1:{publishing.free_port()}"
    for uri, why in ((nobody, "connection refused"), (mlflow_server.uri, "no answer in time")):
        mlflow_server.hang()
        began = time.monotonic()
        try:
            with pytest.raises(errors.PublishFailed) as failed:
                api.publish("own", f"mlflow:{uri}", storage=database)
        finally:
            mlflow_server.go_on()
        assert time.monotonic() - began < 15
        assert str(failed.value) == f"--to mlflow:{uri} does not answer: {why}"
        assert "a-secret" not in str(failed.value)
    assert publish(database, mlflow_server) == (1, 0, 0)


def test_a_database_that_is_only_read_is_published(database: databases.Database, mlflow_server: MLflowServer) -> None:
    """What is there already is looked up in the place itself."""
    publishing.create(database)
    add(database)
    looked = databases.open_to_read(database.url)
    assert looked.only_reads
    assert publish(looked, mlflow_server) == (1, 0, 0)
    assert publish(looked, mlflow_server) == (0, 0, 1)
