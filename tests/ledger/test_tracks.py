"""What each trial of a study found and cost, in columns."""

import datetime
import json
import math

import numpy
import optuna
import pytest
from optuna.trial import TrialState
from trials import Make, begin, take

from search.ledger import claims, contenders, listings, outsiders, studies, summaries, tracks
from search.storage import databases, schema
from search.training import records

BEGIN = datetime.datetime(2026, 1, 1)


def track(database: databases.Database, study: studies.Study) -> tracks.Track:
    return contenders.read(database, study).track


def test_a_track_has_what_trials_have(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Value, times, training and CPU seconds of each, whatever the size of a batch; the first of equal bests."""
    study = make_study(hopeless="false")
    for value, spent in ((0.5, 2.0), (0.9, 3.0), (math.nan, 1.0), (0.9, 4.0)):
        claim = begin(opened, study)
        opened.write(
            lambda connection, spent=spent, claim=claim: connection.execute(  # type: ignore[misc]
                schema.claims.update().where(schema.claims.c.trial_id == claim.trial_id).values(seconds=spent)
            )
        )
        state = TrialState.PRUNED if math.isnan(value) else TrialState.COMPLETE
        attributes = {} if value == 0.5 else {records.CPU_SECONDS.name: spent / 2}
        claims.tell(opened, claim, state, None if math.isnan(value) else value, attributes)
    take(opened, study)
    monkeypatch.setattr(tracks, "BATCH_TRIALS", 2)
    found = track(opened, study)
    assert found.numbers.tolist() == [0, 1, 2, 3, 4]
    assert numpy.array_equal(found.values, [0.5, 0.9, math.nan, 0.9, math.nan], equal_nan=True)
    assert found.seconds.tolist() == [2, 3, 1, 4, 0]
    assert numpy.array_equal(found.cpu_seconds, [math.nan, 1.5, 0.5, 2, math.nan], equal_nan=True)
    assert found.best is not None
    assert found.best[0] == 1 == summaries.summary(opened, study).best.number  # type: ignore[union-attr]
    assert not found.has_cpu_seconds  # a complete one has noted none
    assert found.costs(cpu=True).tolist() == [2, 1.5, 0.5, 2, 0]
    assert (found.ends[:4] >= found.starts[:4]).all()
    assert math.isnan(found.ends[4])


def test_what_was_added_with_its_result_costs_nothing_and_counts_as_no_trial(
    opened: databases.Database, make_study: Make
) -> None:
    """A study that begins with another's results has them at its begin; one outside the space is never its best."""
    study = make_study(hopeless="false")
    theirs = optuna.load_study(study_name="quick", storage=opened.optuna)
    kinds = {each.name: each.distribution for each in study.spec.space.parameters}
    inside = {"learning_rate": 0.1, "batch_size": 7, "depth": 0}
    for params, value in ((inside, 0.8), ({**inside, "batch_size": 9}, 0.7), ({"learning_rate": 0.1}, 0.99)):
        own = {name: kinds[name] for name in params}
        made = optuna.trial.create_trial(value=value, params=params, distributions=own)
        made.datetime_start, made.datetime_complete = BEGIN, BEGIN + datetime.timedelta(hours=1)
        theirs.add_trial(made)
    claims.tell(opened, begin(opened, study), TrialState.COMPLETE, 0.6, {})
    found = track(opened, study)
    assert found.numbers.tolist() == [-1, -1, -1, 0]
    assert found.seconds[:3].tolist() == [0, 0, 0]
    assert numpy.array_equal(found.values, [0.8, 0.7, math.nan, 0.6], equal_nan=True)
    assert found.best is not None
    assert found.best[0] == 0


def test_a_study_of_optuna_s_own(empty_url: str) -> None:
    """Minimized, from the start to the end of each trial; what breaks a constraint is none of the best."""
    study = optuna.create_study(study_name="theirs", storage=empty_url)
    for value, broken in ((3.0, -1.0), (1.0, 2.0), (math.inf, -1.0), (2.0, -1.0)):
        trial = optuna.trial.create_trial(value=value, system_attrs={"constraints": [broken]})
        trial.datetime_start, trial.datetime_complete = BEGIN, BEGIN + datetime.timedelta(seconds=9)
        study.add_trial(trial)
    database = databases.open_to_read(empty_url)
    one = listings.one(database, studies.load_stored(database, "theirs"))
    assert isinstance(one, outsiders.Outsider)
    found = contenders.read(database, one)
    assert numpy.array_equal(found.track.values, [3, math.nan, math.inf, 2], equal_nan=True)
    assert found.track.seconds.tolist() == [9, 9, 9, 9]
    assert found.best is not None
    assert (found.best.number, found.metric, found.sign) == (3, "value", -1)
    assert (found.track.has_cpu_seconds, found.order, found.configurations) == (False, None, None)


@pytest.mark.parametrize("text", [json.dumps("much"), json.dumps([1]), "{oops", json.dumps(-1), json.dumps(1e300)])
def test_odd_cpu_seconds_count_as_absent(opened: databases.Database, make_study: Make, text: str) -> None:
    """Another tool may store anything under that name."""
    study = make_study(hopeless="false")
    claim = begin(opened, study)
    claims.tell(opened, claim, TrialState.COMPLETE, 0.5, {})
    row = {"trial_id": claim.trial_id, "key": records.CPU_SECONDS.name, "value_json": text}
    opened.write(lambda connection: connection.execute(schema.attributes.insert().values(row)))
    assert math.isnan(track(opened, study).cpu_seconds[0])
