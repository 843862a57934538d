"""Commands that look: what they show of anybody's studies, and that they leave no trace."""

import base64
import contextlib
import http.client
import json
import pathlib
import re
import shutil
import signal
import sqlite3

import optuna
import pytest
import sqlalchemy
from conftest import Processes, Server, quick_text
from doors import HASH, PASSWORD
from looks import lock_up, picture, plain, public, python

from search import cli
from search.ledger import studies
from search.storage import databases, schema
from search.study import specs

__all__ = ["public"]
ALL = """
import json
from search import cli
from search.dashboard import servers
from search.storage import databases
from doors import ask

out = f"{sys.argv[2]}/{os.getuid()}"
os.environ["SEARCH_STORAGE"] = sys.argv[1]
commands = [["list"], ["list", "--json"], ["status"], ["status", "quick"], ["status", "quick", "--json"],
            ["status", "theirs"], ["report", "quick", "theirs", "--output", out], ["backup", "quick", out + ".db"],
            ["publish", "quick", "--to", "tensorboard:" + out + ".board"]]
for words in commands:
    print(f"code {cli.main(words)}: {words[0]}", file=sys.stderr)
door = servers.Door(databases.open_to_read(sys.argv[1]))
for path in ("/dashboard", "/api/studies", "/api/studies/1?after=0", "/api/studies/2?after=0", "/metrics", "/healthz"):
    print(f"status {ask(door, path)[0]}: {path}", file=sys.stderr)
"""


def fill(url: str) -> None:
    """A study of ours and one of Optuna's own."""
    database = databases.Database(url)
    studies.create(database, specs.parse(quick_text(), "quick.toml"))
    database.close()
    plain(url)


