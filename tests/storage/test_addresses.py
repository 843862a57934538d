"""Addresses of databases: which are taken, and that nobody gets to see their secrets."""

import contextlib
import http.client
import json
import logging
import os
import pathlib
import re
import signal
import sys

import psutil
import pytest
import sqlalchemy
from conftest import Processes, Server
from processes import until

from search import errors, lines
from search.cli import commands
from search.storage import addresses, databases, outages, waits

# each holds `hunter2`, whole or in pieces that have no other place in an address
SECRET = [
    "postgresql://me:hunter2@host/db",
    "postgresql://host/db?user=me&password=hunter2",
    "postgresql://host/db?user=me&Password=hunter2",
    "postgresql://host/db?PASSWORD=hunter2&sslmode=require",
    "postgresql://host/db?sslpassword=hunter2",
    "postgresql://host/db?passwrd=hunter2",
    "postgresql://host/db?options=-csecret.key%3Dhunter2",
    "postgresql://host/db?password=one&hunter2=three",
    "postgresql://host/db?password=one%26hunter2",
    "postgresql://me:one%40hunter2@host/db",
    "postgresql://me%3Ahunter2@host/db",
    "postgresql://me:one@hunter2@host/db",
    "postgresql://me:one/hunter2@host/db",
    "postgresql://me:one#hunter2@host/db",
    "postgresql://me:one?hunter2@host/db",
    "postgresql://me:one:hunter2@host/db",
    "postgresql://me:one@two/hunter2@host/db",
    "postgresql://me:one@two?hunter2@host/db",
    "postgresql://me:one@hunter2:three@host/db",
    "postgresql://host:5432/db?password=one@hunter2",
    "postgresql://me:one@two@host/db?password=hunter2",
    "postgresql://me:hunter2@host:port/db",
    "postgresql://me:hunter2",
    "postgresql:/me:hunter2@host/db",
    "postgres://me:hunter2@host/db",
    "postgresql+psycopg2://me:hunter2@host/db",
    "mysql://me:hunter2@host/db?password=hunter2",
    "me:hunter2@host",
    "host=here password=hunter2",
    "sqlite://:hunter2@/runs/search.db",
    "sqlite:///search.db?key=hunter2",
]


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words of these addresses stand in other tests' messages."""
    monkeypatch.setattr(addresses, "_secrets", set())


@pytest.mark.parametrize("url", SECRET)
def test_no_secret_is_shown(url: str) -> None:
    """Neither of an address that is taken nor of one that is refused, wherever in it the secret stands."""
    assert "hunter2" not in addresses.hide_password(url)
    try:
        taken = addresses.check_url(url)
    except errors.InputError as refused:
        shown = str(refused)
    else:
        shown = addresses.hide_password(taken) + addresses.scrub('could not connect to "hunter2": [hunter2] x=hunter2')
        assert shown.endswith('could not connect to "***": [***] x=***')
        assert "hunter2" in taken
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///runs/search.db", "sqlite:///runs/search.db"),
        ("sqlite:////data/a:b@c@d.db", "sqlite:////data/a:b@c@d.db"),
        ("postgresql://me:x1y2@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me%40here@[::1]/db?sslmode=require", "postgresql://me%40here@[::1]/db?sslmode=require"),
        ("postgresql:///db?host=/run/pg&user=me&password=x1y2", "postgresql:///db?host=%2Frun%2Fpg&user=me&***"),
        ("runs/search.db", "runs/search.db"),
    ],
)
def test_what_is_no_secret_is_shown(url: str, shown: str) -> None:
    """User, host, database and harmless options tell which database is meant."""
    assert addresses.hide_password(url) == shown


@pytest.mark.parametrize("url", ["postgresql://me:p@ss@host/db", "postgresql://host:5432/db?password=p@ss"])
def test_an_at_sign_that_is_not_encoded_is_refused(url: str) -> None:
    """It would make a part of the password a host, which drivers name when they cannot reach it."""
    with pytest.raises(errors.InputError, match="--storage must have @ as %40"):
        addresses.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://127.0.0.1:1/db?password=one&hunter2=three",
        "postgresql://127.0.0.1:1/db?dsn=hunter2%20host",
        "postgresql://127.0.0.1:1/db?options=x&keepalives=hunter2",
        "postgresql://127.0.0.1:1/db?passwrd=hunter2",
    ],
)
def test_a_driver_s_words_are_passed_on_without_secrets(url: str) -> None:
    """Postgres's library repeats what it does not like of an address; its sentence is kept, the secret is not."""
    with pytest.raises(sqlalchemy.exc.DBAPIError) as raw:
        sqlalchemy.create_engine(url).connect()
    with pytest.raises(errors.SearchError) as told:
        databases.Database(url, patience_seconds=0)
    assert "hunter2" not in str(told.value)
    words = outages.first_line(raw.value)
    assert "hunter2" not in words
    assert words in str(told.value)


