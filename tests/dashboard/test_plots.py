"""The page of a study with thousands of trials, in a real browser."""

import json
import threading

import pytest
from doors import ask
from playwright import sync_api
from trials import Make

from search.dashboard import listeners, pages, plots, servers
from search.storage import databases, schema

COUNT = plots.DOTS + 600


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_many_trials_are_drawn_in_part(opened: databases.Database, make_study: Make, browser: sync_api.Browser) -> None:
    """The plots say how many they show, the best is among them, and the page of any trial is there."""
    study = make_study(trials=10)
    heads = [{"study_id": study.study_id, "number": number, "state": "COMPLETE"} for number in range(COUNT)]
    opened.write(lambda connection: connection.execute(schema.trials.insert(), heads))
    first = json.loads(ask(servers.Door(opened), f"/api/studies/{study.study_id}?after=0")[1])["trials"][0]["trial_id"]
    values = [
        {"trial_id": first + n, "objective": 0, "value": n % 97 / 97, "value_type": "FINITE"} for n in range(COUNT)
    ]
    values[3_333]["value"] = 0.999
    steps = [
        {"trial_id": first + n, "step": step, "intermediate_value": 0.1 * step, "intermediate_value_type": "FINITE"}
        for n in range(COUNT)
        for step in (1, 2)
    ]
    opened.write(lambda c: [c.execute(schema.values.insert(), values), c.execute(schema.steps.insert(), steps)])
    server = listeners.listen(servers.Door(opened), "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    page = browser.new_page()
    at = f"http://127.0.0.1:{server.effective_port}/dashboard/studies/{study.study_id}"
    try:
        page.goto(at)
        page.wait_for_selector("text=4,600 trials", timeout=60_000, state="attached")
        page.wait_for_selector("text=Best Trial (number=3333)")
        page.wait_for_function("document.querySelectorAll('.search-bounded').length === 3")
        said = page.locator(".search-bounded").all_inner_texts()
        assert [" of 4,600 trials: " in each for each in said] == [True] * 3
        drawn = "id => document.getElementById(id).data.map(trace => trace.x.length)"
        dots = page.evaluate(drawn, "plot-history")
        assert plots.DOTS - 600 <= max(dots) <= plots.DOTS + 600
        assert 3_333 in page.evaluate("document.getElementById('plot-history').data.flatMap(trace => trace.x)")
        assert len(page.evaluate(drawn, "graph-intermediate-values")) <= plots.CURVES
        assert sum(page.evaluate(drawn, "graph-timeline")) == plots.BARS
        page.goto(f"{at}/trials?numbers=4321")
        page.wait_for_selector(f"text=Trial 4321 (trial_id={first + 4321})", timeout=60_000)
    finally:
        page.close()
        server.close()


def test_the_script_is_the_one_that_is_known() -> None:
    """Every plot's place is found in this version's script; in another one it stays as it is."""
    script = pages.FILE.read_bytes()
    bounded = plots.bounded(script)
    for name in (b"searchTold(", b"searchCurves(", b"searchDots(", b"searchBars("):
        assert (script.count(name), bounded.count(name)) == (0, 1), name
    assert plots.bounded(b"let other=1;") == b"let other=1;"
