"""A trial goes on where its former owner left it, as if nothing had happened."""

import pathlib
import signal
import threading
import time
from typing import Any

import numpy
import pytest
import sqlalchemy
from conftest import Processes, quick_text
from optuna.trial import FrozenTrial, TrialState
from trials import SAVED, WEIGHTS, Make
from trials import claim as take

from models import data, engines
from models.weights import initial
from search import errors
from search.ledger import checkpoints, claims, configurations, studies
from search.storage import databases, schema
from search.training import networks, objectives
from search.worker import ownership


def rows(database: databases.Database) -> int:
    count = sqlalchemy.select(sqlalchemy.func.count()).select_from(schema.checkpoints)
    return int(database.read(lambda connection: connection.execute(count).scalar_one()))


def trial(database: databases.Database, study: studies.Study, number: int = 0) -> FrozenTrial:
    return database.optuna.get_all_trials(study.study_id)[number]


def report_two(database: databases.Database, claim: claims.Claim, saved: objectives.Checkpoint | None) -> None:
    claims.report(database, claim, {1: 0.25}, 1.0, {})
    claims.report(database, claim, {2: 0.5}, 2.0, {}, saved)


def test_what_is_saved_is_found_again(opened: databases.Database, make_study: Make) -> None:
    """Weights and history come back bit for bit, nan and denormals too, with the trial that was handed over."""
    study = make_study()
    claim = take(opened, study)
    assert claim.saved is None
    report_two(opened, claim, None)
    claims.report(opened, claim, {3: 0.75}, 3.0, {})
    claims.hand_over(opened, claim, 3.0, SAVED)
    found = take(opened, study).saved
    assert found is not None
    assert (found.epoch, found.history) == (2, SAVED.history)
    assert found.values[0] == 0.25
    assert numpy.isnan(found.values[1])
    assert [each.tobytes() for each in found.weights] == [each.tobytes() for each in WEIGHTS]
    assert [each.shape for each in found.weights] == [each.shape for each in WEIGHTS]
    assert sorted(trial(opened, study).intermediate_values) == [1, 2]  # the third is trained again, and reported


def test_only_the_owner_saves_and_the_tell_removes(opened: databases.Database, make_study: Make) -> None:
    """A late owner's checkpoint does not replace the new owner's; a finished trial has none."""
    study = make_study()
    late = take(opened, study)
    claims.hand_over(opened, late)
    owner = take(opened, study)
    report_two(opened, owner, SAVED)
    with pytest.raises(errors.TrialLost):
        claims.report(opened, late, {1: 0.1}, 1.0, {}, objectives.Checkpoint(1, WEIGHTS, [0.1], {}))
    found = opened.read(lambda connection: checkpoints.find(connection, owner.trial_id))
    assert found is not None
    assert found.epoch == 2
    assert rows(opened) == 1
    claims.tell(opened, owner, TrialState.COMPLETE, 0.5, {}, 2.0)
    assert rows(opened) == 0


