"""A study's trials as a file: each format, read back; what is refused; memory, moments, a full disk."""

import contextlib
import csv
import json
import math
import pathlib
import resource
import sqlite3
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import growth
import optuna
import pandas
import pytest
from looks import picture, plain
from optuna.trial import TrialState
from pyarrow import parquet
from trials import GONE, Make, begin, take

import search
from search import cli, errors
from search.exports import trial_files
from search.ledger import claims, orders, queues, studies
from search.space import cells
from search.storage import batches, databases, schema, statements

CHOICES = [None, True, 1, "1", 1.5, "=cmd", "None", "nan", math.inf, "", 'a,"b"\r\nc', "Grün"]
ODD = 'n, "of"\nit = user_attrs_'  # the name of a parameter


def objective(trial: optuna.Trial) -> float:
    trial.suggest_categorical("mixed", CHOICES)
    trial.suggest_float("state", -1, 1)
    trial.suggest_int(ODD, 1, 3)
    if trial.number % 2:
        trial.suggest_categorical("words", ["a", "=b"])
        trial.set_user_attr("nested", {"a/b": [1, math.nan], "c": None})
    trial.suggest_categorical("sizes", [1, 2**62])
    trial.suggest_categorical("scales", [0.5, -math.inf])
    trial.set_user_attr("plain", trial.number)
    trial.set_user_attr("either", trial.number if trial.number % 3 else "=1")
    trial.report(0.5, 1)
    trial.report(math.nan, 20)
    return -math.inf if trial.number == 1 else trial.params["state"]


@pytest.fixture(scope="module")
def odd() -> optuna.Study:
    """A study of Optuna's own with what is hard to write down, in memory."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="odd", sampler=optuna.samplers.RandomSampler(1))
    for choice in CHOICES:
        study.enqueue_trial({"mixed": choice})
    study.optimize(objective, n_trials=len(CHOICES))
    study.enqueue_trial({"state": 0.25, "words": "=b"})
    return study


def put(study: optuna.Study, url: str) -> optuna.Study:
    optuna.copy_study(from_study_name=study.study_name, from_storage=study._storage, to_storage=url)
    return optuna.load_study(study_name=study.study_name, storage=url)


@pytest.fixture
def theirs(empty_url: str, odd: optuna.Study) -> Iterator[tuple[optuna.Study, databases.Database]]:
    study = put(odd, empty_url)
    database = databases.open_to_read(empty_url)
    yield study, database
    database.close()


@pytest.fixture(scope="module")
def file(odd: optuna.Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a SQLite file with it, for what has nothing to do with the kind of the database."""
    url = f"sqlite:///{tmp_path_factory.mktemp('odd')}/odd.db"
    put(odd, url)
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("SELECT count(*) FROM trials").fetchone()  # somebody has it open
        yield url


def shown(value: Any) -> str:
    """With its type: repr tells 1 from True, from 1.0 and from "1", and nan is nan."""
    return repr(dict(sorted(value.items())) if isinstance(value, dict) else value)


def expected(study: optuna.Study) -> list[dict[str, str]]:
    """What must come back of each trial, by Optuna's own reading."""
    return [
        {
            **{
                "number": shown(each.number),
                "state": shown(each.state.name),
                "value": shown((each.values or [None])[0]),
            },
            **{"params": shown(each.params), "attributes": shown(each.user_attrs)},
            **{"start": shown(each.datetime_start), "complete": shown(each.datetime_complete)},
        }
        for each in study.get_trials()
    ]


def of_row(row: dict[str, Any], when: Callable[[Any], Any] = lambda text: text) -> dict[str, str]:
    """The same of a row of a table, without the cells of what it does not have."""

    def under(prefix: str) -> dict[str, Any]:
        return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}

    return {
        **{"number": shown(row["number"]), "state": shown(row["state"]), "value": shown(row.get("value"))},
        **{"params": shown(under("params_")), "attributes": shown(under("user_attrs_"))},
        **{"start": shown(when(row.get("datetime_start"))), "complete": shown(when(row.get("datetime_complete")))},
    }


def moment(text: str | None) -> Any:
    return None if text is None else pandas.Timestamp(text).to_pydatetime()