def test_a_log_line_of_an_outage_holds_no_secret(
    postgres: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason of a wait is the driver's, scrubbed."""
    monkeypatch.setattr(waits, "BACKOFF_LIMIT_SECONDS", 0.1)
    url = "postgresql://me:refused@127.0.0.1:1/db"  # a password that is a word of the driver's
    with caplog.at_level(logging.WARNING), pytest.raises(errors.StorageError):
        databases.Database(url, patience_seconds=1.5)
    assert "event=storage-away" in caplog.text
    assert "Connection ***" in caplog.text
    assert "refused" not in caplog.text


@pytest.mark.parametrize(
    "words",
    [
        ["status", "lab", "--storage", "postgresql://127.0.0.1:1/db?password=one&hunter2=three"],
        ["status", "lab", "--storage", "postgresql://me:one@hunter2@127.0.0.1:1/db"],
        ["status", "lab", "--storage", "postgresql://me:hunter2@127.0.0.1:1/db?passwrd=one"],
        ["status", "postgresql://me:hunter2@host/db"],
        ["list", "postgresql://me:hunter2@host/db"],
        ["list", "postgresql://host/db?password=hunter2"],
        ["dashboard", "--storage", "postgresql://me:one@hunter2@127.0.0.1:1/db"],
    ],
)
def test_no_command_prints_a_secret(
    words: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Not where an address is wrong, nor where it stands in the place of a name; not in a traceback either."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEARCH_STORAGE", f"sqlite:///{tmp_path}/search.db")
    databases.Database(f"sqlite:///{tmp_path}/search.db").close()
    assert commands.main([*words, "--debug"]) == 2
    out, err = capfd.readouterr()
    assert "Traceback" in err or "Usage" in err or "--help" in err
    assert "hunter2" not in out + err


OBJECTIVE = """
import os, time

def speaks(trial):
    for epoch in range(20):
        time.sleep(0.2)
        yield 0.5
    raise RuntimeError(f"cannot reach {os.environ['SEARCH_STORAGE']}")
"""


@pytest.mark.slow
def test_no_process_shows_a_password(postgres: Server, tmp_path: pathlib.Path) -> None:
    """Not on a command line, which everybody on the machine can read; not in a log, nor in a trial's reason."""
    plain = sqlalchemy.make_url(postgres.new_database(postgres.prepared))
    processes = Processes(plain.set(password="one@hunter2").render_as_string(hide_password=False), tmp_path)  # noqa: S106
    (tmp_path / "mine.py").write_text(OBJECTIVE)
    head = 'objective = "mine:speaks"\n[study]\nname = "own"\n[space]\nx = { low = 0.0, high = 1.0 }\n'
    (tmp_path / "own.toml").write_text(f"{head}[budget]\ntrials = 2\nmax_failures = 0\n")
    try:
        running = processes.start("run", "own.toml", "--workers", "2")
        until(lambda: len(psutil.Process(running.pid).children(recursive=True)) == 2, 30)
        family = [psutil.Process(running.pid), *psutil.Process(running.pid).children(recursive=True)]
        lines = [" ".join(each.cmdline()) for each in family]
        assert all("search" in line for line in lines)
        assert not [line for line in lines if "hunter2" in line]
        output, _ = running.communicate(timeout=120)
        assert "RuntimeError: cannot reach postgresql://" in output
        assert "hunter2" not in output
        found = processes.run("status", "own", "--json")[1]
        assert json.loads(found)["trials"]["failed"] >= 1
        server = processes.start("dashboard", "--port", "0")
        line = server.stdout.readline() if server.stdout else ""
        assert re.match(r"dashboard of postgresql://\w+:\*\*\*@/", line)
        port = int(re.findall(r":(\d+) \(", line)[0])
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as asking:
            asking.request("GET", "/api/studies/1?after=hunter2")  # is no number: its log says so
            assert asking.getresponse().status == 500
        os.kill(server.pid, signal.SIGTERM)
        said = server.communicate(timeout=30)[0]
        assert "invalid literal for int() with base 10: '***'" in said
        assert "hunter2" not in found + line + said
    finally:
        processes.end()
    database = databases.Database(plain.render_as_string(hide_password=False))
    (stored,) = [s for s in database.optuna.get_all_studies() if s.study_name == "own"]
    trials = database.optuna.get_all_trials(stored._study_id)
    assert any("cannot reach" in str(trial.user_attrs) for trial in trials)
    assert not [trial for trial in trials if "hunter2" in f"{trial.user_attrs} {trial.system_attrs}"]
    database.close()


def test_the_password_of_a_file_is_never_shown(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is hidden in the address, in a driver's words, and where the file itself is refused."""
    file = tmp_path / "password"
    file.write_text("from a/file@hunter2\n")
    monkeypatch.setenv(addresses.PASSWORD_VARIABLE, str(file))
    url = addresses.from_environment("postgresql://me@127.0.0.1:1/db")
    assert addresses.hide_password(url) == "postgresql://me:***@127.0.0.1:1/db"
    assert "hunter2" not in addresses.scrub("no route to host file@hunter2")
    file.write_text("")
    with pytest.raises(errors.InputError, match="must hold a secret") as raised:
        addresses.from_environment("postgresql://me@127.0.0.1:1/db")
    assert "hunter2" not in str(raised.value)


def test_what_is_logged_is_cleaned_line_by_line() -> None:
    """An error's text in a log moves no cursor and ends no line of its own; a traceback keeps its lines."""
    try:
        raise ValueError("\x1b[2Jred\n" + "y" * 100_000)
    except ValueError as error:
        record = logging.LogRecord("search", logging.INFO, "x", 1, "said %s", (f"\x9b {error}"[:20],), sys.exc_info())
    found = addresses.Formatter("%(message)s").format(record).split("\n")
    assert found[0] == "said \\x9b \\x1b[2Jred"
    assert "Traceback (most recent call last):" in found
    assert all(len(line) <= lines.LINE_LONGEST and line.isprintable() for line in found)
    assert "yy... (100,000 characters) ...yy" in found[-1]


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        (r"C:\lab\a b?.db", "/C:/lab/a%20b%3F.db"),
        ("d:/search.db", "/d:/search.db"),
        (r"\\host\share\search.db", "////host/share/search.db"),
        (r"runs\search.db", "runs/search.db"),
    ],
)
def test_files_of_windows_have_addresses(path: str, uri: str) -> None:
    """With a drive, a share, or neither: what SQLite is given, and back, and what a user types."""
    file = pathlib.PureWindowsPath(path)
    assert addresses.uri_path(file) == uri
    back = pathlib.PureWindowsPath(addresses.from_uri(f"file:{uri}", is_windows=True))
    assert back == file or uri.startswith("////")
    typed = f"sqlite:///{file.as_posix()}" if "?" not in path else f"sqlite:///file:{uri}?uri=true"
    assert addresses.check_url(typed) == typed
    assert addresses.hide_password(typed) == typed


