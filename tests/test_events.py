"""Lines of the log as JSON: fields from what a call names, one object a line, whatever is said."""

import ast
import io
import json
import logging
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import mine
import numpy
import pytest
from conftest import ROOT, Processes, quick_text
from hypothesis import given, settings
from hypothesis import strategies as st

from search import events
from search.storage import addresses, databases
from search.worker import bylines, endings

LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
DYNAMIC = {"search/worker/endings.py": 1}  # templates that are put together, by file: `_log_end`, tested below


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Each call of a log in search/ and models/."""
    for path in sorted(each for folder in ("search", "models") for each in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                owner = node.func.value
                is_log = isinstance(owner, ast.Name) and owner.id == "log"
                if is_log or ast.unparse(owner) == "logging.getLogger('search')":
                    yield str(path.relative_to(ROOT)), node


def template(node: ast.expr) -> str | None:
    """The text of a template; None where it is made elsewhere."""
    if isinstance(node, ast.JoinedStr):
        return "".join(each.value if isinstance(each, ast.Constant) else "note='x'" for each in node.values)
    return node.value if isinstance(node, ast.Constant) else None


def test_every_call_of_the_log_names_its_fields() -> None:
    """Its template is names and values, one of them `event`, none of them a key that every line has."""
    found, dynamic = 0, dict[str, int]()
    for path, call in calls():
        text = template(call.args[0])
        if text is None:
            dynamic[path] = dynamic.get(path, 0) + 1
            continue
        named = events.fields(text, tuple(call.args[1:]) if not isinstance(call.args[-1], ast.Starred) else (1,) * 9)
        assert named is not None, (path, text)
        assert "event" in named, (path, text)
        assert not set(named) & set(events.OURS), (path, text)
        found += 1
    assert found > 40
    assert dynamic == DYNAMIC


def record(template: Any, *arguments: Any, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("search", logging.INFO, "", 0, template, arguments, more.pop("exc_info", None))
    made.__dict__.update(more)
    return made


def said(template: Any, *arguments: Any, **more: Any) -> dict[str, Any]:
    line = events.Formatter(addresses.scrub).format(record(template, *arguments, **more))
    assert len(f"{line}\n".splitlines()) == 1
    assert len(line.encode()) < events.LONGEST_BYTES
    found = json.loads(line, parse_constant=lambda token: pytest.fail(token))
    assert isinstance(found, dict)
    return found


def test_fields_have_their_types() -> None:
    """Numbers, None and texts as they were given, not as they are printed; words of the template as they stand."""
    found = said(
        "trial=%d event=a-b value=%.2f reason=%r note='two words' place=%s left=%s odd=%r count=%d",
        *(7, 0.123456, "it's\n=bad", pathlib.Path("/x y"), None, float("nan"), numpy.int64(3)),
        created=0.25,
    )
    assert found == {
        **{"time": "1970-01-01T00:00:00.250+00:00", "level": "INFO", "logger": "search", "trial": 7, "event": "a-b"},
        **{"value": 0.123456, "reason": "it's\n=bad", "note": "two words", "place": "/x y", "left": None, "odd": "nan"},
        "count": 3,
        "message": "trial=7 event=a-b value=0.12 reason=\"it's\\n=bad\" note='two words' place=/x y left=None odd=nan "
        "count=3",
    }


@pytest.mark.parametrize(
    ("template", "arguments"),
    [
        ("Task queue depth is %d", (3,)),
        ("a=1 b", ()),
        ("a=%s b=%s", (1,)),
        ("%s", ("event=forged trial=3",)),
        ("event='open", ()),
        (ValueError("an object"), ()),
        ("", ()),
    ],
)
def test_what_is_no_event_is_a_message(template: Any, arguments: tuple[Any, ...]) -> None:
    """A library's line, a broken one, an object; what an argument says is never taken for a field."""
    assert set(said(template, *arguments)) == {"time", "level", "logger", "message"}


@settings(deadline=None, max_examples=50)
@given(st.text(), st.lists(st.text() | st.integers() | st.floats() | st.none() | st.binary()))
def test_any_line_is_one_object(template: str, arguments: list[Any]) -> None:
    """Whatever the template and the values are, and however many."""
    said(template, *arguments)
    for argument in arguments:
        assert said("event=x reason=%r", argument)["event"] == "x"


