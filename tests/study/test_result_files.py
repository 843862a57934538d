"""Known results as files have them."""

import json
import pathlib
import sys

import optuna
import pyarrow
import pytest
from pyarrow import parquet

from search import errors
from search.study import result_files

OBJECT = {"params": {"x": 0.5}, "value": 1.5, "attributes": {"a": 1}, "intermediate_values": {"1": 0.5}, "seed": 3}


def read(path: pathlib.Path, text: str = "", metric: str = "loss") -> list[result_files.Record]:
    if text:
        path.write_text(text)
    return list(result_files.read(path, metric))


def test_json_lines_and_a_list_of_them(tmp_path: pathlib.Path) -> None:
    """The same records, each with its place; empty lines are none."""
    (line,) = read(tmp_path / "a.jsonl", "\n" + json.dumps(OBJECT) + "\n\n")
    (each,) = read(tmp_path / "a.json", json.dumps([OBJECT]))
    assert (line.place, each.place) == (f"{tmp_path}/a.jsonl:2", f"{tmp_path}/a.json: trial 1 of the list")
    for found in (line, each):
        assert (found.params, found.value, found.steps) == ({"x": 0.5}, 1.5, {"1": 0.5})
        assert found.attributes == {"a": 1, "search:seed": 3}


def test_optunas_own_table(tmp_path: pathlib.Path) -> None:
    """`trials_dataframe()` as CSV and as Parquet, with a named metric, user attributes and conditional parameters."""

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr("note", "one")
        if trial.number:
            trial.suggest_int("n", 1, 9)
        return trial.suggest_float("x", 0, 1)

    study = optuna.create_study()
    study.set_metric_names(["loss"])
    study.optimize(objective, n_trials=2)
    table = study.trials_dataframe()
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet")
    for path in ("a.csv", "a.parquet"):
        first, second = read(tmp_path / path)
        assert set(first.params) == {"x"}
        assert float(first.value) == float(first.params["x"]) == study.trials[0].value
        assert float(second.params["n"]) == study.trials[1].params["n"]
        assert (first.state, first.attributes) == ("COMPLETE", {"note": "one"})
        assert str(first.started) < str(first.ended)


WRONG = [
    ("a.jsonl", '{"params": {}}', "{}:1: value is missing"),
    ("a.jsonl", '{"value": 1}', "{}:1: params is missing"),
    ("a.jsonl", '{"params": {"x": 1}, "value": 1}\n{"par', "{}:2: must be JSON: Unterminated string"),
    ("a.jsonl", "[1]", "{}:1: must be an object, got [1]"),
    ("a.jsonl", '{"params": [1], "value": 1}', "{}:1: params must be an object, got [1]"),
    ("a.jsonl", "\n", "{}: must hold at least one trial, got none"),
    ("a.json", "{}", "{}: must be a list of trials, got {{}}"),
    ("a.csv", "params_x,loss\n1,2\n", "{}:1: a column value is missing, got params_x, loss"),
    ("a.csv", "x,value\n1,2\n", "{}:1: a column params_NAME is missing, got x, value"),
    ("a.csv", "params_x,value_error\n1,2\n", "{}:1: the metric must be 'loss', as the study's, got 'value_error'"),
    ("a.csv", "params_x,values_0,values_1\n1,2,3\n", "{}:1: must have the values of one objective, got values_0"),
    ("a.csv", "params_x,params_x,value\n1,1,2\n", "{}:1: each column must stand there once, got 'params_x' twice"),
    ("a.csv", "params_x,value\n1\n", "{}:2: must have 2 cells, got 1"),
    ("a.csv", "params_x,value\n", "{}: must hold at least one trial, got none"),
    ("a.parquet", "no", "{}: must be Parquet: "),
    ("a.xlsx", "no", "import takes a file that ends in .jsonl, .json, .csv, .parquet, got '{}'"),
]


@pytest.mark.parametrize(("name", "text", "message"), WRONG)
def test_what_is_no_such_file_is_refused(tmp_path: pathlib.Path, name: str, text: str, message: str) -> None:
    """With file, line, rule and what is there."""
    with pytest.raises(errors.InputError) as error:
        read(tmp_path / name, text)
    assert str(error.value).startswith(message.format(tmp_path / name))


def test_what_cannot_be_read_is_refused(tmp_path: pathlib.Path) -> None:
    """No file, a folder, no UTF-8."""
    with pytest.raises(errors.InputError, match="cannot be read: No such file"):
        read(tmp_path / "a.csv")
    (tmp_path / "b.jsonl").mkdir()
    with pytest.raises(errors.InputError, match="cannot be read: Is a directory"):
        read(tmp_path / "b.jsonl")
    (tmp_path / "c.csv").write_bytes(b"params_x,value\n\xff,1\n")
    with pytest.raises(errors.InputError, match="must be UTF-8, got byte 0xff"):
        read(tmp_path / "c.csv")


def test_moments_that_python_has_not_are_named(tmp_path: pathlib.Path) -> None:
    """Rows, column and type."""
    years = pyarrow.array([2**60], pyarrow.timestamp("us"))
    parquet.write_table(
        pyarrow.table({"params_x": [0.5], "value": [1.0], "datetime_start": years}), tmp_path / "a.parquet"
    )
    with pytest.raises(
        errors.InputError, match=r"a.parquet: rows 1 to 1: datetime_start must .*, got timestamp\[us\]: "
    ):
        read(tmp_path / "a.parquet")


def test_without_pyarrow_the_line_says_what_to_install(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra by its name."""
    parquet.write_table(pyarrow.table({"params_x": [0.5], "value": [1.0]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[0].value == 1.0
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(errors.InputError, match=r"pip install 'optuna-search-service\[parquet\]'"):
        read(tmp_path / "a.parquet")
