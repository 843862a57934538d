"""Known results from Python: imported, forked, adopted."""

import pathlib
import resource
from typing import Any

import optuna
import pytest
from trials import Make, begin, succeed

import search
from search import errors
from search.ledger import studies, summaries, takeovers
from search.storage import databases
from search.study import specs

TABLE = """params_learning_rate,params_batch_size,params_depth,params_width,params_activation,value
0.1,9,0,,,0.5
0.1,9.0,1.0,8,ReLU,0.625
0.1,999,0,,,0.5
"""


def test_a_file_comes_in(opened: databases.Database, make_study: Make, tmp_path: pathlib.Path) -> None:
    """What fits is there for any Optuna tool; the same file again changes nothing."""
    study, path = make_study(), tmp_path / "known.csv"
    path.write_text(TABLE)
    found = search.import_trials("quick", path, storage=opened)
    assert (found.count, found.duplicates) == (2, 0)
    (left,) = found.left_out.items()
    assert (left[0], left[1].count) == ("batch_size must be an integer from 1 to 128", 1)
    assert [trial.value for trial in search.load("quick", storage=opened).trials] == [0.5, 0.625]
    again = search.import_trials("quick", path, storage=opened)
    assert (again.count, again.duplicates, summaries.summary(opened, study).total) == (0, 2, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE + "0.1,7,0,,,bad\n", "known.csv:5: value must be a number, got 'bad'"),
        (TABLE + "0.1,7,0,,,nan\n", "known.csv:5: value must be a number, got nan"),
        (TABLE + "0.1,7\n", "known.csv:5: must have 6 cells, got 2"),
        (TABLE.replace(",value", ",loss"), "known.csv:1: a column value is missing"),
        (
            "params_x,value\n1,2\n",
            "known.csv:2: nothing fits study 'quick': x is no parameter of the space, got '1'",
        ),
    ],
)
def test_nothing_is_half_imported(
    opened: databases.Database, make_study: Make, tmp_path: pathlib.Path, text: str, message: str
) -> None:
    """A line that cannot be is named with its file, and no row of those before it is there."""
    study = make_study()
    (tmp_path / "known.csv").write_text(text)
    with pytest.raises(errors.InputError) as error:
        search.import_trials("quick", tmp_path / "known.csv", storage=opened)
    assert str(error.value).startswith(f"{tmp_path}/{message}")
    assert summaries.summary(opened, study).total == 0


def test_a_full_temporary_disk_is_seen_before_the_transaction(
    opened: databases.Database, make_study: Make, tmp_path: pathlib.Path
) -> None:
    """A few results wait in memory until then: no import and no fork has begun to write."""
    study, path = make_study(), tmp_path / "known.csv"
    path.write_text(TABLE)
    succeed(opened, begin(opened, study))
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, was[1]))
    try:
        with pytest.raises(errors.InputError, match="known.csv: no room to check it on the disk: .*File too large"):
            search.import_trials("quick", path, storage=opened)
        with pytest.raises(errors.InputError, match="study 'quick': no room to check it on the disk: .*File too large"):
            search.fork("quick", "next", storage=opened)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)
    assert summaries.summary(opened, study).total == 1
    assert studies.names(opened) == ["quick"]


MIXED = """
objective = "mine:objective"
[study]
name = "{name}"
[space]
rate = {{ low = 1e-5, high = 1.0, log = true }}
units = {{ low = 1, high = 9 }}
kind = {{ choices = ["1", "true", "=SUM(A1)", "a, b"] }}
flag = [true, false]
[budget]
trials = 9
"""


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
def test_what_is_exported_comes_in_as_it_was(opened: databases.Database, tmp_path: pathlib.Path, ending: str) -> None:
    """Parameters, value, state, curve, times and attributes, numbers that JSON has not among them, in every format."""
    for name in ("one", "two"):
        spec = studies.create(opened, specs.parse(MIXED.format(name=name), "x")).spec
    asks = {each.name: each.distribution for each in spec.space.parameters}
    theirs = optuna.load_study(study_name="one", storage=opened.optuna)
    for number, kind in enumerate(["1", "true", "=SUM(A1)", "a, b"]):
        theirs.enqueue_trial({"kind": kind, "flag": number % 2 == 0, "units": number + 1})
        asked = theirs.ask(asks)
        asked.report(0.1 + number, 1)
        asked.set_user_attr("loss", [float("inf"), 1.5, number])
        asked.set_user_attr("text", "12")
        theirs.tell(asked, 0.1 * number)
    path = tmp_path / f"trials.{ending}"
    search.export_trials("one", path, storage=opened)
    assert search.import_trials("two", path, storage=opened).count == 4
    before, after = (search.load(name, storage=opened).trials for name in ("one", "two"))
    assert [trial.params["kind"] for trial in after] == ["1", "true", "=SUM(A1)", "a, b"]
    for old, new in zip(before, after, strict=True):
        assert (new.params, new.value, new.state) == (old.params, old.value, old.state)
        assert {name: type(value) for name, value in new.params.items()} == {
            name: type(value) for name, value in old.params.items()
        }
        assert old.user_attrs.items() <= new.user_attrs.items()
        assert (new.datetime_start, new.datetime_complete) == (old.datetime_start, old.datetime_complete)
        if ending.startswith("json"):
            assert new.intermediate_values == old.intermediate_values


