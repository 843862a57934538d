"""Workers whose trials pause: bit for bit what a training without a pause gives, whoever goes on with it."""

import dataclasses
import logging
import pathlib
import re
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from conftest import quick_text
from optuna.trial import TrialState

from search.ledger import allocations, checks, orders, pauses, proposals, studies, summaries
from search.storage import databases
from search.study import specs
from search.surrogates.trainings import Stage, Training
from search.training import functions, networks, records
from search.worker import loops
from search.worker.settings import Settings

NETWORKS = """
hopeless = false
pruner = "asha"
reduction_factor = 2
"""


def create(database: databases.Database, name: str, more: str, trials: int = 6) -> studies.Study:
    """Four epochs, rungs at 1 and 2."""
    found = quick_text(name=name, trials=trials, epochs=4).replace("hopeless = true\n", more)
    return studies.create(database, specs.parse(found, "x"))


def work(database: databases.Database, study: studies.Study, objective: Any = None, slots: int = 1) -> Any:
    trained = objective or networks.NetworkObjective(study.spec, pathlib.Path("unused"))
    return loops.Worker(database, study, trained, threading.Event(), Settings(slots=slots)).run()


def ended(database: databases.Database, study: studies.Study) -> dict[int, Any]:
    return {trial.number: trial for trial in summaries.whole(database, study).trials}


@pytest.mark.parametrize("checkpoints", [30, 0])
def test_a_promoted_trial_gives_what_one_trained_through_gives(
    opened: databases.Database, caplog: pytest.LogCaptureFixture, checkpoints: int
) -> None:
    """Values by epoch, losses and parameters, from its checkpoint and from the start again, which takes its time."""
    caplog.set_level(logging.INFO, "search")
    whole, paused = (
        create(opened, "whole", "hopeless = false\n"),
        create(opened, "paused", NETWORKS + f"checkpoints = {checkpoints}\n"),
    )
    assert work(opened, whole) is work(opened, paused) is allocations.NoTrial.FINISHED
    through, found = ended(opened, whole), ended(opened, paused)
    promoted = {int(each) for each in re.findall(r"trial=(\d+) event=promoted", caplog.text)}
    assert promoted
    assert bool(re.search("event=resumed", caplog.text)) == bool(checkpoints)
    for number, trial in found.items():
        expected = through[number]
        assert trial.params == expected.params
        epochs = len(trial.intermediate_values)
        assert trial.intermediate_values == {n: v for n, v in expected.intermediate_values.items() if n <= epochs}
        assert trial.value == trial.intermediate_values[epochs]
        assert records.AVG_LOSSES.read(trial, []) == records.AVG_LOSSES.read(expected, [])[:epochs]
        assert records.TRAINED.read(trial, [])[-1]["to"] == epochs
    complete = {number for number, trial in found.items() if trial.state == TrialState.COMPLETE}
    assert complete & promoted
    assert {found[number].state for number in found.keys() - complete} == {TrialState.PRUNED}
    assert [each for each in checks.look(opened, paused) if not each.holds] == []


def test_several_slots_and_an_extension(opened: databases.Database) -> None:
    """As many trials as were asked for, each once, and after an extension as many as that asks for."""
    study = create(opened, "slots", NETWORKS + "checkpoints = 1\n", trials=8)
    assert work(opened, study, slots=3) is allocations.NoTrial.FINISHED
    before = ended(opened, study)
    orders.extend(opened, study, add=4)
    assert opened.read(lambda connection: pauses.furthest(connection, study.study_id))
    assert work(opened, study, slots=3) is allocations.NoTrial.FINISHED
    after = ended(opened, study)
    assert (len(before), len(after)) == (8, 12)
    assert {trial.state for trial in after.values()} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert {after[number].params == trial.params for number, trial in before.items()} == {True}
    assert [each for each in checks.look(opened, study) if not each.holds] == []


