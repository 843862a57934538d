"""The short form of the chaos suite; `make chaos` runs the long one."""

import dataclasses
import pathlib

import chaos_outages
import chaos_plans
import pytest
from chaos import Chaos, Report
from conftest import Server

SHORT = chaos_plans.Plan(
    trials=16,
    workers=5,
    kills=7,
    last_tries=1,
    outages=3,
    longest=0,
    clocks=2,
    tools=7,
    stops=1,
    grace=2,
    epochs=3,
    seed=1,
)


def check(report: Report) -> None:
    """Everything was struck, every budget is exact, every value that of an undisturbed training."""
    assert report.faults == []
    assert report.kills >= SHORT.kills
    assert sum(report.outages.values()) == SHORT.outages
    assert report.stops == SHORT.stops
    assert sum(report.tools.values()) >= len(chaos_plans.TOOL_EVENTS) - 2  # the moment may not allow all of them
    assert 0 < report.replayed <= report.states["COMPLETE"] + report.states["PRUNED"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_in_a_short_chaos(postgres: Server, data_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Four studies, seven kills inside trials, three outages, another tool: nothing is lost, nothing comes twice."""
    place = chaos_outages.PostgresPlace(postgres)
    check(Chaos(SHORT, place, data_dir.resolve(), tmp_path).run(lambda done, total: None))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_in_a_short_chaos_on_a_file(data_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The same on SQLite, with the outages that this machine allows."""
    with chaos_outages.sqlite_place() as place:
        check(Chaos(SHORT, place, data_dir.resolve(), tmp_path).run(lambda done, total: None))


def test_equal_seeds_give_equal_plans() -> None:
    """What is done, to whom and when is the seed's; the numbers of events are the plan's."""
    plan, outages = chaos_plans.Plan(seed=3), ("crash", "stop")
    found = chaos_plans.events(plan, outages)
    assert found == chaos_plans.events(plan, outages)
    assert found != chaos_plans.events(dataclasses.replace(plan, seed=4), outages)
    kinds = [event.kind for event in found]
    kills = kinds.count("kill") + chaos_plans.KILLS_OF_A_LAST_TRY * kinds.count("last-try")
    assert (kills, kinds.count("outage"), kinds.count("clock")) == (plan.kills, plan.outages, plan.clocks)
    assert kinds.count("settle") == kinds.count("ask") > 0
    assert sum(kind in chaos_plans.TOOL_EVENTS for kind in kinds) == plan.tools
    assert (found[-1].what, found[-1].size) == ("stop", plan.longest)
