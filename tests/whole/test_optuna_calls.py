"""Each Optuna call of docs/storage.md on a study of ours, beside a worker's running trial: it is as the table says."""

import pathlib
import re
from collections.abc import Callable

import optuna
import pytest
from conftest import ROOT
from optuna.trial import TrialState
from trials import PARAMS, SAVED, Make, begin, state, succeed, take

from search import errors
from search.ledger import allocations, claims, configurations, copies, studies, summaries
from search.storage import databases

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore:The number of trials")
PAGE = (ROOT / "docs" / "storage.md").read_text()


class Bench:
    """A study with one complete trial and a running one of a worker's."""

    def __init__(self, database: databases.Database, study: studies.Study, url: str, folder: pathlib.Path) -> None:
        self.database, self.ours, self.url, self.folder = database, study, url, folder
        succeed(database, begin(database, study))
        self.running = begin(database, study)

    def study(self, **more: object) -> optuna.Study:
        return optuna.load_study(study_name=self.ours.name, storage=self.url, **more)  # type: ignore[arg-type]

    @property
    def trial(self) -> optuna.trial.Trial:
        return optuna.trial.Trial(self.study(), self.running.trial_id)

    @property
    def summary(self) -> summaries.Summary:
        return summaries.whole(self.database, self.ours)

    def next(self) -> claims.Claim:
        return begin(self.database, self.ours)

    def is_unharmed(self) -> bool:
        """The worker goes on with its trial, and the study is what it was."""
        claims.report(self.database, self.running, {1: 0.25}, 1.0, {})
        succeed(self.database, self.running)
        return studies.load(self.database, self.ours.name).spec == self.ours.spec


def read(bench: Bench) -> None:
    assert len(bench.study().trials) == len(bench.study().get_trials()) == 2
    assert bench.study().best_trial.number == 0


def frame(bench: Bench) -> None:
    assert len(bench.study().trials_dataframe()) == 2


def importances(bench: Bench) -> None:
    optuna.importance.get_param_importances(bench.study())


def load(bench: Bench) -> None:
    sampler = optuna.samplers.GridSampler({"learning_rate": [0.5]})
    assert bench.study(sampler=sampler, pruner=optuna.pruners.NopPruner()).sampler is sampler
    assert studies.load(bench.database, bench.ours.name).spec.sampler.name == "random"


def create(bench: Bench) -> None:
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        optuna.create_study(study_name=bench.ours.name, storage=bench.url)
    again = optuna.create_study(
        study_name=bench.ours.name, storage=bench.url, load_if_exists=True, direction="maximize"
    )
    assert len(again.trials) == 2
    optuna.create_study(study_name="theirs", storage=bench.url)
    assert studies.names(bench.database) == [bench.ours.name]


def add(bench: Bench) -> None:
    kinds = {p.name: p.distribution for p in bench.ours.spec.space.parameters if p.name in PARAMS}
    bench.study().add_trial(optuna.trial.create_trial(params=PARAMS, distributions=kinds, value=0.9))
    assert (bench.summary.done, bench.summary.best.number) == (1, 2)  # type: ignore[union-attr]
    assert state(bench.database, bench.ours, bench.next().number).params != PARAMS


def enqueue(bench: Bench) -> None:
    bench.study().enqueue_trial(PARAMS)
    assert state(bench.database, bench.ours, bench.next().number).params == PARAMS
    for params, refusal in ((PARAMS, errors.DuplicateConfiguration), ({"depth": 99}, errors.ImpossibleConfiguration)):
        bench.study().enqueue_trial(params)
        claim = take(bench.database, bench.ours)
        with pytest.raises(refusal):
            configurations.configure(bench.database, bench.ours, claim, bench.database.history(bench.ours.study_id))
        succeed(bench.database, claim)


def ask(bench: Bench) -> None:
    asked = bench.study().ask()
    bench.study().tell(asked, 0.7)
    assert bench.summary.done == 2
    waiting = bench.next()
    claims.hand_over(bench.database, waiting, 1.0, SAVED)
    assert bench.study().ask().number == waiting.number


def optimize(bench: Bench) -> None:
    bench.study().optimize(lambda trial: trial.suggest_categorical("learning_rate", [1e-4, 1e-2, 1e-1]), n_trials=7)
    assert (bench.summary.done, bench.summary.budget) == (8, 5)
    assert take(bench.database, bench.ours) is allocations.NoTrial.WAIT
    with pytest.raises(ValueError, match="different distribution kind"):
        bench.study().optimize(lambda trial: trial.suggest_float("learning_rate", 0, 1), n_trials=1)


