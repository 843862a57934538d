"""`search simulate` as a user meets it."""

import gzip
import json
import pathlib

import pytest
import tabled

import search
from search import cli

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def made() -> None:
    """A study file here, and its table beside it."""
    pathlib.Path("made.toml").write_text(tabled.TEXT, encoding="utf-8")
    table = tabled.write(pathlib.Path("rows.jsonl"), tabled.rows(), steps=4, direction="minimize")
    pathlib.Path("made.table.jsonl.gz").write_bytes(gzip.compress(table.read_bytes()))


def simulate(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    code = cli.main(["simulate", "made.toml", "--no-ask-time", *more])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_it_prints_what_was_searched_and_what_each_method_came_to(made: None, capsys: pytest.CaptureFixture[str]):
    """The ground with its levels, times to the best, and what was found, for people."""
    code, out, err = simulate(
        capsys, *("--sampler", "random", "--plain", "random", "--seeds", "2-4", "--within", "0.5", "--trials", "8")
    )
    assert (code, err) == (0, "")
    assert out.startswith("80 configurations, 100 % of them recorded with this seed")
    assert "rate is searched over its recorded levels, in order: 0.001, 0.01, 0.1, 1" in out
    assert out.count("optuna random") == 3
    assert "random search, closed form: mean" in out


def test_json_and_pictures_have_all_of_it(made: None, capsys: pytest.CaptureFixture[str]):
    """`--json` is one document; a folder keeps runs, so that nothing runs twice, and has pictures of regret."""
    more = ("--plain", "random", "--seeds", "2", "--trials", "5", "--output", "out", "--json")
    code, out, _ = simulate(capsys, *more)
    found = json.loads(out)
    assert code == 0
    assert found["best"] == pytest.approx(0.25)
    assert [each["method"] for each in found["methods"]] == ["the study's", "optuna random"]
    assert [len(each["times"]) for each in found["methods"]] == [4, 4]
    assert pathlib.Path("out/regret.png").read_bytes().startswith(b"\x89PNG")
    assert pathlib.Path("out/regret-expected.svg").read_text().startswith("<svg")
    kept = pathlib.Path("out/runs.jsonl").read_text()
    assert len(kept.splitlines()) == 4
    assert json.loads(simulate(capsys, *more)[1]) == found
    assert pathlib.Path("out/runs.jsonl").read_text() == kept


def test_python_gives_the_same(made: None):
    """`search.simulate` returns the findings themselves, with the closed form of random search."""
    found = search.simulate("made.toml", plain=["random"], seeds=range(3), trials=5, within=[0.5], counts_asks=False)
    assert [each.method for each in found.methods] == ["the study's", "optuna random"]
    assert len(found.records) == 6
    assert 0 < found.random[0.5] < 1000


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--seeds", "9-2"), "must be a number of seeds, or the first and the last, as in 0-29, got '9-2'"),
        (("--table", "gone.jsonl"), "gone.jsonl: must be a table, JSON lines in UTF-8"),
        (("--plain", "tpa"), "--plain must be a sampler or sampler+pruner of Optuna"),
        (("--training-seed", "3"), "--training-seed must be one that made.table.jsonl.gz has (0), got 3"),
    ],
)
def test_wrong_use_is_one_line(made: None, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str):
    """Exit code 2, and place, rule and value."""
    code, out, err = simulate(capsys, *more)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
