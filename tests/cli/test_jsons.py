"""What `--json` prints: strict, and as docs/json.md says it, command by command."""

import json
import math
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import optuna
import pytest
import receivers
import tabled
from conftest import ROOT, Processes, quick_text

from search import cli
from search.cli import commands, jsons

pytestmark = pytest.mark.usefixtures("own_folder")

DOCUMENT = (ROOT / "docs" / "json.md").read_text()
WITHOUT = {"dashboard", "completion"}  # one serves, the other speaks to a shell
KINDS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "float": lambda value: type(value) in (int, float) or value in ("inf", "-inf", "nan"),
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "open object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def refuse(token: str) -> float:
    raise AssertionError(f"{token} is no JSON")


def strict(text: str) -> Any:
    """A document as a strict parser reads it."""
    return json.loads(text, parse_constant=refuse)


def tables() -> dict[str, dict[str, str]]:
    """By the command that stands before a table, the type of each key."""
    found: dict[str, dict[str, str]] = {}
    for block in re.finditer(r"([^\n|][^|]*?):\n\n\| key \| type \| \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", DOCUMENT):
        rows = dict(re.findall(r"^\| `(.+?)` \| (.+?) \|", block[2], re.MULTILINE))
        for name in re.findall(r"`search ([\w-]+(?: --[\w-]+)?)[^`]*`", block[1].rpartition("\n\n")[2]):
            found[name] = rows
    study = found["run"]
    for name in ("enqueue", "retry", "amend", "copy", "import", "fork", "adopt"):
        found[name] = {**study, **found[name]}
    return found


TABLES = tables()
KNOWN = "params_learning_rate,params_batch_size,params_depth,value\n0.1,9,0,0.5\n0.1,9,1,0.5\n"