@pytest.mark.parametrize("column", ["weights", "history", "epoch", "checksum"])
def test_a_damaged_checkpoint_is_set_aside(
    opened: databases.Database, make_study: Make, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever of it is changed is noticed: the trial starts over, without steps or checkpoint, and the log says so."""
    study = make_study()
    claim = take(opened, study)
    report_two(opened, claim, SAVED)
    claims.hand_over(opened, claim)
    row = opened.read(lambda connection: connection.execute(schema.checkpoints.select()).mappings().one())
    value = row[column]
    changed = {"epoch": 1} if column == "epoch" else {column: value[:-1] + (b"x" if column == "weights" else "x")}
    opened.write(lambda connection: connection.execute(schema.checkpoints.update().values(**changed)))
    assert take(opened, study).saved is None
    assert "event=checkpoint-damaged" in caplog.text
    assert trial(opened, study).intermediate_values == {}
    assert rows(opened) == 0


def test_a_large_network_is_left_out(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond the limit nothing is stored, the log says so, and the report is not lost."""
    monkeypatch.setattr(checkpoints, "LIMIT_BYTES", 8)
    study = make_study()
    report_two(opened, take(opened, study), SAVED)
    assert rows(opened) == 0
    assert "event=checkpoint-left-out" in caplog.text
    assert len(trial(opened, study).intermediate_values) == 2


def test_a_deleted_study_leaves_none(opened: databases.Database, make_study: Make) -> None:
    """Checkpoints go with the study, whichever tool deletes it."""
    study = make_study()
    report_two(opened, take(opened, study), SAVED)
    opened.optuna.delete_study(study.study_id)
    assert rows(opened) == 0


class Interrupted(ownership.OwnedTrial):
    """Asked to stop within the epoch after a given one."""

    after_epoch = 10**9

    def check_stop(self) -> None:
        if self._timeouts.epoch > self.after_epoch:
            raise errors.HandOver
        super().check_stop()


@pytest.mark.parametrize("engine", engines.names("cpu"))
@pytest.mark.parametrize("hopeless", ["true", "false"])
def test_an_interrupted_training_equals_one_that_was_not(
    opened: databases.Database, make_study: Make, engine: str, hopeless: str
) -> None:
    """Handed over after every epoch, a trial has the curve, losses and value of an undisturbed one, bit for bit."""
    study = make_study(epochs=5, trials=40, hopeless=hopeless)
    train = networks.NetworkObjective(study.spec, pathlib.Path("unused"), "cpu", engine)
    params = {"learning_rate": 0.1, "batch_size": 7, "depth": 4, "width": 16, "activation": "GELU"}

    def run(claim: claims.Claim, after_epoch: int) -> objectives.Result | None:
        each = Interrupted(opened, study, claim, threading.Event(), save_seconds=1e9)
        each.after_epoch = after_epoch
        each.begin(params)
        try:
            result = train(each)
        except errors.HandOver:
            each.hand_over()
            return None
        each.tell(result.state, result.value, result.attrs)
        return result

    whole = take(opened, study)
    undisturbed = run(whole, 10**9)
    assert undisturbed is not None
    disturbed, epoch = None, 0
    while disturbed is None:
        epoch += 1
        claim = take(opened, study)
        assert (claim.saved.epoch if claim.saved else 0) == epoch - 1  # nothing is trained twice
        disturbed = run(claim, epoch)
    assert epoch == 5
    # the one thing that differs
    assert min(result.attrs.pop("search:cpu_seconds") for result in (disturbed, undisturbed)) >= 0
    assert disturbed == undisturbed
    first, second = trial(opened, study, 0), trial(opened, study, 1)
    assert first.intermediate_values == second.intermediate_values
    assert len(first.intermediate_values) == 5
    assert first.user_attrs["search:avg_losses"] == second.user_attrs["search:avg_losses"]


def test_a_trial_whose_owner_died_before_the_tell_is_not_trained_again(
    opened: databases.Database, make_study: Make
) -> None:
    """After the last epoch, or after the one that showed it hopeless, the next owner only tells the result."""
    study = make_study(epochs=2)
    train = networks.NetworkObjective(study.spec, pathlib.Path("unused"), "cpu")
    for reason, state in ((None, TrialState.COMPLETE), ("hopeless after epoch 2: told", TrialState.PRUNED)):
        claim = take(opened, study)
        params = configurations.configure(opened, study, claim, opened.history(study.study_id))
        weights = initial(train.recipe(params))
        history: dict[str, Any] = {"losses": [2.0, 1.0], "reason": reason, "memory": None}
        report_two(opened, claim, objectives.Checkpoint(2, weights, [0.25, 0.5], history))
        claims.hand_over(opened, claim)
        again = ownership.OwnedTrial(opened, study, take(opened, study), threading.Event())
        again.begin(again.claim.params)
        result = train(again)
        assert (result.state, result.value, result.attrs["search:avg_loss"]) == (state, 0.5, 1.0)
        again.tell(result.state, result.value, result.attrs)


@pytest.mark.slow
def test_a_killed_worker_s_training_goes_on(
    processes: Processes, opened: databases.Database, data_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """SIGKILL in the middle of a training: the adopter goes on from the checkpoint and ends with the same curve."""
    text = quick_text(name="long", trials=2, epochs=6, hopeless="false").replace('"synthetic"', '"fashion-mnist"')
    params = 'learning_rate = 0.1\nbatch_size = 4\ndepth = 2\nwidth = 16\nactivation = "ReLU"\n'
    (tmp_path / "long.toml").write_text(text + f"\n[[enqueue]]\n{params}")
    common = ("--data-dir", str(data_dir), "--grace", "2", "--checkpoint-seconds", "0")
    assert processes.run("create", "long.toml")[0] == 0
    study = studies.find(opened, "long")
    assert study is not None
    processes.run("enqueue", "long", *params.replace(" = ", "=").replace('"', "").split(), "--repeats", "1")
    worker = processes.start("work", "long", *common)
    deadline = time.monotonic() + 120
    while len(trial(opened, study).intermediate_values) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    worker.send_signal(signal.SIGKILL)
    worker.wait(30)
    done = trial(opened, study).intermediate_values
    assert 2 <= len(done) < 6
    code, log = processes.run("work", "long", *common)
    assert code == 0, log
    first = trial(opened, study)
    assert "event=adopted" in log
    assert first.state == TrialState.COMPLETE
    train = networks.NetworkObjective(study.spec, data_dir, "cpu")
    recipe = train.recipe(first.params)
    values = [epoch.accuracy for epoch in engines.load().train(recipe, data.fashion_mnist(data_dir))]
    assert [first.intermediate_values[step] for step in sorted(first.intermediate_values)] == values
    assert {step: first.intermediate_values[step] for step in done} == done
    assert rows(opened) == 0
