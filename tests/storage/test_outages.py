"""Real errors of real servers: which are waited for, and which end at once with their rule."""

import contextlib
import pathlib
import socket
import ssl
import subprocess
import threading
import time

import pytest
import sqlalchemy
from conftest import Server

from search import errors
from search.storage import databases, outages, waits


def refused(url: str) -> str:
    """What opening says, which it does at once and not after the patience."""
    started = time.monotonic()
    with pytest.raises(errors.InputError) as raised:
        databases.Database(url, patience_seconds=60)
    assert time.monotonic() - started < 5
    assert "\n" not in str(raised.value)
    return str(raised.value)


def admin(server: Server, *commands: str) -> None:
    engine = sqlalchemy.create_engine(server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for command in commands:
            connection.exec_driver_sql(command)
    engine.dispose()


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ("sslmode=bogus", 'invalid sslmode value: "bogus"'),
        ("nonsense=1", 'invalid connection option "***"'),
        ("port=abc", "non-integer port"),
        ("options=-c%20nonsense%3D1", 'unrecognized configuration parameter "***"'),
        ("options=-c%20work_mem%3Dlots", 'invalid value for parameter "***"'),
        ("options=--nonsense", "*** requires a value"),
        ("target_session_attrs=bogus", "invalid target_session_attrs value"),
        ("channel_binding=require", "channel binding required"),
        ("gssencmode=require", "GSSAPI encryption required"),
        ("service=nowhere", 'definition of service "nowhere" not found'),
    ],
)
def test_a_wrong_option_ends_at_once(postgres: Server, more: str, rule: str) -> None:
    """What libpq or the server says of an option is passed on; what may be the tail of a password is hidden in it."""
    assert rule in refused(f"{postgres.url}&{more}")


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "pg8000", "bogus"])
def test_another_driver_is_refused(postgres: Server, driver: str) -> None:
    """The address names the one driver there is; one of SQLite's as well."""
    assert "must use the driver psycopg2" in refused(postgres.url.replace("postgresql:", f"postgresql+{driver}:"))
    assert "must use the driver pysqlite" in refused(f"sqlite+{driver}:///x.db")


def test_the_one_driver_may_be_named(postgres: Server, tmp_path: pathlib.Path) -> None:
    """An address with the driver that is used anyway is as good as one without."""
    for url in (postgres.new_database(), f"sqlite:///{tmp_path}/search.db"):
        name, rest = url.split(":", 1)
        driver = {"postgresql": "psycopg2", "sqlite": "pysqlite"}[name]
        databases.Database(f"{name}+{driver}:{rest}").close()


def test_an_impossible_port_ends_at_once() -> None:
    """Ports end at 65535."""
    assert 'invalid port number: "99999"' in refused("postgresql://127.0.0.1:99999/x")