def paths(value: Any, table: dict[str, str], place: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a document with its value, `workers[].name`; an open object's own are not looked at."""
    if place:
        yield place, value
    if isinstance(value, dict) and table.get(place) != "open object":
        for key, each in value.items():
            yield from paths(each, table, f"{place}.{key}" if place else key)
    if isinstance(value, list):
        for each in value:
            yield from paths(each, table, f"{place}[]")


def check(command: str, document: Any) -> None:
    """Holds a document against its table: no key more, and none less but below what is null or empty."""
    table = TABLES[command]
    seen = {}
    for place, value in paths(document, table):
        if place.endswith("[]") and isinstance(value, dict):
            continue
        assert place in table, f"{command}: {place} is not documented"
        kinds = table[place].split(" or ")
        assert any(KINDS[kind](value) for kind in kinds), f"{command}: {place} is {table[place]}, got {value!r}"
        seen[place] = value
    for place in table:
        parent = re.sub(r"(\[\]|\.\w+|\[\]\.\w+)$", "", place) if re.search(r"[.\[]", place) else ""
        if not parent or seen.get(parent):
            assert place in seen, f"{command}: {place} is documented, and not there"


def test_numbers_that_json_has_not_are_words() -> None:
    """inf, -inf and nan as optuna-dashboard writes them, wherever they stand, NumPy's too; all else stays."""
    odd = {"a": [math.inf, -math.inf, (math.nan, 1e308)], 3: pathlib.Path("x"), "b": numpy.float32("inf"), "c": None}
    again = strict(json.dumps(jsons.strict(odd), allow_nan=False))
    assert again == {"a": ["inf", "-inf", ["nan", 1e308]], "3": "x", "b": "inf", "c": None}


def test_every_command_has_it_and_is_documented() -> None:
    """Each takes `--json`, and has a table, or prints a study, but for the one that serves."""
    for name in commands.COMMANDS:
        options = [option for parameter in commands.load(name).params for option in parameter.opts]
        assert ("--json" in options) == (name not in WITHOUT), name
        assert name in WITHOUT | {"list", "predict"} or name in TABLES, name


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command with --json and holds what it prints against its table."""

    def run(*arguments: str, code: int = 0, table: str | None = "") -> Any:
        capfd.readouterr()
        assert cli.main([*arguments, "--json"]) == code, capfd.readouterr().err
        found = strict(capfd.readouterr().out)
        if table is not None:
            for each in found if isinstance(found, list) else [found]:
                check(table or arguments[0], each)
        return found

    return run


@pytest.mark.slow
def test_every_document_is_as_documented(
    say: Callable[..., Any], tmp_path: pathlib.Path, receiver: receivers.Receiver
) -> None:
    """Every command for real, one after the other: its keys and their types are those of its table."""
    (tmp_path / "quick.toml").write_text(quick_text(trials=3, hopeless="false"))
    assert say("create", "quick.toml")["best"] is None
    say("fetch", "quick.toml")
    (tmp_path / "known.csv").write_text(KNOWN)
    (tmp_path / "known.toml").write_text(quick_text(name="known", trials=3))
    say("create", "known.toml")
    found = say("import", "known", "known.csv")
    assert (found["imported"], found["import"]["left_out"][0]["reason"]) == (1, "width is missing")
    assert say("fork", "known", "next")["imported"] == 1
    plain = optuna.create_study(study_name="plain", storage="sqlite:///runs/search.db")
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    (tmp_path / "mine_to_init.py").write_text("def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n")
    assert say("adopt", "plain", "--objective", "mine_to_init:objective")["budget"] == 22
    for name in ("known", "next", "plain"):
        say("delete", name, "--yes")
    assert say("init", "mine_to_init.py:objective")["parameters"] == ["x"]
    say("run", "mine_to_init.toml", "--workers", "1", table="status")
    assert say("logs", "mine_to_init", "0")["text"] == ""
    say("enqueue", "quick", "depth=1")
    say("pause", "quick")
    say("resume", "quick")
    assert say("run", "quick.toml", "--workers", "1")["best"]["value"] <= 1
    say("work", "quick")
    assert len(say("work", "--any", "--match", "q*", table="status")) == 1
    say("extend", "quick", "--trials", "1")
    (tmp_path / "quick.toml").write_text(quick_text(trials=4, hopeless="false", more="max_failures = 2"))
    assert say("amend", "quick.toml")["amended"] == ["budget.trials", "budget.max_failures"]
    say("run", "quick.toml", "--workers", "1")
    assert say("retry", "quick")["retried"] == {}
    say("status", "quick")
    assert len(say("status", table="status STUDY" if "status STUDY" in TABLES else "status")) == 2
    say("list", table="status")
    say("replay", "quick", "0")
    (tmp_path / "made.toml").write_text(tabled.TEXT)
    table = tabled.write(tmp_path / "rows.jsonl", tabled.rows())
    say("simulate", "made.toml", "--table", str(table), *("--plain", "random", "--seeds", "4", "--output", "simulated"))
    say("report", "quick")
    say("confirm", "quick", "--top", "2", "--seeds", "2", "--workers", "1")
    assert say("compare", "quick", "quick-confirm", "--output", "compared")["metric"] == "accuracy"
    say("export", "quick", "--to", "quick.safetensors")
    say("export", "quick", "--table", "quick.jsonl", table="export --table")
    say("export-trials", "quick", "--to", "quick.csv", "--curves", "curves.csv")
    assert say("publish", "quick", "--to", "tensorboard:board")[0]["new"] == 4
    say("predict", "quick.safetensors", "--test-set", table="predict --test-set")
    assert say("check", "quick", "--recount")["holds"]
    assert say("artifacts", "quick") == []
    receiver.file(tmp_path)
    (tmp_path / "quick.toml").write_text(
        quick_text(trials=4, hopeless="false", more='max_failures = 2\n[notify]\nurls_file = "notify-urls"')
    )
    assert say("amend", "quick.toml")["amended"] == ["notify.urls_file"]
    assert say("notify", "quick", "--test")["addresses"] == [{"address": "1 http", "sent": True, "reason": None}]
    assert say("notify", "quick")["messages"] == {"sent": 0, "pending": 0, "undelivered": 0}
    say("backup", "quick", "quick.db", "--artifacts")
    say("copy", "quick", "other")
    say("rename", "other", "another")
    say("delete", "another", "--yes")
    say("delete", "quick", "--yes")
    say("restore", "quick.db")
    say("upgrade")
    say("stop", "quick")
    assert say("selfcheck")["agrees"]


@pytest.mark.slow
def test_what_fails_is_a_line_on_stderr(processes: Processes, tmp_path: pathlib.Path) -> None:
    """With --json too: stdout is empty, or for `run` the study, and the exit code says the same."""
    (tmp_path / "broken.py").write_text("def f(trial):\n    raise ValueError('no')\n")
    (tmp_path / "own.toml").write_text(
        'objective = "broken:f"\n[study]\nname = "own"\n[space]\nx = [1]\n'
        '[sampler]\nname = "grid"\n[budget]\ntrials = 1\n'
    )
    process = processes.start("run", "own.toml", "--json", "--workers", "1")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    last = output.splitlines()[-2:]
    check("run", strict(next(line for line in last if line.startswith("{"))))
    assert any(line.startswith("search: study 'own': 0 of 1 trials done (1 failed): ") for line in last)
    code, output = processes.run("status", "nobody", "--json")
    assert (code, output.count("\n"), output.startswith("search: no study 'nobody'")) == (2, 1, True)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e308, -1e308])
def test_any_best_value_is_strict_json(
    say: Callable[..., Any], tmp_path: pathlib.Path, value: float, direction: str
) -> None:
    """status, list and report of a study whose best value no JSON number holds."""
    (tmp_path / "own.toml").write_text(
        f'objective = "os:getcwd"\n[study]\nname = "own"\ndirection = "{direction}"\n'
        "[space]\nx = { low = 0.0, high = 1.0 }\n[budget]\ntrials = 1\n"
    )
    say("create", "own.toml")
    study = optuna.load_study(study_name="own", storage="sqlite:///runs/search.db")
    kinds = {"x": optuna.distributions.FloatDistribution(0.0, 1.0)}
    study.add_trial(optuna.trial.create_trial(params={"x": 0.5}, distributions=kinds, value=value))
    expected = value if math.isfinite(value) else str(value)
    assert say("status", "own")["best"]["value"] == expected
    assert say("list", table="status")[0]["best"]["value"] == expected
    say("report", "own")