OWN = """
objective = "pausing_objectives:{name}"
[study]
name = "own"
[space]
x = [1, 2, 3, 4, 5, 6]
[sampler]
name = "random"
[pruning]
pruner = "asha"
reduction_factor = 2
max_resource = 4
[budget]
trials = 6
"""
FILE = """
import optuna

def epochs(trial):
    for epoch in range(1, 5):
        with open(f"trained-{trial.params['x']}", "a") as file:
            print(epoch, file=file)
        yield trial.params["x"] * epoch

def plain(trial):
    x = trial.suggest_categorical("x", [1, 2, 3, 4, 5, 6])
    for epoch in range(1, 5):
        trial.report(x * epoch, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return 4 * x
"""


@pytest.mark.parametrize("name", ["epochs", "plain"])
def test_an_objective_of_the_users_own(
    opened: databases.Database, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It keeps no checkpoint: a promoted trial is trained again from the start, its stored values stand."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("pausing_objectives.py").write_text(FILE)
    study = studies.create(opened, specs.parse(OWN.format(name=name), "x"))
    function = functions.FunctionObjective(study.spec)
    assert work(opened, study, function) is allocations.NoTrial.FINISHED
    function.close()
    found = ended(opened, study)
    assert found[max(found, key=lambda number: found[number].params["x"])].state == TrialState.COMPLETE
    for trial in found.values():
        epochs = len(trial.intermediate_values)
        assert trial.intermediate_values == {n: trial.params["x"] * n for n in range(1, epochs + 1)}
        assert epochs == 4 or trial.state == TrialState.PRUNED
    if name == "epochs":
        again = [pathlib.Path(f"trained-{x}").read_text().split().count("1") for x in range(1, 7)]
        assert max(again) > 1
    assert [each for each in checks.look(opened, study) if not each.holds] == []


@pytest.mark.parametrize("slots", [1, 2])
def test_a_sampler_decides_who_goes_on(
    opened: databases.Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, slots: int
) -> None:
    """It sees what has paused, with values, time and parameters; one that is not wished for is told at the end."""
    caplog.set_level(logging.INFO, "search")
    asked: list[tuple[int, dict[int, int]]] = []
    curves: list[tuple[int, list[float]]] = []

    def wish(ask: proposals.Ask, paused: Sequence[Training]) -> pauses.Wish:
        asked.append((ask.trial.number, {each.number: len(each.values) for each in paused}))
        for each in paused:
            assert (each.stage, each.value) == (Stage.PAUSED, None)
            curves.append((each.number, each.values.tolist()))
            assert ask.tree.holds(each.params)
            assert each.seconds > 0
        shown = {trial.number: trial for trial in ask.study.get_trials(deepcopy=False)}
        assert all(shown[each.number].params == each.params for each in paused)
        # those of even numbers, the furthest first, and where there is no room the last
        even = [each for each in paused if each.number % 2 == 0]
        best = sorted(even, key=lambda each: (-len(each.values), each.number))
        return pauses.Wish(tuple(each.number for each in best), tuple(each.number for each in paused)[5:])

    def view(maximize: bool, memory: proposals.Memory) -> Any:
        return lambda index: index.numbers(TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)

    sampler = dataclasses.replace(proposals.SAMPLERS["random"], wish=wish, view=view, has_model=True)
    monkeypatch.setitem(proposals.SAMPLERS, "random", sampler)
    study = create(opened, "wished", NETWORKS, trials=7)
    assert work(opened, study, slots=slots) is allocations.NoTrial.FINISHED
    found = ended(opened, study)
    assert len(found) == 7
    for number, trial in found.items():
        through = number % 2 == 0
        assert trial.state == (TrialState.COMPLETE if through else TrialState.PRUNED)
        assert len(trial.intermediate_values) == (4 if through else 1)
    assert all(curve == list(found[number].intermediate_values.values())[: len(curve)] for number, curve in curves)
    assert any(number == 0 and paused.get(0) == 1 for number, paused in asked)  # of itself, at its first rung
    assert any(number == 0 and paused.get(0) == 2 for number, paused in asked)
    assert "trial=0 event=paused" not in caplog.text
    reason = "paused after epoch 1 and not taken up again: the sampler expected more of others"
    assert records.REASON.find(found[1]) == reason
    assert [each for each in checks.look(opened, study) if not each.holds] == []