def test_a_fork_goes_on(opened: databases.Database, make_study: Make, tmp_path: pathlib.Path) -> None:
    """Its file with some keys changed, its results outside the budget, and where they were measured otherwise, said."""
    study = make_study(trials=5, sampler="grid")
    for _ in range(3):
        succeed(opened, begin(opened, study))
    changes = tmp_path / "changes.toml"
    changes.write_text("[space]\nbatch_size = { low = 2 }\n[budget]\ntrials = 2\n[training]\nepochs = 4\n")
    forked = search.fork("quick", "next", changes, storage=opened)
    found = studies.load(opened, "next")
    summary = summaries.summary(opened, found)
    assert (forked.study_name, summary.budget, summary.done) == ("next", 2, 0)
    assert found.spec.training is not None
    assert found.spec.training.epochs == 4
    assert summary.imported == sum(trial.params["batch_size"] >= 2 for trial in summaries.whole(opened, study).trials)
    again = search.fork("quick", "third", {"budget": {"trials": 1}}, storage=opened)
    assert len(again.trials) == 3
    for wrong, error in (("next", errors.StudyExists), ("a/b", errors.StudyFileError)):
        with pytest.raises(error):
            search.fork("quick", wrong, storage=opened)
    changes.write_text("[budget]\ntrial = 2\n")
    with pytest.raises(errors.StudyFileError, match=r"changes.toml: budget.trial is not a known key, got 2"):
        search.fork("quick", "fourth", changes, storage=opened)
    assert studies.names(opened) == ["quick", "next", "third"]


def files(folder: pathlib.Path) -> list[str]:
    """Names of what lies there beside databases and what Python keeps of a module."""
    return sorted(path.name for path in folder.iterdir() if ".db" not in path.name and path.name != "__pycache__")


def test_a_plain_study_is_adopted(empty_url: str, tmp_path: pathlib.Path) -> None:
    """Its file lies beside the module and says what the study does; where that fails there is neither."""
    (tmp_path / "train.py").write_text("def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n")
    plain = optuna.create_study(study_name="plain", storage=empty_url, direction="maximize")
    plain.set_metric_names(["score"])
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    objective = f"{tmp_path}/train.py:objective"
    for wrong, message in (
        ({"objective": "train.objective"}, "adopt takes FILE.py:FUNCTION or MODULE:FUNCTION"),
        ({"objective": f"{tmp_path}/train.py:nothing"}, "nothing"),
        ({"trials": 2}, "study 'plain': --trials must be 3 or more, as many as have finished, got 2"),
        ({"output": tmp_path / "no" / "a.toml"}, "a.toml cannot be written: No such file"),
        ({"output": tmp_path / "train.py"}, "train.py is there already; --force replaces it"),
    ):
        with pytest.raises(errors.InputError, match=message):
            search.adopt(**{"name": "plain", "objective": objective, "storage": empty_url, **wrong})  # type: ignore[arg-type]
    assert files(tmp_path) == ["train.py"]
    adopted = search.adopt("plain", objective, trials=5, storage=empty_url)
    assert (adopted.study_name, len(adopted.trials)) == ("plain", 3)
    database = databases.Database(empty_url)
    study, file = studies.load(database, "plain"), specs.load(tmp_path / "plain.toml")
    assert specs.differences(study.spec, file) == []
    assert (file.study.direction, file.study.metric, file.budget.trials, file.code) == (
        "maximize",
        "score",
        5,
        "train:objective",
    )
    assert summaries.summary(database, study).done == 3
    database.close()
    with pytest.raises(errors.InputError, match="study 'plain' is one of ours already: `search run plain` goes on"):
        search.adopt("plain", objective, force=True, storage=empty_url)


def test_a_file_that_has_no_place_is_said(
    empty_url: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder there is seen before anything is adopted; one that comes later leaves a study of ours, with its text."""
    (tmp_path / "train.py").write_text("def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n")
    optuna.create_study(study_name="plain", storage=empty_url).optimize(
        lambda t: t.suggest_float("x", 0, 1), n_trials=1
    )
    objective, place = f"{tmp_path}/train.py:objective", tmp_path / "plain.toml"
    place.mkdir()
    for force in (False, True):
        with pytest.raises(errors.InputError, match=r"plain.toml cannot be written: it is a folder; --output takes"):
            search.adopt("plain", objective, force=force, storage=empty_url)
    place.rmdir()
    take_over = takeovers.take_over

    def late(*arguments: Any) -> studies.Study:
        place.mkdir()
        return take_over(*arguments)

    monkeypatch.setattr(takeovers, "take_over", late)
    with pytest.raises(
        errors.InputError, match=r"'plain' is adopted, but .*plain.toml cannot be written: .*; its text"
    ):
        search.adopt("plain", objective, force=True, storage=empty_url)
    text = search.load("plain", storage=empty_url).user_attrs[studies.STUDY_FILE]
    assert specs.parse(text, "plain.toml").name == "plain"
    assert files(tmp_path) == ["plain.toml", "train.py"]