def stop(bench: Bench) -> None:
    with pytest.raises(RuntimeError, match="inside an objective"):
        bench.study().stop()
    study = bench.study()
    study.optimize(lambda trial: (study.stop(), 0.5)[1], n_trials=5)  # type: ignore[func-returns-value]
    assert bench.summary.done == 2
    assert str(bench.summary.order.state) == "active"
    bench.next()


def attribute(bench: Bench) -> None:
    bench.study().set_user_attr("note", {"a": 1})
    assert bench.study().user_attrs["note"] == {"a": 1}
    text = bench.study().user_attrs[studies.STUDY_FILE]
    bench.study().set_user_attr(studies.STUDY_FILE, 3)
    with pytest.raises(errors.StudyFileError, match="its study file is gone"):
        studies.load(bench.database, bench.ours.name)
    bench.study().set_user_attr(studies.STUDY_FILE, text)


def metric_names(bench: Bench) -> None:
    bench.study().set_metric_names(["mine"])
    assert bench.summary.study.spec.study.metric == "accuracy"


def trial_attribute(bench: Bench) -> None:
    bench.trial.set_user_attr("mine", 1)
    assert state(bench.database, bench.ours, 1).user_attrs["mine"] == 1


def artifact(bench: Bench) -> None:
    file, store = bench.folder / "f.txt", optuna.artifacts.FileSystemArtifactStore(str(bench.folder))
    file.write_text("x")
    for owner in (bench.study(), bench.trial):
        optuna.artifacts.upload_artifact(study_or_trial=owner, file_path=str(file), artifact_store=store)
    finished, storage = bench.study().trials[0], bench.database.optuna
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        optuna.artifacts.upload_artifact(
            study_or_trial=finished, storage=storage, file_path=str(file), artifact_store=store
        )
    assert len(optuna.artifacts.get_all_artifact_meta(bench.study().trials[1], storage=storage)) == 1


def heartbeats(bench: Bench) -> None:
    back = optuna.storages.RetryHeartbeatStaleTrialCallback()
    storage = optuna.storages.RDBStorage(
        bench.url, heartbeat_interval=1, grace_period=1, heartbeat_stale_trial_callback=back
    )
    study = optuna.load_study(study_name=bench.ours.name, storage=storage)
    optuna.storages.fail_stale_trials(study)
    study.optimize(lambda trial: 0.1, n_trials=1)
    assert [trial.state for trial in study.trials][1:] == [TrialState.RUNNING, TrialState.COMPLETE]


def copy(bench: Bench) -> None:
    source = {"from_study_name": bench.ours.name, "from_storage": bench.url}
    optuna.copy_study(**source, to_storage=bench.url, to_study_name="theirs")
    with pytest.raises(errors.InputError, match="a copy that another tool made"):
        studies.load(bench.database, "theirs")
    row = studies.load_stored(bench.database, "theirs")
    taken_up = copies.copy(bench.database, row, "again")
    assert summaries.whole(bench.database, taken_up).budget == 5
    assert begin(bench.database, taken_up).number in (1, 2)


def delete(bench: Bench) -> None:
    optuna.delete_study(study_name=bench.ours.name, storage=bench.url)
    with pytest.raises(errors.TrialLost):
        claims.report(bench.database, bench.running, {1: 0.25}, 1.0, {})
    with pytest.raises(errors.StudyNotFound, match="was deleted"):
        take(bench.database, bench.ours)


CALLS: dict[str, Callable[[Bench], None]] = {
    "study.trials": read,
    "study.trials_dataframe": frame,
    "optuna.importance.get_param_importances": importances,
    "optuna.load_study(sampler=, pruner=)": load,
    "optuna.create_study": create,
    "study.add_trial": add,
    "study.enqueue_trial": enqueue,
    "study.ask": ask,
    "study.optimize": optimize,
    "study.stop": stop,
    "study.set_user_attr": attribute,
    "study.set_metric_names": metric_names,
    "trial.set_user_attr": trial_attribute,
    "optuna.artifacts.upload_artifact": artifact,
    "RetryHeartbeatStaleTrialCallback": heartbeats,
    "optuna.copy_study": copy,
    "optuna.delete_study": delete,
}
ROWS = dict(re.findall(r"^\| `([^`]+)`.*? \| (yes|half|no) \|", PAGE, re.MULTILINE))


def test_the_table_has_the_calls_that_are_tried() -> None:
    """No line of docs/storage.md is left untried, and none is missing there."""
    assert list(ROWS) == list(CALLS)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_does_what_the_table_says(
    opened: databases.Database, make_study: Make, url: str, tmp_path: pathlib.Path, call: str
) -> None:
    """What is called safe leaves the worker its trial and the study what it was; the rest is as it is described."""
    bench = Bench(opened, make_study(trials=5), url, tmp_path)
    CALLS[call](bench)
    assert ROWS[call] == "no" or bench.is_unharmed()