def csv_rows(path: pathlib.Path) -> list[dict[str, Any]]:
    """As docs/exports.md reads it without pandas."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{cells.value(k): cells.value(v) for k, v in row.items() if v != cells.ABSENT} for row in rows]


def csv_rows_of_pandas(path: pathlib.Path) -> list[dict[str, Any]]:
    """As docs/exports.md reads it with pandas."""
    frame = pandas.read_csv(path, dtype=str, keep_default_na=False).rename(columns=cells.value)
    return [
        {name: cells.value(cell) for name, cell in row.items() if cell != cells.ABSENT}
        for row in frame.to_dict("records")
    ]


def parquet_rows(path: pathlib.Path) -> list[dict[str, Any]]:
    table = parquet.read_table(path)
    marked = {field.name for field in table.schema if (field.metadata or {}).get(b"search:cell") == b"json"}
    return [
        {k: cells.value(v) if k in marked else v for k, v in row.items() if v is not None} for row in table.to_pylist()
    ]


def test_csv_comes_back(theirs: tuple[optuna.Study, databases.Database], tmp_path: pathlib.Path) -> None:
    """Every value as what it was, a row a line, with the csv module and with pandas."""
    study, database = theirs
    found = search.export_trials("odd", tmp_path / "odd.csv", storage=database)
    for rows in (csv_rows(tmp_path / "odd.csv"), csv_rows_of_pandas(tmp_path / "odd.csv")):
        assert [of_row(row, moment) for row in rows] == expected(study)
        assert rows[-1]["fixed_params"] == {"state": 0.25, "words": "=b"}
    lines = (tmp_path / "odd.csv").read_bytes().decode().splitlines()
    assert len(lines) == 1 + found.rows == 1 + len(rows)
    assert [cells.value(name) for name in next(csv.reader(lines[:1]))] == found.columns


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_json_comes_back(theirs: tuple[optuna.Study, databases.Database], tmp_path: pathlib.Path, ending: str) -> None:
    """Strict JSON, by the json module and by pandas; distributions are Optuna's, and the curve is there."""
    study, database = theirs
    path = tmp_path / f"odd.{ending}"
    found = search.export_trials("odd", path, storage=database)

    def strict(text: str) -> Any:
        return json.loads(text, parse_constant=lambda token: pytest.fail(token))

    text = path.read_text(encoding="utf-8")
    read = strict(text) if ending == "json" else [strict(line) for line in text.splitlines()]
    assert all([key for key in record if key != cells.NON_FINITE] == found.columns for record in read)
    for record, trial, wanted in zip(map(cells.restored, read), study.get_trials(), expected(study), strict=True):
        times = {
            "start": shown(moment(record["datetime_start"])),
            "complete": shown(moment(record["datetime_complete"])),
        }
        named = {name: shown(record[name]) for name in ("number", "state", "value", "params", "attributes")}
        assert {**named, **times} == wanted
        curve = {int(step): value for step, value in record["intermediate_values"].items()}
        assert repr(curve) == repr(trial.intermediate_values)
        kinds = {
            name: optuna.distributions.json_to_distribution(json.dumps(kind))
            for name, kind in record["distributions"].items()
        }
        assert kinds == trial.distributions
    frame = pandas.read_json(path, lines=ending == "jsonl")
    assert list(frame["state"]) == [each.state.name for each in study.trials]


def test_parquet_comes_back(theirs: tuple[optuna.Study, databases.Database], tmp_path: pathlib.Path) -> None:
    """Columns of one type have it, with pandas too; others are texts as in CSV, and say so."""
    study, database = theirs
    path = tmp_path / "odd.parquet"
    search.export_trials("odd", path, storage=database)
    assert [of_row(row) for row in parquet_rows(path)] == expected(study)
    frame = pandas.read_parquet(path, dtype_backend="numpy_nullable")
    kinds = {name: str(frame.dtypes[name]) for name in frame}
    assert kinds["params_state"] == kinds["params_scales"] == kinds["value"] == "Float64"
    assert kinds[f"params_{ODD}"] == kinds["params_sizes"] == kinds["user_attrs_plain"] == "Int64"
    assert kinds["datetime_start"] == "datetime64[us]"
    assert list(frame["params_words"].dropna()) == [t.params["words"] for t in study.trials if "words" in t.params]
    assert frame["params_mixed"][0] == "null"


def test_integers_that_no_column_holds(tmp_path: pathlib.Path) -> None:
    """Of more than 64 bits: a parameter's by its range, an attribute's by its digits; each is there in full."""
    url = f"sqlite:///{tmp_path}/huge.db"
    study = optuna.create_study(study_name="huge", storage=url)
    study.enqueue_trial({"huge": 2**69})
    study.optimize(lambda trial: trial.set_user_attr("huge", 10**30) or trial.suggest_int("huge", 0, 2**70) % 3, 1)
    for ending, read in ((".csv", csv_rows), (".parquet", parquet_rows)):
        search.export_trials("huge", tmp_path / f"huge{ending}", storage=url)
        (row,) = read(tmp_path / f"huge{ending}")
        assert (row["params_huge"], row["user_attrs_huge"]) == (2**69, 10**30)


