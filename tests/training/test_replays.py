"""A stored trial trained again."""

import json
import pathlib
import statistics
from typing import Any

import numpy
import pytest
from conftest import Processes, quick_text
from optuna.trial import TrialState
from trials import Make, trained
from trials import claim as take

from models import engines, provenance, recipes
from models.data import synthetic
from search import errors
from search.ledger import claims, configurations, queues, studies
from search.storage import databases
from search.training import networks, objectives, records, replays

PARAMS = {"learning_rate": 0.1, "batch_size": 7, "depth": 1, "width": 16, "activation": "GELU"}


def train(study: studies.Study, engine: str = "cpu") -> networks.NetworkObjective:
    return networks.NetworkObjective(study.spec, pathlib.Path("unused"), "cpu", engine)


@pytest.mark.parametrize("engine", engines.names("cpu"))
def test_the_same_engine_gives_the_same_bits(opened: databases.Database, make_study: Make, engine: str) -> None:
    """What is stored of a trial is enough to train it again: complete or pruned, and a repeat with its own seed."""
    study = make_study(epochs=4)
    queues.enqueue(opened, study, PARAMS)
    first = trained(opened, study, engine)
    queues.repeat(opened, study, PARAMS, 1)
    second = trained(opened, study, engine)
    assert first.user_attrs["search:seed"] != second.user_attrs["search:seed"]
    assert first.intermediate_values != second.intermediate_values
    for trial in (first, second):
        epochs: list[int] = []
        found = replays.replay(trial, train(study, engine), epochs.append)
        assert (found.is_same, found.why, found.stored) == (True, (), trial.intermediate_values)
        assert epochs == [1, 2, 3, 4]
        assert found.sentence() == f"trial {trial.number} trained again: the same curve, to the last bit (4 epochs)"


def test_a_value_may_be_the_mean_of_the_last_epochs(opened: databases.Database, make_study: Make) -> None:
    """Of three epochs, or fewer where it ended earlier; what is reported stays as it was, and the replay says it."""
    study, other = make_study(epochs=4), make_study(name="mean", epochs=4, value="mean-of-last-3")
    trials = {}
    for each in (study, other):
        queues.enqueue(opened, each, PARAMS)
        trials[each.name] = trained(opened, each)
    last, mean = trials["quick"], trials["mean"]
    curve = [last.intermediate_values[epoch] for epoch in (1, 2, 3, 4)]
    assert mean.intermediate_values == last.intermediate_values
    assert (last.value, mean.value) == (curve[3], statistics.fmean(curve[1:]))
    assert len(set(curve)) > 1
    found = replays.replay(mean, train(other))
    assert found.sentence().endswith(f"(4 epochs); its value, {mean.value}, is the mean of the last 3")
    assert (found.as_json()["value"], replays.replay(last, train(study)).as_json()["value"]) == (
        "mean-of-last-3",
        "last",
    )
    cut = replays.ReplayedTrial(last)
    cut._last = 2
    assert train(other)(cut).value == statistics.fmean(curve[:2])


def test_a_trial_that_changed_hands_has_the_same_value(opened: databases.Database, make_study: Make) -> None:
    """The mean is over its last epochs, whoever trained them."""
    study = make_study(epochs=4, value="mean-of-last-3")
    queues.enqueue(opened, study, PARAMS)
    whole = trained(opened, study)
    saved: list[objectives.Checkpoint] = []

    class Kept(replays.ReplayedTrial):
        def report(self, step: int, value: float, attrs: Any, after: objectives.Checkpoint | None = None) -> None:
            super().report(step, value, attrs, after)
            saved.extend([after] if after and step == 2 else [])

    train(study)(Kept(whole))
    again = replays.ReplayedTrial(whole)
    again.saved = saved[0]
    assert train(study)(again).value == whole.value
    assert sorted(again.values) == [3, 4]


def test_another_engine_is_named(opened: databases.Database, make_study: Make) -> None:
    """Where bits differ, what is recorded and different is the explanation."""
    study = make_study(epochs=3)
    queues.enqueue(opened, study, PARAMS)
    trial = trained(opened, study, "cpu")
    trial.intermediate_values[2] += 0.25
    found = replays.replay(trial, train(study, "reference"))
    assert "engine was cpu and is reference here" in found.why
    assert not found.is_same
    assert found.as_json()["largest_difference"] == pytest.approx(0.25, abs=0.05)
    assert "first in epoch " in found.sentence()


def test_a_difference_without_a_reason_is_told(opened: databases.Database, make_study: Make) -> None:
    """A stored value that nothing recorded explains is said to be just that."""
    study = make_study(epochs=3)
    queues.enqueue(opened, study, PARAMS)
    trial = trained(opened, study)
    trial.intermediate_values[3] = float("nan")
    found = replays.replay(trial, train(study))
    assert (found.is_same, found.why, list(found.differences)) == (False, (), [3])
    assert "nothing that is recorded of its training is different here" in found.sentence()


