"""The service in containers, as the container test sees it: compose, the dashboard's answers, processes."""

import json
import pathlib
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import container_engine
import psutil


class Service:
    """A copy of the project in a folder of its own, as somebody has it who cloned it, and what its doors say."""

    def __init__(self, engine: container_engine.Engine, folder: pathlib.Path, port: int) -> None:
        self.engine, self.folder, self.port = engine, folder, port

    def compose(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        given = {"capture_output": True, "timeout": 900, "check": False, **options}
        return self.engine.compose(self.folder, *arguments, **given)

    def must(self, *arguments: str) -> str:
        done = self.compose(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def search(self, *arguments: str, **environment: str) -> tuple[int, list[str]]:
        """`search ARGUMENTS` in a container of its own: its exit code, and its lines."""
        more = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
        done = self.compose("run", "--rm", "--no-deps", "-T", *more, "worker", "search", *arguments)
        own = [line for line in done.stderr.splitlines() if line.startswith("search: ")]
        return done.returncode, own if done.returncode else done.stdout.splitlines()

    def status(self) -> Any:
        code, lines = self.search("status", "proof", "--json")
        assert code == 0, lines
        return json.loads(lines[-1])

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float | None:
        """The study's value on /metrics; None while there is none."""
        try:
            status, text = self.get("/metrics")
        except OSError:
            return None
        assert status in (200, 503), text
        found = [line for line in text.splitlines() if line.startswith(name)]
        return float(found[0].rpartition(" ")[2]) if found else None

    def done(self) -> float:
        return sum(self.metric(f'search_trials{{state="{state}"') or 0.0 for state in ("complete", "pruned"))

    def is_between_epochs(self) -> bool:
        """Whether a trial runs that has ended an epoch."""
        trials = json.loads(self.get("/api/studies/1?after=0")[1])["trials"]
        return any(trial["state"] == "Running" and trial["intermediate_values"] for trial in trials)

    def workers(self) -> list[str]:
        """Ids of the worker containers that run."""
        return self.must("ps", "--quiet", "worker").split()

    def logs(self) -> str:
        return self.must("logs", "--no-color")


def until(what: Callable[[], object], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.3)


def worker_of(engine: container_engine.Engine, container: str) -> psutil.Process:
    """The worker itself in a container: the child of its keeper, which is the child of the container's init."""
    found = engine.docker("inspect", "--format", "{{.State.Pid}}", container, capture_output=True)
    (keeper,) = psutil.Process(int(found.stdout)).children()
    (child,) = keeper.children()
    return child