@pytest.mark.parametrize("ending", trial_files.FORMATS)
def test_endings_in_capitals_are_the_same(file: str, tmp_path: pathlib.Path, ending: str) -> None:
    """Byte for byte, as `search import` takes them."""
    small, large = tmp_path / f"small{ending}", tmp_path / f"LARGE{ending.upper()}"
    for path in (small, large):
        search.export_trials("odd", path, storage=file)
    assert large.read_bytes() == small.read_bytes()


@pytest.mark.parametrize("ending", trial_files.FORMATS)
def test_curves_come_back(file: str, odd: optuna.Study, tmp_path: pathlib.Path, ending: str) -> None:
    """In a file of their own, a row for each value that was reported, nan among them."""
    path = tmp_path / f"curves{ending}"
    found = search.export_trials("odd", tmp_path / "odd.csv", curves=path, storage=file)
    if ending == ".csv":
        rows = csv_rows(path)
    elif ending == ".parquet":
        rows = parquet_rows(path)
    else:
        text = path.read_text()
        rows = [
            cells.restored(each)
            for each in (json.loads(text) if ending == ".json" else map(json.loads, text.splitlines()))
        ]
    wanted = [(t.number, step, repr(value)) for t in odd.trials for step, value in t.intermediate_values.items()]
    assert [(row["number"], row["step"], repr(row["value"])) for row in rows] == wanted
    assert found.points == len(wanted)


@pytest.fixture
def ours(opened: databases.Database, make_study: Make) -> studies.Study:
    """A trial in each state, one added by another tool, one put back, one that has paused."""
    study = make_study(trials=9)
    claims.tell(opened, begin(opened, study), TrialState.COMPLETE, 0.5, {"search:seconds": 4.0, "search:worker": "w:1"})
    claims.tell(opened, begin(opened, study), TrialState.FAIL, None, {"search:reason": "=lost"}, 2.0)
    claims.tell(opened, begin(opened, study), TrialState.PRUNED, 0.1, {"search:seed": 7}, 1.0, {1: 0.1})
    take(opened, study, GONE)
    queues.enqueue(opened, study, {"depth": 0})
    theirs = optuna.load_study(study_name=study.name, storage=opened.optuna)
    theirs.add_trial(optuna.trial.create_trial(value=0.1))
    row = {"trial_id": theirs.trials[-1]._trial_id, "study_id": study.study_id, "is_known": True}
    opened.write(lambda c: statements.put(c, schema.added, ("trial_id",), [row]))
    theirs.enqueue_trial({"depth": 1})
    paused = {"trial_id": theirs.trials[-1]._trial_id, "study_id": study.study_id, "paused": 3, "told": False}
    opened.write(lambda c: c.execute(schema.claims.insert().values(paused)))
    failed = {"excused": True}
    opened.write(
        lambda c: c.execute(
            schema.claims.update().where(schema.claims.c.trial_id == theirs.trials[1]._trial_id).values(failed)
        )
    )
    return study


def test_what_is_known_of_a_trial(opened: databases.Database, ours: studies.Study, tmp_path: pathlib.Path) -> None:
    """Its worker, reason, seed and seconds, whether it has paused, was added, is excused, and what waits."""
    search.export_trials(ours.name, tmp_path / "ours.csv", storage=opened)
    rows = csv_rows(tmp_path / "ours.csv")
    assert [row["state"] for row in rows] == ["COMPLETE", "FAIL", "PRUNED", "RUNNING", "WAITING", "COMPLETE", "WAITING"]
    assert (rows[0]["seconds"], rows[0]["worker"]) == (4.0, "w:1")
    assert (rows[1]["reason"], rows[1]["excused"], rows[1]["seconds"]) == ("=lost", True, 2.0)
    assert (rows[2]["seed"], rows[2]["value"], rows[2]["user_attrs_search:seed"]) == (7, 0.1, 7)
    assert rows[3]["worker"] == GONE.name
    assert rows[4]["fixed_params"] == {"depth": 0}
    assert [row["added"] for row in rows] == [False] * 5 + [True, False]
    assert [row.get("paused") for row in rows] == [None] * 6 + [3]