def test_a_long_line_fits_into_a_pipe() -> None:
    """Its texts are cut, the longest ones; the fields stay, and their beginning and end."""
    try:
        raise ValueError("ä" * 100_000)
    except ValueError as error:
        found = said(
            "trial=%d event=failed reason=%r", 7, str(error), exc_info=(type(error), error, error.__traceback__)
        )
    assert (found["trial"], found["event"]) == (7, "failed")
    assert found["reason"].startswith("ää")
    assert "(100,000 characters)" in found["reason"]
    assert found["exception"].startswith("Traceback (most recent call last):\n")


def test_secrets_are_hidden_in_every_field() -> None:
    """As in plain lines: message, values and exceptions."""
    addresses.check_url('postgresql://user:s3cr"t-w0rd@host/search')
    try:
        raise OSError('no way to s3cr"t-w0rd')
    except OSError as error:
        found = said("event=x reason=%r", 's3cr"t-w0rd', exc_info=(type(error), error, error.__traceback__))
    assert "w0rd" not in json.dumps(found)
    assert found["reason"] == addresses.HIDDEN


def test_what_all_lines_are_about() -> None:
    """Study and worker of the process, unless a line has others; it ends with the context."""
    with events.about(study="lab", worker="w:1"):
        assert said("event=x worker=%s", "w:2")["study"] == "lab"
        with events.about(study="other"):
            found = said("Task queue")
    assert (found["study"], found["worker"]) == ("other", "w:1")
    assert "study" not in said("event=x")


@pytest.mark.parametrize("name", ["lab", 'it\'s 100 % %s=x "a"', "a\nb"])
@pytest.mark.parametrize("arguments", [(), (7,)])
def test_the_byline_is_a_field(name: str, arguments: tuple[Any, ...]) -> None:
    """Of a worker of any study: the same plain line as ever, and the name as it is."""
    made = record("trial=%d event=x" if arguments else "event=x note='50 %'", *arguments)
    plain = made.getMessage()
    with bylines.named(name):
        assert bylines.Byline().filter(made)
    assert made.getMessage() == f"study={name!r} {plain}"
    if arguments:
        found = said(made.msg, *(made.args or ()))
        assert (found["study"], found["trial"], found["event"]) == (name, 7, "x")


def test_the_end_of_a_trial(caplog: pytest.LogCaptureFixture) -> None:
    """Fields that it has, in the plain line as ever."""
    claim: Any = type("Claim", (), {"number": 7})
    with caplog.at_level(logging.INFO, logger="search"):
        endings._log_end(claim, "complete", 0.5, {"search:seconds": 1.25, "search:worker": "it's:1"})
    (made,) = caplog.records
    assert made.getMessage() == 'trial=7 event=complete value=0.5 seconds=1.25 worker="it\'s:1"'
    found = json.loads(events.Formatter().format(made))
    assert (found["trial"], found["value"], found["seconds"], found["worker"]) == (7, 0.5, 1.25, "it's:1")


