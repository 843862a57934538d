"""The benchmark of many workers: its network delays as it says, and its model finds what lies behind the figures."""

import contextlib
import pathlib
import socket
import sys
import threading
import time
import types

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))

import delays
import many_workers_models as models


def echo(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            threading.Thread(target=repeat, args=(connection,), daemon=True).start()


def repeat(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(1 << 16):
            connection.sendall(data)


def received(connection: socket.socket, length: int) -> bytes:
    got = b""
    while len(got) < length and (more := connection.recv(1 << 16)):
        got += more
    return got


def test_a_round_trip_takes_as_long_as_was_said_and_loses_nothing() -> None:
    """Two connections at once: each answer comes 40 ms later, megabytes in their order, and an end is an end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        with delays.started(str(server.getsockname()[1]), 0.04) as ports, contextlib.ExitStack() as life:
            two = [life.enter_context(socket.create_connection(("127.0.0.1", ports[0]))) for _ in range(2)]
            began = time.perf_counter()
            for connection in two:
                connection.sendall(b"ping")
            assert [received(connection, 4) for connection in two] == [b"ping", b"ping"]
            assert 0.04 <= time.perf_counter() - began < 1
            much = bytes(range(256)) * 8_000
            threading.Thread(target=two[0].sendall, args=(much,), daemon=True).start()
            assert received(two[0], len(much)) == much
            two[1].shutdown(socket.SHUT_WR)
            assert two[1].recv(1) == b""


def test_the_model_finds_what_the_figures_were_made_of() -> None:
    """2 round trips and 3 ms under the lock; 4 ms a trial, 0.3 ms a second, 0.1 a process, 1 us a trial looked at."""
    alone = {
        ms: types.SimpleNamespace(holds=[0.003 + 2 * ms / 1000] * 20, claims=50.0, server=0.2)
        for ms in (0.5, 2.0, 20.0)
    }
    training = {
        (n, k): types.SimpleNamespace(
            claims=n / 100,
            server=n / 100 * (0.004 + n * 1e-6) + n * (0.0003 + 0.0001 / k + min(n, 100) / k * 1e-7),
            connections=n,
        )
        for n, k in ((50, 1), (200, 1), (200, 8))
    }
    model = models.fit(alone, training, 1e-6, 100)
    assert (model.turn.at, model.turn.by, model.trial) == pytest.approx((0.003, 2.0, 0.004))
    assert (model.resting.at, model.resting.by, model.connections) == pytest.approx((0.0003, 0.0001, 1.0))
    assert model.cores(100, 100.0) == pytest.approx(0.004 + 0.0001 + 0.04 + 0.001)
    assert model.cores(1_000, 100.0) == pytest.approx(0.04 + 0.01 + 0.4 + 0.01)
    assert model.cores(1_000, 100.0, 10) == pytest.approx(0.04 + 0.01 + 0.31 + 0.001)
    assert models.fit(alone, training, 1e-6).cores(1_000, 100.0) > 0.04 + 0.01 + 0.4 + 0.08
    assert model.wait(1_000, 100.0, 0.02) == pytest.approx(0.43 * 0.043 / (2 * 0.57))
    assert model.wait(10_000, 100.0, 0.02) is None
