"""The doors: thousands of inputs that are nearly right. Each is taken or refused in one line; nothing half is left."""

import contextlib
import io
import pathlib
import shutil
import string
import tomllib
from typing import Any

import pytest
import sqlalchemy
from conftest import ROOT, quick_text
from doors import HASH, ask_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.storages._rdb import models as optuna_models
from trials import SAVED
from trials import claim as take

from search import cli, errors
from search.dashboard import servers
from search.ledger import backups, checkpoints, studies, summaries
from search.storage import addresses, databases, schema
from search.study import specs

pytestmark = pytest.mark.slow

LAB = sorted((ROOT / "studies").glob("*.toml"))
TEXTS = [path.read_text() for path in LAB] + [
    quick_text(
        more="hours = 2.5\ntarget = 0.9\npatience = 7\ndeadline = '1h 30m'\nmax_failures = 3\nepoch_seconds = 9\n[[enqueue]]\ndepth = 0\n"
    ),
    quick_text().replace(
        "hopeless = true", 'hopeless = false\npruner = "percentile"\npercentile = 30\nwarmup_epochs = 1'
    ),
    '[study]\nname = "own"\nobjective = "a.b:c"\n[space]\nx = { low = 0.0, high = 1.0, step = 0.25 }\n[budget]\ntrials = 3\n',
]
ODD = [
    "", "0", "-1", "1e400", "nan", "inf", "-inf", "true", "[]", "{}", '""', '"x"', "1.5", "99999999999999999999", '"nan"',
    "[1, [2]]", "{ low = 1 }", "{ low = 2, high = 1 }", "{ choices = [] }", '{ choices = [1, "a"] }', "1979-05-27", "'''",
    '{ low = 1, high = 8, when = "depth > 0" }', '{ choices = [1], when = "width > 0" }', '"depth > 0"', '"\\u0000"', "[0.1, 0.1]",
]  # fmt: skip
many = settings(
    deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True, print_blob=False
)
counts: dict[str, int] = {}


def count(door: str) -> None:
    counts[door] = counts.get(door, 0) + 1


@st.composite
def nearly(draw: st.DrawFn) -> str:
    """A valid study file with one to three lines changed: gone, doubled, renamed, another value, a character."""
    lines = draw(st.sampled_from(TEXTS)).splitlines()
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        line = lines[number]
        key, sign, _ = line.partition(" = ")
        kind = draw(st.sampled_from(["value", "value", "value", "gone", "twice", "renamed", "character", "moved"]))
        if kind == "value" and sign:
            lines[number] = f"{key} = {draw(st.sampled_from(ODD))}"
        elif kind == "gone":
            lines[number] = ""
        elif kind == "twice":
            lines.insert(number, line)
        elif kind == "renamed" and sign:
            lines[number] = line.replace(key, draw(st.sampled_from([f"{key}s", "x", '""', key.upper(), "low"])), 1)
        elif kind == "character" and line:
            at = draw(st.integers(0, len(line) - 1))
            lines[number] = line[:at] + draw(st.sampled_from(string.printable)) + line[at + 1 :]
        else:
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(number))
    return "\n".join(lines)


def one_line(error: BaseException) -> None:
    assert str(error)
    assert "\n" not in str(error)
    assert "Traceback" not in str(error)


def test_study_files() -> None:
    """A changed study file is read, or refused with the place first; never anything else."""
    refused: set[str] = set()

    @settings(many, max_examples=1500)
    @given(nearly())
    def door(text: str) -> None:
        try:
            spec = specs.parse(text, "x.toml")
        except errors.StudyFileError as error:
            count("study files")
            one_line(error)
            assert str(error).startswith("x.toml: ")
            refused.add(str(error)[8:].split(" ")[0])
        else:
            assert specs.parse(spec.text, "again") == spec
            assert tomllib.loads(text)["study"]["name"] == spec.name

    door()
    assert counts["study files"] > 700
    sections = {each.split(".")[0].rstrip(":") for each in refused}
    assert {"study", "training", "space", "sampler", "pruning", "budget", "enqueue[0]"} <= sections, sections


def test_storage_addresses() -> None:
    """A changed address is taken or refused in one line, which shows no password."""
    good = ["sqlite:///runs/a.db", "postgresql://me:secret@host:5432/db", "postgres://me:secret@host/db"]

    @settings(many, max_examples=500)
    @given(st.sampled_from(good), st.integers(0, 40), st.text(string.printable, max_size=3), st.integers(0, 4))
    def door(url: str, at: int, new: str, gone: int) -> None:
        changed = url[:at] + new + url[at + gone :]
        try:
            addresses.check_url(changed)
        except errors.InputError as error:
            count("storage addresses")
            one_line(error)
            if "secret@" in changed and "://me:" in changed:
                assert "secret" not in str(error)

    door()
    assert counts["storage addresses"] > 100