def test_who_may_not_come_in_is_told_at_once(postgres: Server) -> None:
    """A role that may not log in, one without CONNECT, and one that may make no tables."""
    url = postgres.new_database()
    name = sqlalchemy.make_url(url).database
    admin(
        postgres,
        "DROP ROLE IF EXISTS asleep",
        "DROP ROLE IF EXISTS poor",
        "CREATE ROLE asleep",
        "CREATE ROLE poor LOGIN",
    )

    def seen_by(role: str) -> str:
        return refused(sqlalchemy.make_url(url).set(username=role).render_as_string(hide_password=False))

    assert "is not permitted to log in" in seen_by("asleep")
    assert "permission denied for schema public" in seen_by("poor")
    admin(postgres, f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    assert "permission denied for database" in seen_by("poor")


def test_a_full_house_is_waited_for(postgres: Server) -> None:
    """Too many connections, or none allowed for a moment, are outages."""
    url = postgres.new_database()
    name = sqlalchemy.make_url(url).database
    admin(postgres, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    timer = threading.Timer(1.0, admin, [postgres, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"])
    timer.start()
    databases.Database(url, patience_seconds=30).close()
    timer.join()


def test_a_statement_timeout_that_is_never_met_ends_with_what_to_type(postgres: Server) -> None:
    """It is tried again a few times, since a lock may have been the cause, then the rule is told."""
    database = databases.Database(postgres.new_database(), patience_seconds=60)
    tries = []

    def work(connection: sqlalchemy.Connection) -> None:
        tries.append(connection)
        connection.exec_driver_sql("SET LOCAL statement_timeout = 50")
        connection.exec_driver_sql("SELECT pg_sleep(10)")

    started = time.monotonic()
    with pytest.raises(errors.StorageError, match="ALTER ROLE postgres SET statement_timeout"):
        database.write(work)
    assert time.monotonic() - started < 10
    assert len(tries) == waits.TIMEOUT_TRIES
    database.close()


def test_a_statement_that_was_cancelled_once_is_tried_again(postgres: Server) -> None:
    """A lock that made one statement too slow is gone at the next."""
    database = databases.Database(postgres.new_database(), patience_seconds=60)
    tries = []

    def work(connection: sqlalchemy.Connection) -> None:
        tries.append(connection)
        connection.exec_driver_sql("SET LOCAL statement_timeout = 200")
        connection.exec_driver_sql(f"SELECT pg_sleep({10 if len(tries) < 3 else 0})")

    database.write(work)
    assert len(tries) == 3
    assert database.interruptions == 0
    database.close()


def test_more_than_postgres_can_do_ends_at_once(postgres: Server) -> None:
    """A statement beyond a limit of the program is never a matter of waiting."""
    database = databases.Database(postgres.new_database(), patience_seconds=60)
    with pytest.raises(errors.StorageError, match="target lists can have at most"):
        database.read(lambda c: c.exec_driver_sql("SELECT " + ", ".join(["1"] * 1700)))
    database.close()


def test_names_in_quotes_are_no_reason(postgres: Server) -> None:
    """An outage stays one where the address has a word of an error in it."""
    engine = sqlalchemy.create_engine("postgresql://127.0.0.1:1/x?application_name=x&host=127.0.0.1")
    with pytest.raises(sqlalchemy.exc.OperationalError) as raised:
        engine.connect()
    assert outages.is_outage(raised.value)
    engine = sqlalchemy.create_engine("postgresql:///x?host=/certificate%20does%20not%20exist")
    with pytest.raises(sqlalchemy.exc.OperationalError, match="certificate does not exist") as raised:
        engine.connect()
    assert outages.is_outage(raised.value)


class Front:
    """A door of the real server's on loopback, with TLS where it has a certificate: its own build knows none."""

    def __init__(self, server: Server, keys: pathlib.Path | None) -> None:
        self._back = sqlalchemy.make_url(server.url).query["host"]
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if keys else None
        if self._tls and keys:
            self._tls.load_cert_chain(keys / "server.crt", keys / "server.key")
            self._tls.maximum_version = ssl.TLSVersion.TLSv1_2
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._open, daemon=True).start()

    def _open(self) -> None:
        with contextlib.suppress(OSError):  # until it is closed
            while True:
                threading.Thread(target=self._serve, args=(self._door.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as back:
            if self._tls:
                assert client.recv(8) == bytes.fromhex("00000008 04d2162f")  # "may I have TLS?"
                client.sendall(b"S")
                client = self._tls.wrap_socket(client, server_side=True)
            back.connect(f"{self._back}/.s.PGSQL.5432")
            threading.Thread(target=self._pump, args=(back, client), daemon=True).start()
            self._pump(client, back)

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._door.close()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with certificates that signed themselves: the server's, and somebody else's."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("server", "other"):
        words = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt"), "-subj", f"/CN={name}"]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *words]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ("sslmode=verify-full&sslrootcert=/nowhere/root.crt", 'root certificate file "/nowhere/root.crt" does not'),
        ("sslmode=verify-ca&sslrootcert={keys}/other.crt", "certificate verify failed"),
        ("sslmode=verify-full&sslrootcert={keys}/server.crt", "does not match host name"),
        ("sslmode=require&ssl_min_protocol_version=TLSv1.3", "protocol version"),
    ],
)
def test_a_certificate_that_is_not_accepted_ends_at_once(
    postgres: Server, keys: pathlib.Path, more: str, rule: str
) -> None:
    """TLS is never a matter of waiting; with the right certificate the same door opens."""
    front = Front(postgres, keys)
    name = sqlalchemy.make_url(postgres.new_database()).database
    address = f"postgresql://postgres@127.0.0.1:{front.port}/{name}"
    assert rule in refused(f"{address}?{more.format(keys=keys)}")
    databases.Database(f"{address}?sslmode=verify-ca&sslrootcert={keys}/server.crt", 30).close()
    front.close()


def test_tls_that_the_server_has_not_ends_at_once(postgres: Server) -> None:
    """`sslmode=require` and a server without TLS."""
    front = Front(postgres, None)
    said = refused(f"postgresql://postgres@127.0.0.1:{front.port}/postgres?sslmode=require")
    assert "server does not support SSL, but SSL was required" in said
    front.close()
