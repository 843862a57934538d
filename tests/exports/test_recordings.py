"""A study's complete trials as a table that a simulation searches."""

import json
import math
import pathlib

import pytest
from optuna.trial import TrialState
from trials import begin

from search import errors
from search.api import results
from search.exports import recordings
from search.ledger import claims, orders, queues, studies
from search.space import surfaces, tables
from search.storage import databases
from search.study import specs

TEXT = """
objective = "mine:objective"
[study]
name = "own"
direction = "minimize"
metric = "loss"
seed = 3
[space]
x = { low = 0.0, high = 1.0 }
deep = { choices = [true], none = true }
only = { choices = ["a", "b"], when = "deep == true" }
[sampler]
name = "random"
[budget]
trials = 5
"""


@pytest.fixture
def study(opened: databases.Database) -> studies.Study:
    """Two complete trials, one of them with steps of its own, a repeat, one pruned and one failed."""
    study = studies.create(opened, specs.parse(TEXT, "own.toml"))
    first = begin(opened, study)
    claims.tell(
        opened,
        first,
        TrialState.COMPLETE,
        0.5,
        {"search:seconds": 4.0},
        4.0,
        {10: 3.0, 20: math.nan, 30: 0.75, 40: 0.75},
    )
    claims.tell(opened, begin(opened, study), TrialState.COMPLETE, 1e9, {"search:seconds": 1.5})
    claims.tell(opened, begin(opened, study), TrialState.PRUNED, 2.0, {}, 1.0, {10: 2.0})
    claims.tell(opened, begin(opened, study), TrialState.FAIL, None, {"search:reason": "x"}, 1.0)
    orders.extend(opened, study, add=1)
    queues.repeat(opened, study, opened.optuna.get_trial(first.trial_id).params, 2)
    claims.tell(opened, begin(opened, study), TrialState.COMPLETE, 0.25, {}, 1.0)
    return study


@pytest.mark.parametrize("name", ["own.jsonl", "own.table.jsonl.gz"])
def test_the_table_is_one_of_a_simulation_s(
    opened: databases.Database, study: studies.Study, tmp_path: pathlib.Path, name: str
) -> None:
    """Each complete trial is a training: its curve, which ends with its value, its time, and its repeat as seed."""
    path = tmp_path / name
    found = recordings.write(opened, study, path)
    assert found.as_json() == {
        **{"study": "own", "table": str(path), "rows": 3, "steps": 4},
        "left_out": {"pruned": 1, "failed": 1, "waiting": 1},
    }
    table = tables.load(path)
    assert (table.steps, table.direction, table.seeds) == (4, "minimize", [0, 1])
    first, second, again = table.rows
    assert (first.values[0], first.values[2:], first.seconds) == (3.0, (0.75, 0.5), (1.0,) * 4)
    assert math.isnan(first.values[1])
    assert (second.values, second.seconds) == ((1e9,), (1.5,))
    assert (again.params, again.seed, again.values) == (first.params, 1, (0.25,))
    surface = surfaces.Surface(study.spec.space, table, False, 0, False)
    assert len(surface.population().values)
    before = path.read_bytes()
    recordings.write(opened, study, path)
    assert path.read_bytes() == before


def test_places_and_studies_that_give_no_table(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """Each is refused in a line, before anything is written."""
    study = studies.create(opened, specs.parse(TEXT, "own.toml"))
    (tmp_path / "there.jsonl").write_text(json.dumps({"mine": 1}))
    for path, words in (
        (tmp_path / "own.csv", "must end in .jsonl or .jsonl.gz"),
        (tmp_path / "no" / "own.jsonl", "must lie in a folder that exists"),
        (tmp_path / "there.jsonl", "exists already; --force replaces it"),
    ):
        with pytest.raises(errors.InputError, match=words):
            results.record(study.name, path, storage=opened)
    with pytest.raises(errors.InputError, match="has no complete trial yet"):
        results.record(study.name, tmp_path / "there.jsonl", force=True, storage=opened)
    assert [each.name for each in tmp_path.glob("*.jsonl*")] == ["there.jsonl"]