def test_two_slashes_before_a_path_are_no_host(tmp_path: pathlib.Path) -> None:
    """`//tmp/x.db` is `/tmp/x.db`, for SQLite too."""
    database = databases.Database(f"sqlite:////{tmp_path}/x.db")
    database.ping()
    database.close()
    assert (tmp_path / "x.db").is_file()


@pytest.mark.parametrize(
    "url", ['"postgresql://me:hunter2@host/db"', "'sqlite:///x.db'", 'postgresql://me:hunter2@h/db"']
)
def test_quotes_of_an_env_file_are_named(url: str) -> None:
    """`docker --env-file` hands them on; the address is not shown, since where it ends is unknown."""
    with pytest.raises(errors.InputError, match="--storage must have no quotes around it: .*--env-file") as raised:
        addresses.check_url(url)
    assert "hunter2" not in str(raised.value)


def test_a_wrong_password_tells_of_encoding(postgres: Server) -> None:
    """A server says only that it is wrong; an address that was not encoded is the likely reason."""
    plain = sqlalchemy.make_url(postgres.new_database())
    engine = sqlalchemy.create_engine(plain, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE ROLE guarded LOGIN PASSWORD 'hunter2%%20x'")
        rules = pathlib.Path(str(connection.exec_driver_sql("SHOW hba_file").scalar()))
        rules.write_text(f"local all guarded scram-sha-256\n{rules.read_text()}")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()
    encoded = plain.set(username="guarded", password="hunter2%20x")  # noqa: S106
    raw = encoded.render_as_string(hide_password=False).replace("%2520x", "%20x")
    until(lambda: "password" in str(told(raw)), 10)
    assert "a password is %-encoded: % as %25, @ as %40" in str(told(raw))
    assert "hunter2" not in str(told(raw))
    assert "password" not in str(told(encoded.render_as_string(hide_password=False)))
    with pytest.raises(errors.InputError, match="a password %-encoded .@ as %40"):
        addresses.check_url("nonsense")


def told(url: str) -> errors.SearchError | None:
    """What opening an address ends with."""
    try:
        databases.open_to_read(url).close()
    except errors.SearchError as error:
        return error
    return None


def test_a_home_folder_is_where_a_shell_has_it(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path with ~ at its start; one of a user who is not there is refused, and ./~ is a name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert addresses.check_url("sqlite:///~/x.db") == f"sqlite:///{tmp_path}/x.db"
    assert addresses.sqlite_file(addresses.check_url("sqlite:///file:~/a?uri=true")) == tmp_path / "a"
    assert addresses.check_url("sqlite:///./~/x.db") == "sqlite:///./~/x.db"
    with pytest.raises(errors.InputError, match="no home folder is known for '~nobody-here/x.db'"):
        addresses.check_url("sqlite:///~nobody-here/x.db")