def test_several_objectives(empty_url: str, tmp_path: pathlib.Path) -> None:
    """A column for each, by Optuna's names where they have some; a record has `values`."""
    study = plain(empty_url, "two", directions=["minimize", "maximize"])
    for path in (tmp_path / "two.csv", tmp_path / "two.jsonl"):
        search.export_trials("two", path, storage=empty_url)
    wanted = [each.values for each in study.trials]
    assert [[row["values_0"], row["values_1"]] for row in csv_rows(tmp_path / "two.csv")] == wanted
    assert [json.loads(line)["values"] for line in (tmp_path / "two.jsonl").read_text().splitlines()] == wanted
    study.set_metric_names(["loss", "size"])
    assert search.export_trials("two", tmp_path / "b.csv", storage=empty_url).columns[2:4] == [
        "values_loss",
        "values_size",
    ]


@pytest.mark.parametrize("ending", trial_files.FORMATS)
def test_a_study_without_trials(tmp_path: pathlib.Path, ending: str) -> None:
    """A file of its format, with columns where it has such, and no row."""
    url = f"sqlite:///{tmp_path}/bare.db"
    optuna.create_study(study_name="bare", storage=url)
    path = tmp_path / f"bare{ending}"
    found = search.export_trials("bare", path, storage=url)
    assert (found.rows, found.columns[:3]) == (0, ["number", "state", "value"])
    rows = {".csv": csv_rows, ".parquet": parquet_rows, ".json": lambda each: json.loads(each.read_text())}
    assert (rows[ending](path) if ending in rows else path.read_text().splitlines()) == []


@pytest.mark.parametrize(
    ("to", "curves", "words"),
    [
        ("odd.xlsx", None, "--to must end in .csv, .json, .jsonl, .parquet, got"),
        ("odd", None, "--to must end in"),
        ("no/odd.csv", None, "must lie in a folder that exists"),
        ("there.csv", None, "there.csv exists already; --force replaces it"),
        ("folder.csv", None, "exists already"),
        ("odd.csv", "there.csv", "--curves .*there.csv exists already"),
        ("odd.csv", "./odd.csv", "must be another file than --to"),
        ("odd.csv", "curves.txt", "--curves must end in"),
        ("THERE.CSV", "THERE.TXT", "--curves must end in"),
        ("../../../../../../../../proc/z.csv", None, r"proc/z\.csv cannot be written: "),
    ],
)
def test_places_that_are_none(file: str, tmp_path: pathlib.Path, to: str, curves: str | None, words: str) -> None:
    """Each is refused in a line before anything is read or written."""
    (tmp_path / "there.csv").write_text("mine")
    (tmp_path / "folder.csv").mkdir()
    beside = None if curves is None else f"{tmp_path}/{curves}"
    before = sorted(each.name for each in tmp_path.iterdir())
    with pytest.raises(errors.InputError, match=words):
        search.export_trials("odd", f"{tmp_path}/{to}", curves=beside, storage=file)
    assert sorted(each.name for each in tmp_path.iterdir()) == before
    assert (tmp_path / "there.csv").read_text() == "mine"


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses to let a file grow beyond that, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("ending", trial_files.FORMATS)
def test_a_disk_that_fills_up(file: str, tmp_path: pathlib.Path, ending: str) -> None:
    """One line that names the file; what was there is there, and nothing else is."""
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / f"odd{ending}"
    path.write_text("mine")
    before = {**picture(folder), ".": None}
    with largest_file(1000), pytest.raises(errors.InputError, match=f"{path} cannot be written: File too large"):
        search.export_trials("odd", path, force=True, storage=file)
    with largest_file(100), pytest.raises(errors.InputError, match="cannot be written: File too large"):
        search.export_trials("odd", path, curves=folder / f"curves{ending}", force=True, storage=file)
    assert {**picture(folder), ".": None} == before


def test_no_room_for_a_copy(odd: optuna.Study, tmp_path: pathlib.Path) -> None:
    """Of another tool's file, which nobody could write to while it is read."""
    url = f"sqlite:///{tmp_path}/odd.db"
    put(odd, url)
    with (
        largest_file(10_000),
        pytest.raises(errors.InputError, match=r"search-still-\w+ cannot be written: disk I/O er"),
    ):
        search.export_trials("odd", tmp_path / "odd.csv", storage=url)
    assert [each.name for each in tmp_path.iterdir()] == ["odd.db"]


