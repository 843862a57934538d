"""Studies to publish, a real MLflow server, and what its tools read back."""

import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from search.exports import entries
from search.ledger import portions, studies, summaries
from search.storage import databases
from search.study import specs

METRIC = "loss, total (%)"
TEXT = f"""
objective = "os:getcwd"
[study]
name = "own"
direction = "minimize"
metric = "{METRIC}"
[space]
"model/lr%" = {{ low = 0.0, high = 1.0 }}
early = [true, false]
label = ["1", "é"]
[sampler]
name = "random"
[budget]
trials = 9
"""
KINDS = {
    "model/lr%": FloatDistribution(0.0, 1.0),
    "early": CategoricalDistribution([True, False]),
    "label": CategoricalDistribution(["1", "é"]),
}
# the server that `mlflow server` starts, without the minute that its workers take
SERVE = "import waitress; from mlflow.server import app; waitress.serve(app, host='127.0.0.1', port={port}, threads=8)"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class MLflowServer:
    """MLflow's own server on a database of SQLite, in a process."""

    def __init__(self, folder: pathlib.Path, port: int) -> None:
        self.port, self._folder = port, folder
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        places = {"_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{self._folder}/mlflow.db"}
        places |= {"_MLFLOW_SERVER_ARTIFACT_ROOT": str(self._folder / "artifacts"), "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", SERVE.format(port=self.port)],
                env={**os.environ, **places},
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        address = f"{self.uri}/api/2.0/mlflow/experiments/get?experiment_id=0"  # its database is made then
        wait_for(address, self._process)

    def hang(self) -> None:
        """It takes connections and answers none."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()

    @property
    def client(self) -> Any:
        import mlflow  # type: ignore[import-untyped]

        return mlflow.MlflowClient(tracking_uri=self.uri)

    def experiment(self, study: studies.Study) -> Any:
        """The one of a study."""
        filter_ = f"tags.`search.study_token` = '{study.token}'"
        (found,) = self.client.search_experiments(filter_string=filter_)
        return found

    def runs(self, study: studies.Study) -> dict[int, Any]:
        """The runs of its experiment, by the number of their trial; each has one."""
        experiment = self.experiment(study)
        found = list(self.client.search_runs([experiment.experiment_id], max_results=1_000))
        numbers = [int(run.data.tags["search.trial"]) for run in found]
        assert len(set(numbers)) == len(numbers), sorted(numbers)
        return dict(zip(numbers, found, strict=True))

    def curve(self, run: Any, name: str) -> list[tuple[int, float]]:
        """All points that the server has of a metric, doubles too."""
        return sorted((point.step, point.value) for point in self.client.get_metric_history(run.info.run_id, name))


def wait_for(address: str, process: subprocess.Popen[Any], seconds: float = 90) -> None:
    """Until a server answers."""
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                answer.read()
                return
        except OSError:
            assert time.monotonic() < deadline, address
            time.sleep(0.1)


def create(database: databases.Database, text: str = TEXT) -> studies.Study:
    return studies.create(database, specs.parse(text, "own.toml"))


def add(database: databases.Database, state: TrialState = TrialState.COMPLETE, name: str = "own", **more: Any) -> int:
    """A trial as another tool adds one, with whatever is asked for; its number."""
    params = {"model/lr%": 0.25, "early": True, "label": "1"}
    given: dict[str, Any] = {"params": params, "distributions": KINDS, "intermediate_values": {1: 0.5, 2: 0.25}}
    if state == TrialState.COMPLETE:
        given["value"] = 0.25
    study = optuna.load_study(study_name=name, storage=database.optuna)
    times = {name: more.pop(name) for name in ("datetime_start", "datetime_complete") if name in more}
    trial = optuna.trial.create_trial(state=state, **{**given, **more})
    for name, moment in times.items():
        setattr(trial, name, moment)
    study.add_trial(trial)
    return len(study.get_trials(deepcopy=False)) - 1


def report(database: databases.Database, number: int, steps: dict[int, float], name: str = "own") -> None:
    """More of a running trial's curve."""
    trial_id = optuna.load_study(study_name=name, storage=database.optuna).trials[number]._trial_id
    for step, value in steps.items():
        database.optuna.set_trial_intermediate_value(trial_id, step, value)


def tell(database: databases.Database, number: int, state: TrialState, value: float | None, name: str = "own") -> None:
    trial_id = optuna.load_study(study_name=name, storage=database.optuna).trials[number]._trial_id
    database.optuna.set_trial_state_values(trial_id, state, None if value is None else [value])


def head(database: databases.Database, study: studies.Study) -> entries.Heading:
    return entries.heading(summaries.summary(database, study))


def found(database: databases.Database, study: studies.Study) -> list[entries.Entry]:
    """All entries of a small study."""
    heading = head(database, study)
    return [each for portion in portions.every(database, study) for each in entries.of(portion, heading)]


def wandb_records(path: pathlib.Path) -> list[Any]:
    """What a run's file holds: LevelDB's log of wandb's own messages."""
    from wandb.proto import wandb_internal_pb2  # type: ignore[import-untyped]

    content, at, parts, records = path.read_bytes(), 7, b"", []
    while at + 7 <= len(content):
        if 32_768 - at % 32_768 < 7:  # no head has room at the end of a block
            at += 32_768 - at % 32_768
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            records.append(wandb_internal_pb2.Record.FromString(parts))
            parts = b""
    return records
