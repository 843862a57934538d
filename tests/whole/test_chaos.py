"""The short form of the chaos suite; `make chaos` runs the long one."""

import pathlib

import pytest
from chaos import Chaos, Plan
from conftest import Server


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_in_a_short_chaos(postgres: Server, data_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Four workers, six kills inside trials, three outages: the budget is exact, and every value an undisturbed one."""
    plan = Plan(trials=30, workers=4, kills=6, outages=3, longest=0, seed=1)
    report = Chaos(plan, postgres, data_dir.resolve(), tmp_path).run(lambda done, total: None)
    assert report.faults == []
    assert report.kills >= 6
    assert sum(report.outages.values()) >= 3
    assert report.budget == report.states["COMPLETE"] + report.states["PRUNED"] == report.replayed