def test_a_trial_that_another_pruner_ended_ends_where_it_did(opened: databases.Database, make_study: Make) -> None:
    """The replay of a pruned trial has as many epochs as are stored, whoever ended it."""
    study = make_study(epochs=5, hopeless="false")
    queues.enqueue(opened, study, PARAMS)
    whole = trained(opened, study)
    claim = take(opened, study)
    configurations.assign(opened, study, claim, {**PARAMS, "batch_size": 9})
    values = {1: 0.5, 2: 0.6}
    claims.tell(opened, claim, TrialState.PRUNED, 0.6, {"search:reason": "median"}, 1.0, values)
    found = replays.replay(opened.optuna.get_trial(claim.trial_id), train(study))
    assert (len(found.again), found.why) == (2, ("nothing is recorded of how it was trained",))
    assert len(replays.replay(whole, train(study)).again) == 5


def test_an_untrained_trial_is_refused(opened: databases.Database, make_study: Make) -> None:
    """A trial that was pruned before training has nothing to compare, and its reason says why."""
    study = make_study()
    claim = take(opened, study)
    configurations.assign(opened, study, claim, PARAMS)
    claims.tell(opened, claim, TrialState.PRUNED, None, {"search:reason": "hopeless before training"}, 0.0)
    with pytest.raises(errors.InputError, match="was not trained, so there is nothing to replay: hopeless before"):
        replays.replay(opened.optuna.get_trial(claim.trial_id), train(study))


def test_owners_of_one_kind_make_one_range() -> None:
    """Epochs are recorded with where they were trained: a range for each engine, in order, over checkpoints too."""
    data = synthetic()
    recipe = recipes.Recipe(0.1, 50, 1, 16, "ReLU", epochs=4)
    one, other = ({"engine": name} for name in ("cpu", "reference"))
    so_far = records.Record()
    for epoch in engines.load("reference").train(recipe, data, train_accuracy=True):
        so_far.add(epoch, other if epoch.number == 3 else one, with_batches=True)
        so_far = records.Record.after(so_far.values, json.loads(json.dumps(so_far.history())))
    assert so_far.trained == [
        {"from": 1, "to": 2, "with": one},
        {"from": 3, "to": 3, "with": other},
        {"from": 4, "to": 4, "with": one},
    ]
    assert [len(each) for each in (so_far.values, so_far.losses, so_far.train_accuracies)] == [4, 4, 4]
    assert (so_far.thinned, [len(losses) for losses in so_far.batch_losses]) == (1, [12] * 4)
    assert so_far.cpu_seconds > 0


def test_batch_losses_are_thinned_by_means() -> None:
    """Never more than a thousand points an epoch; the last one may be the mean of fewer."""
    assert records.thin(numpy.array([1.0, 2.0, 3.0], numpy.float32)) == (1, [1.0, 2.0, 3.0])
    count, points = records.thin(numpy.arange(2_501, dtype=numpy.float32))
    assert (count, len(points), points[:2], points[-1]) == (3, 834, [1.0, 4.0], 2499.5)


def test_the_data_has_a_checksum() -> None:
    """The same set has the same checksum wherever it is; a pixel, a label or the hold-out changes it."""
    data = synthetic()
    engine = engines.load()
    assert provenance.of(engine, data)["data"] == provenance.checksum(synthetic())
    seen = {provenance.checksum(each) for each in (data, data.holdout(), synthetic(seed=1))}
    data.test_labels[0] += 1
    assert len(seen | {provenance.checksum(data)}) == 4


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # what it trains matters, not where that is kept
def test_the_command(processes: Processes, tmp_path: pathlib.Path) -> None:
    """`search replay` says it in a line or JSON, and refuses what is not there in one."""
    (tmp_path / "q.toml").write_text(quick_text(trials=3, hopeless="false"))
    assert processes.run("run", "q.toml", "--workers", "1")[0] == 0
    code, output = processes.run("replay", "quick", "1")
    assert (code, output) == (0, "trial 1 trained again: the same curve, to the last bit (3 epochs)\n")
    code, output = processes.run("replay", "quick", "2", "--json")
    assert (code, json.loads(output)) == (
        0,
        {
            **{"number": 2, "same": True, "epochs": 3, "first_difference": None, "largest_difference": 0.0},
            **{"why": [], "value": "last", "stored": None, "again": None},
        },
    )
    for arguments, words in (
        (("quick", "3"), "has 3 trials, numbered from 0, got 3"),
        (("quick", "-1"), "No such option"),
        (("quack", "1"), "no study 'quack'"),
        (("quick", "1", "--device", "cuda"), "cuda"),
    ):
        code, output = processes.run("replay", *arguments)
        assert (code, output.count("\n"), words in output) == (2, 1, True), output