def test_an_export_that_is_interrupted_leaves_nothing(file: str, tmp_path: pathlib.Path) -> None:
    """Ctrl-C in the middle: no file, no part of one."""
    folder = tmp_path / "out"
    folder.mkdir()

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.export_trials("odd", folder / "a.csv", storage=file, on_trials=interrupt)
    assert list(folder.iterdir()) == []


def test_a_file_that_comes_meanwhile_is_kept(file: str, tmp_path: pathlib.Path) -> None:
    """Without --force nothing is replaced, even if it was not there at the beginning."""
    path = tmp_path / "a.csv"
    with pytest.raises(errors.InputError, match="a.csv exists already"):
        search.export_trials("odd", path, storage=file, on_trials=lambda *_: path.write_text("mine") and None)
    assert [each.name for each in tmp_path.glob("*a.csv*")] == ["a.csv"]
    assert path.read_text() == "mine"


def test_one_moment_while_others_write(empty_url: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials, parameters and attributes that come in the middle are in none of its rows and columns."""
    monkeypatch.setattr(batches, "BATCH_TRIALS", 5)
    study = plain(empty_url)

    def write(done: int, total: int) -> None:
        study.optimize(lambda trial: trial.suggest_float(f"new {trial.number}", 0, 1), n_trials=1)
        study._storage.set_trial_user_attr(study.ask()._trial_id, "new", 1)

    found = search.export_trials("theirs", tmp_path / "a.csv", storage=empty_url, on_trials=write)
    rows = csv_rows(tmp_path / "a.csv")
    assert (found.rows, [row["number"] for row in rows]) == (12, list(range(12)))
    assert not [name for name in found.columns if "new" in name]
    assert len(study.trials) == 12 + 3 * 2


def test_memory_does_not_grow_with_the_trials(
    opened: databases.Database, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the trials in the same memory, in each format."""
    monkeypatch.setattr(batches, "BATCH_TRIALS", 25)
    peaks: dict[str, list[int]] = {}
    for trials in (25, 50, 200):  # the first fills caches
        study = growth.create(opened, f"growth-{trials}", trials)
        growth.fill(opened, study, trials)
        for ending in trial_files.FORMATS:
            files = tmp_path / f"{trials}{ending}", tmp_path / f"{trials}-curves{ending}"
            tracemalloc.start()
            search.export_trials(study.name, files[0], curves=files[1], storage=opened)
            peaks.setdefault(ending, []).append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert all(found[2] < 1.7 * found[1] for found in peaks.values()), peaks


def test_without_pyarrow(
    file: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parquet alone needs it, and a line says what brings it; pandas is needed by none."""
    for name in ("pyarrow", "pyarrow.parquet", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("SEARCH_STORAGE", file)
    for ending in ("csv", "json", "jsonl"):
        assert cli.main(["export-trials", "odd", "--to", str(tmp_path / f"a.{ending}")]) == 0
    assert cli.main(["export-trials", "odd", "--to", str(tmp_path / "a.parquet")]) == 2
    error = capsys.readouterr().err
    assert error.endswith('a.parquet needs pyarrow: `pip install "optuna-search-service[parquet]"` brings it\n')
    assert error.count("\n") == 1


def test_the_command(file: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what it wrote, for people and as JSON; a study that is not there is a line."""
    words = ["export-trials", "odd", "--storage", file, "--to", str(tmp_path / "a.csv")]
    assert cli.main([*words, "--curves", str(tmp_path / "c.csv")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(f"13 trials of study 'odd' written to {tmp_path}/a.csv, ")
    assert f"24 values of their curves written to {tmp_path}/c.csv" in said
    assert cli.main(words) == 2
    assert "exists already; --force replaces it" in capsys.readouterr().err
    assert cli.main([*words, "--force", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["file"], found["rows"], found["curves"], found["points"]) == (f"{tmp_path}/a.csv", 13, None, None)
    assert cli.main([*words[:1], "ood", *words[2:4], "--to", str(tmp_path / "b.csv")]) == 2
    assert "did you mean odd?" in capsys.readouterr().err
    assert sorted(each.name for each in tmp_path.glob("*.csv*")) == ["a.csv", "c.csv"]


def test_orders_are_left_alone(opened: databases.Database, ours: studies.Study, tmp_path: pathlib.Path) -> None:
    """Looking changes nothing: the study's orders and its trials are what they were."""
    before = opened.read(lambda c: orders.read(c, ours))
    search.export_trials(ours.name, tmp_path / "a.jsonl", storage=opened.url)
    assert opened.read(lambda c: orders.read(c, ours)) == before
