"""What the training time of a study went into, by queries, is what its trials add up to one by one."""

import dataclasses
import math
import pathlib
import statistics

import mine
import pytest
import sqlalchemy
import tabled
from mixtures import mixed
from optuna.trial import FrozenTrial, TrialState
from trials import Make, begin

from search.ledger import claims, efficiencies, sentences, studies, summaries
from search.storage import databases, schema
from search.study import baselines, specs

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def seconds_of(database: databases.Database, trial: FrozenTrial) -> float:
    query = sqlalchemy.select(schema.claims.c.seconds).where(schema.claims.c.trial_id == trial._trial_id)
    return float(database.read(lambda connection: connection.execute(query).scalar()) or 0.0)


def read(database: databases.Database, study: studies.Study) -> efficiencies.Efficiency:
    found = efficiencies.read(database, summaries.summary(database, study))
    assert found is not None
    return found


def test_poor_networks_are_those_well_below_the_best(opened: databases.Database, url: str) -> None:
    """Time of complete and pruned trials more than 0.02 below the best, or without a value; failed ones are apart."""
    study = mixed(opened, url, seed=4)
    found = read(opened, study)
    trials = [t for t in summaries.whole(opened, study).trials if t.state in ENDED and t.params.keys() != {"x"}]
    poor = [t for t in trials if t.value is None or t.value < found.best - 0.02]
    assert 0 < len(poor) < len(trials)
    assert found.seconds == pytest.approx(sum(seconds_of(opened, t) for t in trials))
    assert found.poor_seconds == pytest.approx(sum(seconds_of(opened, t) for t in poor))
    assert found.poor_share == pytest.approx(found.poor_seconds / found.seconds)
    said = sentences.efficiency(found)
    assert said == [f"{found.poor_share:.0%} of the training time went into poor trials, more than 0.02 below the best"]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_poor_trials_of_an_own_measure_are_worse_than_the_median(opened: databases.Database, direction: str) -> None:
    """Whatever its scale, infinities included; what is pruned counts with its last value."""
    text = mine.text(trials=9).replace('name = "own"', f'name = "own"\ndirection = "{direction}"')
    study = studies.create(opened, specs.parse(text, "own.toml"))
    told = [(1e6, TrialState.COMPLETE), (-math.inf, TrialState.COMPLETE), (3e-9, TrialState.COMPLETE)]
    told += [(2e-9, TrialState.COMPLETE), (-7.0, TrialState.COMPLETE)]
    told += [(math.inf, TrialState.PRUNED), (1e-9, TrialState.PRUNED), (None, TrialState.PRUNED)]
    if direction == "minimize":
        told = [(None if value is None else -value, state) for value, state in told]
    for place, (value, state) in enumerate(told):
        claims.tell(opened, begin(opened, study), state, value, {}, 2.0**place)
    found = read(opened, study)
    bar = statistics.median(value for value, state in told if state == TrialState.COMPLETE and value is not None)
    sign = 1 if direction == "maximize" else -1
    assert (found.bar, found.margin) == (bar, None)
    poor = [2.0**place for place, (value, _) in enumerate(told) if value is None or sign * value < sign * bar]
    assert found.poor_seconds == pytest.approx(sum(poor))
    assert "worse than" in sentences.efficiency(found)[0]


def test_a_study_whose_best_is_infinite_or_none_says_nothing(opened: databases.Database, make_study: Make) -> None:
    """There is no bar then."""
    study = make_study(trials=3)
    assert efficiencies.read(opened, summaries.summary(opened, study)) is None
    claims.tell(opened, begin(opened, study), TrialState.COMPLETE, math.inf, {})
    assert efficiencies.read(opened, summaries.summary(opened, study)) is None
    assert sentences.efficiency(None) == []


def test_what_pausing_saved(opened: databases.Database, make_study: Make) -> None:
    """Epochs to the last, each trial at its own pace, of those that wait or have ended paused; poor by their last."""
    study = make_study(trials=9, epochs=10)
    pruning = study.spec.pruning.model_copy(update={"pruner": "asha"})
    study = dataclasses.replace(study, spec=dataclasses.replace(study.spec, pruning=pruning))
    best, waiting, ended, fine, killed = (begin(opened, study) for _ in range(5))
    claims.tell(opened, best, TrialState.COMPLETE, 0.9, {}, 50.0)
    for claim, value, epoch, seconds in ((waiting, 0.5, 2, 4.0), (fine, 0.89, 5, 20.0)):
        claims.report(opened, claim, dict.fromkeys(range(1, epoch + 1), value), seconds, {})
        claims.hand_over(opened, claim, seconds)
    claims.tell(opened, ended, TrialState.PRUNED, 0.4, {}, 3.0)
    claims.tell(opened, killed, TrialState.PRUNED, 0.4, {}, 7.0)
    with opened.engine.begin() as connection:
        for claim, epoch in ((waiting, 2), (fine, 5), (ended, 1)):
            own = schema.claims.c.trial_id == claim.trial_id
            connection.execute(schema.claims.update().where(own).values(paused=epoch))
    found = read(opened, study)
    assert found.saved == (3, 8 + 5 + 9, pytest.approx(8 * 2.0 + 5 * 4.0 + 9 * 3.0))
    assert found.seconds == pytest.approx(84.0)
    assert found.poor_seconds == pytest.approx(4.0 + 3.0 + 7.0)
    assert sentences.efficiency(found)[0].endswith("; pausing saved 22 epochs of 3 trials, about 1 min")


def test_as_many_queries_for_many_trials_as_for_few(opened: databases.Database, url: str) -> None:
    """It does not go through the trials."""
    asked: list[str] = []
    sqlalchemy.event.listen(opened.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    counted = []
    for number_of in (16, 40):
        summary = summaries.summary(opened, mixed(opened, url, seed=4, number_of=number_of))
        asked.clear()
        efficiencies.read(opened, summary)
        counted.append(len(asked))
    assert counted[0] == counted[1]


def test_random_search_is_put_on_this_machine(
    opened: databases.Database, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study that took ten times the table's seconds stands beside a random search that takes ten times as long."""
    monkeypatch.chdir(tmp_path)
    path = tabled.put(tmp_path / "studies")
    study = studies.create(opened, tabled.spec())
    baseline = baselines.find(study.spec)
    assert baseline is not None
    for number in range(6):
        claim = begin(opened, study)
        (trial,) = summaries.summary(opened, study).running
        seconds = 10 * (baseline.seconds(trial.params, 4) or 0.0)
        claims.report(opened, claim, dict.fromkeys(range(1, 5), 1.0 + number), seconds, {})
        claims.tell(opened, claim, TrialState.COMPLETE, 1.0 + number, {}, seconds)
    summary = summaries.summary(opened, study)
    found = read(opened, study)
    assert found.random is not None
    assert found.random.pace == pytest.approx(10)
    assert found.random.expected == pytest.approx(float(baseline.expected([summary.seconds / 10])[0]), abs=0.01)
    assert found.random.seconds_to_best == pytest.approx(10 * baseline.seconds_to(1.0))
    line, _ = sentences.efficiency(found)
    assert line.startswith(f"random search would have found {found.random.expected:.4f} in this training time (half of")
    path.write_bytes(b"no table")
    line, _ = sentences.efficiency(read(opened, study))
    assert line.startswith("no comparison with random search: studies")
