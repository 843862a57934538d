"""Optuna's dashboard, the real program, on our storage."""

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from conftest import Processes, quick_text


@pytest.mark.slow
def test_the_dashboard_shows_our_study(processes: Processes, tmp_path: pathlib.Path) -> None:
    """`optuna-dashboard URL` serves the study with its states, parameters, steps and attributes."""
    file = tmp_path / "quick.toml"
    file.write_text(quick_text(trials=6))
    assert processes.run("run", str(file), "--workers", "2")[0] == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = pathlib.Path(sys.executable).with_name("optuna-dashboard")
    server = subprocess.Popen(
        [program, processes.url, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def get(path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return json.load(answer)

    try:
        deadline = time.monotonic() + 60
        studies = None
        while studies is None:
            assert time.monotonic() < deadline
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                studies = get("/api/studies")
            time.sleep(0.1)
        (ours,) = studies["study_summaries"]
        assert ours["study_name"] == "quick"
        detail = get(f"/api/studies/{ours['study_id']}?after=0")
        trials = detail["trials"]
        assert len(trials) == 6
        assert {trial["state"] for trial in trials} <= {"Complete", "Pruned"}
        complete = [trial for trial in trials if trial["state"] == "Complete"]
        assert complete
        for trial in complete:
            assert len(trial["intermediate_values"]) == 3
            names = {param["name"] for param in trial["params"]}
            assert names >= {"learning_rate", "batch_size", "depth"}
            assert {"search:engine", "search:device", "search:seconds", "search:worker"} <= {
                attr["key"] for attr in trial["user_attrs"]
            }
    finally:
        server.terminate()
        server.wait(30)
