"""`search bench` on the CPU: who is measured, beside which limits, and what is said of it."""

import json
import pathlib
import re

import pytest
from conftest import ROOT

from models import benchmark, engines, jax_scan, sides
from search import cli


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two shapes, for a moment each."""
    monkeypatch.setattr(benchmark, "SHAPES", [(64, 1, 32), (128, 0, None)])
    monkeypatch.setattr(sides, "SECONDS", 0.02)


def documented() -> set[str]:
    """The keys that docs/json.md has for the command."""
    section = (ROOT / "docs" / "json.md").read_text().partition("\n`search bench`:\n")[2].partition("\n`search")[0]
    return set(re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE))


@pytest.mark.usefixtures("quickly")
def test_what_it_measures(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, data_dir: pathlib.Path
) -> None:
    """All sides once a round, each row with its limit by the core's figures; the table shows the same as the JSON."""
    found: list[benchmark.Row] = []
    measure = benchmark.measure
    monkeypatch.setattr(benchmark, "measure", lambda *given: found or (found.extend(measure(*given)) or found))
    installed = jax_scan.version() is not None
    assert cli.main(["bench", "--rounds", "1", "--json", "--data-dir", str(data_dir)]) == 0
    out, err = capfd.readouterr()
    document = json.loads(out)
    assert ("JAX is not measured" in err) == (not installed)
    assert set(document) | {f"rows[].{key}" for row in document["rows"] for key in row} <= documented()
    assert list(document["limits"]["reads"]) == [*document["limits"]["sizes"], "memory"]
    assert [row["what"] for row in document["rows"]] == ["step", "step", "evaluation"]
    names = {"cpu", "reference", "notebook"} | ({"jax"} if installed else set())
    for row, of in zip(document["rows"], found, strict=True):
        assert set(row["seconds"]) - {"cpu-bf16"} == names
        is_coarser = row["what"] == "step" and "cpu-bf16" in engines.names("cpu") and bool(row["width"])
        assert (len(row["bf16_speedup"]) == 1) == ("cpu-bf16" in row["seconds"]) == is_coarser
        assert all(len(each) == 1 and each[0] > 0 for each in row["seconds"].values())
        assert row["limit_seconds"] == pytest.approx(row["share_of_limit"] * row["seconds"]["cpu"][0], rel=0.01)
        assert 0 < row["share_of_limit"] < 1.1
        assert row["x_notebook"][0] == pytest.approx(of.seconds["notebook"][0] / of.seconds["cpu"][0], rel=0.01)
    assert cli.main(["bench", "--rounds", "1", "--data-dir", str(data_dir)]) == 0
    table = capfd.readouterr().out
    assert re.search(r"\| batch, depth, width *\| ours *\|.* x reference *\| x notebook *\|.*\| of the limit \|", table)
    for row in document["rows"]:
        assert f"{100 * row['share_of_limit']:.0f} %" in table
    assert f"FMA {document['limits']['fma'] / 1e9:.0f} GF/s" in table.replace("\n", " ")


def test_the_limits_are_the_fastest_of_the_run() -> None:
    """Rows that were measured while the core was slower are held against the same figures."""
    from models import limits, work

    slow, quick = (limits.Limits(fma, {"memory": reads}, {}) for fma, reads in ((1e9, 2e9), (2e9, 1e9)))
    needs = work.Work(2e9, ())
    rows = [benchmark.Row(1, 0, None, "step", {"cpu": [2.0, 1.0, 4.0]}, needs, each) for each in (slow, quick)]
    fastest = benchmark.fastest(rows)
    assert fastest == limits.Limits(2e9, {"memory": 2e9}, {})
    assert [row.share(fastest) for row in rows] == [0.5, 0.5]
    assert json.dumps(rows[0].others) == "[]"
