"""Worker processes on this machine: started, restarted when killed, asked to stop."""

import dataclasses
import logging
import os
import pathlib
import signal
import subprocess
import sys
import time

from search import errors

log = logging.getLogger("search")

RESTART_SECONDS = 1.0
QUICK_SECONDS = 10.0
QUICK_LIMIT = 5
LOG_LINES = 15
FIRST_BYTES = 20_000


@dataclasses.dataclass
class _Process:
    process: subprocess.Popen[bytes]
    started: float
    quick_deaths: int = 0
    restart_at: float | None = None


class Processes:
    """Processes of `search work`, each in a session of its own, so that Ctrl-C reaches the parent alone.

    A worker that a signal killed is started again; one that ended by itself, with or without an error, is not.

    Args:
        arguments: what follows `search work`.
        environment: added to this process's own; the storage's address goes here, since `ps` shows arguments.
        log_file: where their log goes; None leaves it on this process's stderr.
    """

    def __init__(self, arguments: list[str], environment: dict[str, str], log_file: pathlib.Path | None) -> None:
        self._command = [sys.executable, "-m", "search", "work", *arguments, "--parent", str(os.getpid())]
        self._environment = {**os.environ, **environment}
        self._log_file = log_file
        self._log_start = log_file.stat().st_size if log_file and log_file.exists() else 0
        self._slots: list[_Process] = []
        self._restarts = True

    def start(self, count: int) -> None:
        """Starts so many."""
        for _ in range(count):
            self._slots.append(_Process(self._start(), time.monotonic()))

    @property
    def alive(self) -> int:
        """How many run, or are about to be started again."""
        return sum(
            slot.process.poll() is None
            or slot.restart_at is not None
            or (slot.process.returncode < 0 and self._restarts)
            for slot in self._slots
        )

    @property
    def exit_code(self) -> int:
        """The worst exit code of the workers that ended by themselves."""
        return max((slot.process.returncode or 0 for slot in self._slots), default=0)

    def look(self) -> None:
        """Starts killed workers again, after a moment.

        Raises:
            errors.SearchError: one is killed again and again within seconds.
        """
        now = time.monotonic()
        for slot in self._slots:
            code = slot.process.poll()
            if code is None or code >= 0:
                continue
            if slot.restart_at is None:
                quick = now - slot.started < QUICK_SECONDS
                slot.quick_deaths = slot.quick_deaths + 1 if quick else 0
                if slot.quick_deaths >= QUICK_LIMIT:
                    raise errors.SearchError(
                        f"a worker was killed {QUICK_LIMIT} times within {QUICK_SECONDS:.0f} s of its start "
                        f"({signal.Signals(-code).name}); is there enough memory? fewer --workers may help"
                    )
                slot.restart_at = now + RESTART_SECONDS
                log.warning("event=worker-killed pid=%d signal=%s", slot.process.pid, signal.Signals(-code).name)
            elif now >= slot.restart_at:
                slot.process, slot.started, slot.restart_at = self._start(), now, None

    def stop(self) -> None:
        """Asks all to hand their trials over and to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Ends all at once; their trials are adopted by the next workers."""
        self._send(signal.SIGKILL)

    def wait(self, seconds: float) -> None:
        """Waits until all have ended, at most for so long."""
        deadline = time.monotonic() + seconds
        for slot in self._slots:
            slot.restart_at = None
            try:
                slot.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return

    @property
    def are_compiling(self) -> bool:
        """Whether a worker compiles the CPU engine, as it does on the first use and after a change of it."""
        if self._log_file is None or not self._log_file.exists():
            return False
        with self._log_file.open("rb") as stream:
            stream.seek(self._log_start)
            first = stream.read(FIRST_BYTES)
        return first.count(b"event=compiling") > first.count(b"event=compiled")

    def last_words(self) -> str:
        """The end of the workers' log file."""
        if self._log_file is None or not self._log_file.exists():
            return ""
        return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-LOG_LINES:])

    def _send(self, number: signal.Signals) -> None:
        self._restarts = False
        for slot in self._slots:
            slot.restart_at = None
            if slot.process.poll() is None:
                slot.process.send_signal(number)

    def _start(self) -> subprocess.Popen[bytes]:
        if self._log_file is None:
            return subprocess.Popen(self._command, env=self._environment, start_new_session=True)
        with self._log_file.open("ab") as stream:
            return subprocess.Popen(
                self._command, env=self._environment, start_new_session=True, stdout=stream, stderr=stream
            )
