"""What a search had spent by any moment, and what it had found by then."""

import dataclasses
import datetime
import math
import pathlib

import pytest
import tabled
from optuna.trial import FrozenTrial, TrialState, create_trial
from trials import whole

from search.ledger import efficiencies as spent
from search.reports import efficiencies, evidence, pages
from search.study import baselines
from search.training import records

BEGIN = datetime.datetime(2026, 1, 1)


def trial(
    number: int,
    start: float,
    end: float,
    seconds: float,
    value: float,
    state: TrialState = TrialState.COMPLETE,
    **more: float,
) -> FrozenTrial:
    """One that began and ended so many seconds after `BEGIN`, `seconds` of which it was trained."""
    space = tabled.spec().space
    params = {"rate": 0.1, "size": 4, "kind": "plain"}
    made = create_trial(
        state=state,
        value=value,
        params=params,
        distributions={p.name: p.distribution for p in space.parameters if p.name in params},
        user_attrs={records.SECONDS.name: seconds, **{f"search:{key}": each for key, each in more.items()}},
        intermediate_values={1: value},
    )
    made.number = number
    made.datetime_start = BEGIN + datetime.timedelta(seconds=start)
    made.datetime_complete = BEGIN + datetime.timedelta(seconds=end)
    return made


def at(*seconds: float) -> list[datetime.datetime]:
    return [BEGIN + datetime.timedelta(seconds=each) for each in seconds]


def test_two_workers_spend_at_once() -> None:
    """Each trial from its start on, at its own rate; and what was spent stays spent."""
    trials = [trial(0, 0, 10, 10, 0.5), trial(1, 5, 15, 10, 0.4)]
    found = efficiencies.spent_by(trials, records.SECONDS, [*at(-5, 0, 5, 10, 15, 100), datetime.datetime.max])
    assert found == pytest.approx([0, 0, 5, 15, 20, 20, 20])


def test_what_paused_is_paid_where_it_began() -> None:
    """A trial that trained for two seconds and was told long after has cost them at once: no search looks cheaper."""
    trials = [trial(0, 0, 100, 2, 0.9, TrialState.PRUNED), trial(1, 2, 10, 8, 0.5)]
    assert efficiencies.spent_by(trials, records.SECONDS, at(2, 10)) == pytest.approx([2, 10])
    assert efficiencies.spent_by([], records.SECONDS, at(2)) == pytest.approx([0])


def test_cpu_time_where_all_have_noted_it() -> None:
    """Else training time, for all of them."""
    trials = [trial(0, 0, 10, 10, 0.5, cpu_seconds=4.0), trial(1, 10, 20, 10, 0.4, cpu_seconds=6.0)]
    assert efficiencies.cost_of(trials) is records.CPU_SECONDS
    assert efficiencies.spent_by(trials, records.CPU_SECONDS, at(10, 20)) == pytest.approx([4, 10])
    assert efficiencies.cost_of([*trials, trial(2, 20, 30, 10, 0.3)]) is records.SECONDS


def test_the_best_so_far_follows_the_order_of_ends() -> None:
    """Not of numbers, and only complete trials count."""
    trials = [trial(0, 0, 30, 30, 0.3), trial(1, 0, 10, 10, 0.5), trial(2, 10, 20, 10, 0.1, TrialState.PRUNED)]
    experiment = evidence.Experiment.of(whole(tabled.spec(), trials))
    moments, best = efficiencies.progress(experiment, records.SECONDS)
    assert moments == pytest.approx([20, 50])
    assert best == pytest.approx([0.5, 0.3])  # it is minimized


def test_beside_random_search(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure and a table where the space was recorded, at the seconds that were spent; nothing where it was not."""
    monkeypatch.chdir(tmp_path)
    trials = [trial(number, 40 * number, 40 * number + 40, 40, 3 - number / 10) for number in range(8)]
    experiment = evidence.Experiment.of(whole(tabled.spec(), trials))
    assert efficiencies.blocks(experiment) == []
    tabled.put(tmp_path / "studies")
    baseline = baselines.find(tabled.spec())
    assert baseline is not None
    paid = [baselines.Paid(each.params, 1, 40) for each in trials]
    random = spent.against(baseline, paid, 320, 2.3)
    found = spent.Efficiency(2.3, 2.5, None, 320, 40, spent.Saved(0, 0, 0.0), random, None)
    drawing, table = efficiencies.blocks(dataclasses.replace(experiment, efficiency=found))
    assert isinstance(drawing, pages.Drawing)
    assert isinstance(table, pages.Table)
    assert [row[:2] for row in table.rows] == [
        ["40 s", "3.0000"],
        ["1 min", "2.9000"],
        ["3 min", "2.7000"],
        ["5 min", "2.3000"],
    ]
    pace = baseline.pace(paid)
    assert pace is not None
    expected = baseline.expected([320 / pace])[0]
    assert float(table.rows[-1][2]) == pytest.approx(expected, abs=1e-4)
    assert all(math.isfinite(float(row[2])) for row in table.rows)