def test_what_anything_prints_on_stderr_is_an_object() -> None:
    """Line by line, by several threads, the last one without its end too."""
    written = io.StringIO()
    stream = events.Stream(written, events.Formatter())
    print("note: {not json", "two", file=stream)
    print("\n\n  \n", file=stream)
    threads = [threading.Thread(target=lambda: stream.write("from a thread\n" * 5)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    stream.write("no end")
    stream.flush()
    found = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [each["message"] for each in found] == ["note: {not json two", *["from a thread"] * 20, "no end"]
    assert {each["logger"] for each in found} == {"stderr"}


NOISY = """
import logging, sys, threading, warnings
import optuna
from search.cli import options
options.log_as("json")
warnings.warn("old\\nfashioned")
logging.getLogger("waitress.queue").warning("Task queue depth is %d", 3)
optuna.logging.get_logger("optuna.x").warning("from optuna")
print("a note", file=sys.stderr)
logging.getLogger("search").info("event=x %d", "no number")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("the\\nend")
"""


def test_all_that_a_process_says_is_json() -> None:
    """Warnings, libraries, prints, a thread's exception and the last one, each in one object."""
    done = subprocess.run(
        [sys.executable, "-c", NOISY], capture_output=True, text=True, timeout=60, cwd=ROOT, env={"PYTHONPATH": "."}
    )
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert [each["logger"] for each in found] == [
        "py.warnings",
        "waitress.queue",
        "optuna.x",
        "stderr",
        *["search"] * 3,
    ]
    assert "old fashioned" in found[0]["message"]
    assert found[1]["message"] == "Task queue depth is 3"
    assert [each.get("event") for each in found[4:]] == [None, "crashed", "crashed"]
    assert found[5]["exception"].endswith("ZeroDivisionError: division by zero")
    assert found[6]["exception"].endswith("ValueError: the\nend")


@pytest.fixture
def local(tmp_path: pathlib.Path) -> Iterator[Processes]:
    """On SQLite: what is said has nothing to do with the database."""
    started = Processes(f"sqlite:///{tmp_path}/search.db", tmp_path)
    yield started
    started.end()


OWN = """
import warnings

def objective(trial):
    warnings.warn("of an objective")
    if trial.number:
        raise ValueError('a "bad"\\nreason {trial=3} ' + "x" * 9000)
    return 0.5
"""


def lines_of(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_workers_and_their_parent_say_all_in_json(local: Processes, tmp_path: pathlib.Path) -> None:
    """`search run` with two workers, and `search work --restart` whose worker is killed: every line of stderr."""
    mine.write(tmp_path, OWN, trials=3)
    with (tmp_path / "err").open("w") as err:
        command = [
            sys.executable,
            "-m",
            "search",
            "run",
            "own.toml",
            "--workers",
            "2",
            "--log-format",
            "json",
            "--json",
        ]
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "SEARCH_STORAGE": local.url}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=err, text=True, timeout=120
        )
    assert json.loads(done.stdout)["name"] == "own"
    found = [json.loads(line) for line in (tmp_path / "err").read_text().splitlines()]
    failed = [each for each in found if each.get("event") == "failed" and "trial" in each]
    assert {each["study"] for each in failed} == {"own"}
    assert failed[0]["reason"].startswith('ValueError: a "bad"')
    assert [each["trial"] for each in found if each.get("event") == "complete"] == [0]
    assert any(each["logger"] == "search" and each.get("exit_code") == done.returncode for each in found)


@pytest.mark.slow
def test_the_keeper_says_it_in_json(local: Processes, tmp_path: pathlib.Path) -> None:
    """`search work --restart`: the death of its worker, and what the next one does."""
    (tmp_path / "quick.toml").write_text(quick_text(trials=400, epochs=300, slow=True))
    assert local.run("create", "quick.toml")[0] == 0
    keeper = local.start("work", "quick", "--restart", SEARCH_LOG_FORMAT="json")
    assert keeper.stdout is not None
    seen = []
    for line in keeper.stdout:
        seen.append(json.loads(line))
        if seen[-1].get("event") == "created" and not any(each.get("event") == "worker-killed" for each in seen):
            subprocess.run(["kill", "-9", seen[-1]["worker"].rpartition(":")[2]], check=True)
        elif seen[-1].get("event") in ("adopted", "created"):
            break
    keeper.send_signal(signal.SIGTERM)
    rest, _ = keeper.communicate(timeout=60)
    killed = next(each for each in seen if each.get("event") == "worker-killed")
    assert (killed["level"], killed["signal"], type(killed["pid"])) == ("WARNING", "SIGKILL", int)
    assert all(map(json.loads, rest.splitlines()))


def test_the_dashboard_says_it_in_json(local: Processes, tmp_path: pathlib.Path) -> None:
    """Where it listens, on stdout; a wrong use, on stderr."""
    databases.Database(local.url).close()
    server = local.start("dashboard", "--port", "0", "--log-format", "json")
    assert server.stdout is not None
    found = json.loads(server.stdout.readline())
    assert (found["event"], found["address"].startswith("http://127.0.0.1:")) == ("listening", True)
    server.send_signal(signal.SIGTERM)
    server.wait(30)
    code, output = local.run("work", "nobody", SEARCH_LOG_FORMAT="json")
    (line,) = map(json.loads, output.splitlines())
    assert (code, line["event"], line["exit_code"]) == (2, "failed", 2)
    assert line["reason"].startswith("no study 'nobody'")
    code, output = local.run("work", "nobody", SEARCH_LOG_FORMAT="xml")
    assert (code, output.count("\n")) == (2, 1)
    assert "'xml' is not one of 'plain', 'json'" in output