ARGUMENTS = [
    ["status", "quick"], ["status", "--json"], ["list"], ["extend", "quick", "--trials", "3"], ["extend", "quick", "--to", "9"],
    ["enqueue", "quick", "depth=0"], ["enqueue", "quick", "--trial", "0", "--repeats", "2"], ["pause", "quick"], ["resume", "quick"],
    ["stop", "quick", "--now"], ["create", "lab"], ["run", "lab", "--workers", "1"], ["work", "quick", "--grace", "3"],
    ["backup", "quick", "b.db"], ["restore", "b.db"], ["bench", "--rounds", "2"],
]  # fmt: skip
BAD = ["", "-1", "0", "nan", "1e9", "x=y", "depth=9", "depth=0=0", "--nosuch", "--trials", "-5", "no such", "../x.toml", "ü", "--json="]  # fmt: skip


def test_command_lines(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed command ends with 2 and one line, and the study is as it was."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/s.db"
    monkeypatch.setenv("SEARCH_STORAGE", url)
    database = databases.Database(url)
    study = studies.create(database, specs.parse(quick_text(), "quick.toml"))

    def content() -> Any:
        summary = summaries.whole(database, study)
        return (
            summary.order,
            [(trial.state, trial.params, trial.system_attrs) for trial in summary.trials],
            studies.names(database),
        )

    before = content()

    @settings(many, max_examples=700)
    @given(st.sampled_from(ARGUMENTS), st.integers(0, 5), st.sampled_from(BAD), st.sampled_from(BAD))
    def door(arguments: list[str], at: int, one: str, two: str) -> None:
        # an option of no command is part of each, so that none is right by chance
        changed = [*arguments[:at], one, *arguments[at + 1 :], two, "--nonsense"]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(changed)
        count("command lines")
        assert code == 2, (changed, out.getvalue(), err.getvalue())
        assert "Traceback" not in err.getvalue()
        assert err.getvalue().count("\n") == 1, (changed, err.getvalue())

    door()
    assert content() == before
    values = [["extend", "quick", "--trials"], ["extend", "quick", "--to"], ["extend", "quick", "--hours"]]
    values += [["extend", "quick", f"--{key}"] for key in ("patience", "deadline", "regret")]
    values += [
        ["enqueue", "quick"],
        ["enqueue", "quick", "--trial"],
        ["status"],
        ["create"],
        ["restore"],
        ["enqueue", "quick", "depth=0"],
    ]
    for arguments in values:
        for bad in [
            "",
            "-1",
            "0",
            "nan",
            "x",
            "x=y",
            "depth=99",
            "depth=0.5",
            "width=8=9",
            "1e400",
            "a/b.toml",
            "--repeats=0",
        ]:
            err = io.StringIO()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
                code = cli.main([*arguments, bad])
            count("command lines")
            assert code == 2, (arguments, bad, err.getvalue())
            assert err.getvalue().count("\n") == 1, (arguments, bad, err.getvalue())
    assert content() == before
    database.close()


def test_checkpoint_rows(tmp_path: pathlib.Path) -> None:
    """A changed row is set aside, wherever it was changed; the trial is there still."""
    database = databases.Database(f"sqlite:///{tmp_path}/s.db")
    study = studies.create(database, specs.parse(quick_text(), "quick.toml"))
    claim = take(database, study)
    database.write(lambda connection: checkpoints.save(connection, claim.trial_id, SAVED))
    row = dict(database.read(lambda connection: connection.execute(schema.checkpoints.select()).mappings().one()))

    @settings(many, max_examples=300)
    @given(st.sampled_from(["weights", "history", "checksum", "epoch"]), st.integers(0, 10**6), st.integers(1, 255))
    def door(column: str, at: int, by: int) -> None:
        value = row[column]
        if column == "epoch":
            changed: Any = value + by
        elif column == "weights":
            at %= len(value)
            changed = value[:at] + bytes([value[at] ^ by]) + value[at + 1 :] if by % 3 else value[:at]
        else:
            at %= len(value)
            changed = value[:at] + chr(ord(value[at]) ^ by) + value[at + 1 :] if by % 3 else value[:at]
        put = schema.checkpoints.update().values({**row, column: changed})
        database.write(lambda connection: connection.execute(put))
        count("checkpoint rows")
        assert database.read(lambda connection: checkpoints.find(connection, claim.trial_id)) is None

    door()
    database.write(lambda connection: connection.execute(schema.checkpoints.update().values(row)))
    assert database.read(lambda connection: checkpoints.find(connection, claim.trial_id)) is not None
    assert len(summaries.whole(database, study).trials) == 1
    database.close()


def test_backup_files(tmp_path: pathlib.Path) -> None:
    """A changed backup is restored whole or refused in one line, and then nothing of it is in the storage."""
    database = databases.Database(f"sqlite:///{tmp_path}/s.db")
    study = studies.create(database, specs.parse(quick_text(), "quick.toml"))
    for _ in range(3):
        take(database, study)
    file = tmp_path / "b.db"
    backups.write(database, study, file)
    database.close()
    content = file.read_bytes()
    empty = tmp_path / "empty.db"
    databases.Database(f"sqlite:///{empty}").close()

    @settings(many, max_examples=60)
    @given(st.integers(0, len(content) - 1), st.binary(min_size=1, max_size=300), st.booleans())
    def door(at: int, new: bytes, cut: bool) -> None:
        file.write_bytes(content[:at] if cut else content[:at] + new + content[at + len(new) :])
        shutil.copy(empty, tmp_path / "t.db")
        target = databases.Database(f"sqlite:///{tmp_path}/t.db")
        try:
            backups.read(target, file)
        except errors.SearchError as error:
            count("backup files")
            one_line(error)
            query = sqlalchemy.select(sqlalchemy.func.count()).select_from(schema.studies)
            assert target.read(lambda connection: connection.execute(query).scalar_one()) == 0
        target.close()

    door()
    assert counts["backup files"] > 10


def test_dashboard_requests(tmp_path: pathlib.Path) -> None:
    """Odd requests are answered, those that would write refused, and none changes a row or ends the door."""
    database = databases.Database(f"sqlite:///{tmp_path}/s.db")
    study = studies.create(database, specs.parse(quick_text(), "quick.toml"))
    trial_id = take(database, study).trial_id
    door = servers.Door(database, password_hash=HASH)
    every = [*optuna_models.BaseModel.metadata.sorted_tables, *schema.ours.sorted_tables]

    def rows() -> list[Any]:
        return database.read(lambda connection: [connection.execute(table.select()).all() for table in every])

    before = rows()
    ids = st.sampled_from(["0", "1", "-1", "99999999999999999999999", "x", "%00", "..", "", "1e3", str(trial_id)])
    paths = st.builds(
        lambda form, a, b: form.format(a, b),
        st.sampled_from([
            "/", "/{0}", "/dashboard/{0}", "/api/studies/{0}", "/api/studies/{0}?after={1}", "/api/trials/{0}/tell", "/csv/{0}",
            "/api/studies/{0}/note", "/api/studies/{0}/{1}/note", "/artifacts/{0}/{1}", "/artifacts/{0}/{0}/{1}", "/static/{0}",
            "/api/studies/{0}/param_importances?{1}", "/api/studies/{0}/plot/{1}", "/api/studies/{0}/rename", "/metrics/{0}",
            "/api/artifacts/{0}/{1}", "/healthz/{0}", "/static/../../{0}", "/artifacts/{0}/{1}/00000000-0000-0000-0000-000000000001",
        ]),
        ids, ids,
    )  # fmt: skip
    methods = st.sampled_from(
        ["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "", "get", "\x00"]
    )
    hosts = st.sampled_from(
        ["localhost", "127.0.0.1:8080", "evil.example", "", "[::1", "localhost:99999999", "\xff", "a" * 5000]
    )
    tokens = st.sampled_from(["", "Basic", "Basic Og==", "Basic " + "A" * 4000, "Bearer x", "Basic \xff", "\x00"])
    bodies = st.sampled_from(
        [b"", b"{}", b"[]", b"null", b"{", b"\xff\x00", b'{"state": "Complete", "values": [NaN]}', b"[" * 5000]
    )

    @settings(many, max_examples=500)
    @given(paths, methods, hosts, tokens, bodies)
    def ask_it(path: str, method: str, host: str, token: str, body: bytes) -> None:
        status, answer = ask_bytes(door, path, method, body, HTTP_HOST=host, HTTP_AUTHORIZATION=token)
        count("dashboard requests")
        assert b"Traceback" not in answer
        known = host in ("localhost", "127.0.0.1:8080", "localhost:99999999")
        if method not in ("GET", "HEAD"):
            assert status in (400, 401, 405, 429)
        if not known and not path.startswith(("/metrics", "/healthz")):
            assert status == 400
        if status >= 500:  # the dashboard's own, for a number or file that it does not find
            assert known
            assert path.startswith(("/api/studies/", "/csv/", "/artifacts/", "/static/")), path

    ask_it()
    assert rows() == before
    assert ask_bytes(door, "/healthz")[0] == 200
    database.close()


def test_so_many_bad_inputs_were_tried() -> None:
    """At least 2,000 in all, where the whole file is run."""
    if len(counts) == 6:
        assert sum(counts.values()) >= 2000, counts