def search(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_read_only_folder_of_another_user_is_shown(public: pathlib.Path) -> None:
    """Every command that looks, and every page, by a user who may only read; not a byte changes."""
    folder, out = public / "x", public / "out"
    for each in (folder, out):
        each.mkdir()
    out.chmod(0o777)
    fill(f"sqlite:///{folder}/search.db")
    (folder / "search.db.lock").unlink()
    lock_up(folder)
    before = picture(folder)
    tests = pathlib.Path(__file__).parent.parent
    code = f"import sys\nsys.path.append({str(tests)!r})\n{ALL}"
    said = python(code, f"sqlite:///{folder}/search.db", str(out), nobody=True).splitlines()
    assert [line for line in said if line.startswith("code ")] == [
        f"code 0: {name}"
        for name in ("list", "list", "status", "status", "status", "status", "report", "backup", "publish")
    ], said
    assert len([line for line in said if line.startswith(("status 200:", "status 302:"))]) == 6, said
    assert picture(folder) == before
    folder.chmod(0o755)


@pytest.mark.parametrize("command", ["list", "status", "status theirs", "report theirs --output {out}", "list --json"])
def test_somebody_s_database_stays_as_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """A plain database of Optuna's: its study is shown, and its file has the bytes that it had."""
    folder = tmp_path / "x"
    folder.mkdir()
    url = f"sqlite:///{folder}/theirs.db"
    plain(url)
    before = picture(folder)
    monkeypatch.setenv("SEARCH_STORAGE", url)
    code, out, err = search(capsys, *command.format(out=tmp_path / "out").split())
    assert (code, err) == (0, "")
    assert "theirs" in out or "report.html" in out
    assert picture(folder) == before


@pytest.mark.parametrize("name", ["theirs", "two goals", "bare"])
def test_other_tools_studies_are_shown(
    capsys: pytest.CaptureFixture[str], empty_url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Defined by run, of several objectives, without a trial: its trials and the best, in text and JSON."""
    options = {"two goals": {"directions": ["minimize", "maximize"]}}.get(name, {})
    study = optuna.create_study(study_name=name, storage=empty_url) if name == "bare" else None
    study = study or plain(empty_url, name, **options)
    monkeypatch.setenv("SEARCH_STORAGE", empty_url)
    code, out, _ = search(capsys, "status", name)
    assert code == 0
    found = json.loads(search(capsys, "status", name, "--json")[1])
    assert json.loads(search(capsys, "list", "--json")[1]) == [found]
    assert (found["name"], found["state"]) == (name, "optuna")
    if name == "theirs":
        assert "theirs: Optuna's own, minimize value; 12 trials (10 complete, 2 pruned)" in out
        assert found["best"]["number"] == study.best_trial.number
        assert f"best: trial {study.best_trial.number}, value" in out
        assert all(column in out for column in ("a kind", "learning rate", "n/layers"))
    elif name == "two goals":
        assert "minimize value 0, maximize value 1; 6 trials (6 complete)" in out
        assert (found["best"], "none is better in all: trials" in out) == (None, True)
    else:
        assert "0 trials (none yet)" in out
        assert "no trial is complete yet" in out


VERBS = [
    "extend theirs --trials 3",
    "enqueue theirs x=1",
    "pause theirs",
    "resume theirs",
    "stop theirs",
    "retry theirs",
    "work theirs",
    "backup theirs {out}",
    "replay theirs 1",
    "confirm theirs",
    "export theirs --to {out}.safetensors",
]


@pytest.mark.parametrize("beside_ours", [True, False])
def test_verbs_say_what_a_foreign_study_is(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, beside_ours: bool
) -> None:
    """One line and exit code 2; where nothing of ours is beside it, the file keeps its bytes."""
    url = f"sqlite:///{tmp_path}/x.db"
    if beside_ours:
        fill(url)
    else:
        plain(url)
    before = (tmp_path / "x.db").read_bytes()
    monkeypatch.setenv("SEARCH_STORAGE", url)
    for verb in VERBS:
        code, out, err = search(capsys, *verb.format(out=tmp_path / "out").split())
        assert (code, out, err.count("\n")) == (2, "", 1), verb
        assert "study 'theirs' is Optuna's own: it was not made by `search create`" in err, verb
    assert (tmp_path / "x.db").read_bytes() == before


def served(processes: Processes, *options: str) -> tuple[str, int]:
    """What the real dashboard says at its start, and what it answers to a note with the password."""
    server = processes.start("dashboard", "--port", "0", *options)
    line = server.stdout.readline() if server.stdout else ""
    port = int(re.findall(r":(\d+) \(", line)[0])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as asking:
        for path in ("/dashboard", "/api/studies", "/api/studies/1?after=0", "/metrics"):
            asking.request("GET", path)
            answer = asking.getresponse()
            assert (answer.status, bool(answer.read())) == (200, True), path
        password = base64.b64encode(f"anybody:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {password}", "Content-Type": "application/json"}
        asking.request("PUT", "/api/studies/1/note", json.dumps({"body": "mine", "version": 2}), headers)
        status = asking.getresponse().status
    server.send_signal(signal.SIGTERM)
    server.wait(30)
    return line, status


def test_a_dashboard_that_only_reads_leaves_nothing(tmp_path: pathlib.Path) -> None:
    """Without a password, and with one and --read-only; with the password alone the note is written."""
    folder = tmp_path / "x"
    folder.mkdir()
    fill(f"sqlite:///{folder}/search.db")
    before = picture(folder)
    processes = Processes(f"sqlite:///{folder}/search.db", tmp_path)
    (tmp_path / "hash").write_text(HASH)
    try:
        for options in ([], ["--password-hash-file", "hash", "--read-only"]):
            line, status = served(processes, *options)
            assert (line.endswith("(reading only)\n"), status) == (True, 405)
            assert picture(folder) == before
        line, status = served(processes, "--password-hash-file", "hash")
        assert (line.endswith("(writing with the password)\n"), status) == (True, 204)
        assert picture(folder) != before
    finally:
        processes.end()


BROKEN = {
    "a newer file": "UPDATE study_user_attributes SET value_json = replace(value_json, 'trials = 10', "
    "'trials = 10\\ncooldown = 5') WHERE study_id = 2",
    "no TOML": "UPDATE study_user_attributes SET value_json = '\"[[[\"' WHERE study_id = 2",
    "no JSON": "UPDATE study_user_attributes SET value_json = '{oops' WHERE study_id = 2",
    "no file": "DELETE FROM study_user_attributes WHERE study_id = 2",
    "no orders": "DELETE FROM search_orders WHERE study_id = 2",
    "an order": "UPDATE search_orders SET trials = 'many' WHERE study_id = 2",
    "a state": "UPDATE trials SET state = 'FROZEN' WHERE study_id = 2",
    "a date": "UPDATE trials SET datetime_start = 'yesterday' WHERE study_id = 2",
    "an attribute": "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (2, 'x', '{oops')",
    "a value": "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (2, 0, 'x', 'FINITE')",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_bad_study_is_named_and_hides_no_other(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """list, status and report show the others and its reason; asked for by name it is one line, exit code 2."""
    url = f"sqlite:///{tmp_path}/x.db"
    database = databases.Database(url)
    for name in ("first", "bad", "last"):
        study = studies.create(database, specs.parse(quick_text(name), "quick.toml"))
        row = {"study_id": study.study_id, "number": 0, "state": "COMPLETE"}
        database.write(lambda connection, row=row: connection.execute(schema.trials.insert().values(row)))  # type: ignore[misc]
    database.close()
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute(BROKEN[what])
    connection.close()
    monkeypatch.setenv("SEARCH_STORAGE", url)
    for command in ("list", "status"):
        found = json.loads(search(capsys, command, "--json")[1])
        assert [each["state"] for each in found] == ["active", "unreadable", "active"], command
        assert found[1]["reason"].startswith("study 'bad'")
        code, out, _ = search(capsys, command)
        assert (code, found[1]["reason"] in out) == (0, True), command
        assert "first" in out
        assert "last" in out
    out_folder = str(tmp_path / "out")
    for words in (["status", "bad"], ["status", "bad", "--json"], ["report", "bad", "--output", out_folder]):
        code, out, err = search(capsys, *words)
        assert (code, out, err.count("\n"), err.startswith("search: study 'bad'")) == (2, "", 1, True), words
    code, _, err = search(capsys, "report", "first", "bad", "last", "--output", out_folder)
    assert (code, "left out: study 'bad'" in err) == (0, True)
    assert "Report on first, last" in (tmp_path / "out" / "report.md").read_text()
    code, out, err = search(capsys, "backup", "bad", str(tmp_path / "bad.db"))
    assert (code, err.count("\n")) in ((0, 0), (2, 1))


def test_a_hint_makes_nothing(capsys: pytest.CaptureFixture[str], postgres: Server) -> None:
    """A hint names studies of anybody, and looking for one makes nothing."""
    url = postgres.new_database()
    plain(url)
    code, _, err = search(capsys, "status", "their", "--storage", url)
    assert (code, "did you mean theirs?" in err) == (2, True)
    with sqlalchemy.create_engine(url).connect() as connection:
        assert not [name for name in sqlalchemy.inspect(connection).get_table_names() if name.startswith("search_")]


def test_home_is_where_a_shell_has_it(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sqlite:///~/x.db` is in the home folder, and no folder called ~ is made."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(quick_text())
    for url in ("sqlite:///~/x.db", "sqlite:///file:~/y.db?uri=true"):
        assert search(capsys, "create", "quick.toml", "--storage", url)[0] == 0
        assert search(capsys, "list", "--storage", url)[0] == 0
    assert {path.name for path in (tmp_path / "home").iterdir()} >= {"x.db", "y.db"}
    assert not (tmp_path / "~").exists()
    shutil.rmtree(tmp_path / "home")
