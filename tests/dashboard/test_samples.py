"""What is computed from all trials, where there are more than that bears."""

import itertools
import json
import subprocess
import sys

import pytest
from doors import ask, finish
from optuna.trial import TrialState
from trials import Make

from search.dashboard import samples, servers
from search.storage import databases


@pytest.mark.filterwarnings("ignore:Some regimes")
def test_it_is_computed_from_a_spread(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most so many trials become objects, none of them is kept, and what grew by little is not computed again."""
    monkeypatch.setattr(samples, "LARGEST", 10)
    made: list[int] = []
    freeze = samples.frozen
    monkeypatch.setattr(samples, "frozen", lambda *args, **more: made.append(len(args[2])) or freeze(*args, **more))
    study = make_study(trials=300)
    for number in range(25):
        finish(opened, study, [0.01 * number], TrialState.COMPLETE)
    door = servers.Door(opened)
    path = f"/api/studies/{study.study_id}/param_importances"
    found = json.loads(ask(door, path)[1])["param_importances"][0]
    assert sum(each["importance"] for each in found) == pytest.approx(1)
    assert json.loads(ask(door, path)[1])["param_importances"][0] == found
    assert made == [10]
    assert ask(door, path + "/", "HEAD") == (200, "")
    finish(opened, study, [0.5], TrialState.COMPLETE)
    assert ask(door, path)[0] == 200
    assert made == [10, 10]
    assert ask(door, f"/api/studies/{study.study_id}/plot/edf")[0] == 200
    assert made[2:] == [10] * len(made[2:])
    assert ask(door, "/api/studies/999/param_importances")[0] == 404


def test_the_first_and_the_last_are_among_them() -> None:
    """The rest lies between at even distances; few are all."""
    assert samples.spread([*range(50)]) == [*range(50)]
    found = samples.spread([*range(0, 100_000, 2)])
    assert (found[0], found[-1], len({*found})) == (0, 99_998, samples.LARGEST)
    assert {b - a for a, b in itertools.pairwise(found)} <= {32, 34}


def test_what_it_makes_no_use_of_is_not_loaded() -> None:
    """Libraries that Optuna knows for other ways to importances: 110 MB of each server."""
    code = "import sys; from search.dashboard import servers; print(sorted({'sklearn', 'pandas'} & {*sys.modules}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
