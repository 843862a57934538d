"""Worker processes on this machine: started, restarted when killed, asked to stop."""

import contextlib
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
# done, or what another start does not mend
FINAL_CODES = (0, *(kind.exit_code for kind in (errors.InputError, errors.TookItselfOut, errors.Interrupted)))
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

    A worker that a signal killed is started again; one that ended by itself, with or without an error, is not. What is
    left of a killed one's session, children of an objective say, is killed too.

    Args:
        arguments: what follows `search work`.
        environment: added to this process's own; the storage's address goes here, since `ps` shows arguments.
        log_file: where their log goes; None leaves it on this process's stderr.
        after_errors: start also those again that ended by an error, but for one that another start cannot mend.
        quick_seconds: a worker that ends so soon after its start `QUICK_LIMIT` times in a row is given up.
    """

    def __init__(
        self,
        arguments: list[str],
        environment: dict[str, str],
        log_file: pathlib.Path | None,
        *,
        after_errors: bool = False,
        quick_seconds: float = QUICK_SECONDS,
    ) -> None:
        self._command = [sys.executable, "-m", "search", "work", *arguments, "--parent", str(os.getpid())]
        self._environment = {**os.environ, **environment}
        self._log_file = log_file
        self._log_start = log_file.stat().st_size if log_file and log_file.exists() else 0
        self._slots: list[_Process] = []
        self._restarts, self._after_errors, self._quick_seconds = True, after_errors, quick_seconds

    def start(self, count: int) -> None:
        """Starts so many."""
        for _ in range(count):
            self._slots.append(_Process(self._start(), time.monotonic()))

    @property
    def alive(self) -> int:
        """How many run, or are about to be started again."""
        return sum(
            (code := _wait(slot.process)) is None or slot.restart_at is not None or self._returns(code)
            for slot in self._slots
        )

    @property
    def exit_code(self) -> int:
        """The worst exit code of the workers that ended by themselves."""
        return max((slot.process.returncode or 0 for slot in self._slots), default=0)

    def look(self) -> None:
        """Starts workers again, after a moment.

        Raises:
            errors.WorkFailed: one ends again and again within seconds.
        """
        now = time.monotonic()
        for slot in self._slots:
            code = _wait(slot.process)
            if code is None or not self._returns(code):
                continue
            if slot.restart_at is None:
                self._count(slot, now, code)
            elif now >= slot.restart_at:
                slot.process, slot.started, slot.restart_at = self._start(), now, None

    def _returns(self, code: int) -> bool:
        return self._restarts and (code < 0 or (self._after_errors and code not in FINAL_CODES))

    def _count(self, slot: _Process, now: float, code: int) -> None:
        """Another end of a worker: it is to be started again, or given up."""
        quick = now - slot.started < self._quick_seconds
        slot.quick_deaths = slot.quick_deaths + 1 if quick else 0
        name = signal.Signals(-code).name if code < 0 else ""
        if slot.quick_deaths >= QUICK_LIMIT:
            how = f"was killed ({name})" if name else f"ended with exit code {code}"
            advice = "is there enough memory? fewer --workers or --slots may help" if name else "its log says why"
            often = f"{QUICK_LIMIT} times in a row within {self._quick_seconds:.0f} s of its start"
            raise errors.WorkFailed(f"a worker {how} {often}; {advice}", code if code > 0 else 128 - code)
        slot.restart_at = now + RESTART_SECONDS
        if name:
            log.warning("event=worker-killed pid=%d signal=%s", slot.process.pid, name)
        else:
            log.warning("event=worker-failed pid=%d code=%d", slot.process.pid, code)

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
            if _wait(slot.process, deadline - time.monotonic()) is None:
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
            if _wait(slot.process) is not None:
                continue
            if number == signal.SIGKILL:
                _kill_session(slot.process)
            else:
                slot.process.send_signal(number)

    def _start(self) -> subprocess.Popen[bytes]:
        if self._log_file is None:
            return subprocess.Popen(self._command, env=self._environment, start_new_session=True)
        with self._log_file.open("ab") as stream:
            return subprocess.Popen(
                self._command, env=self._environment, start_new_session=True, stdout=stream, stderr=stream
            )


def _wait(process: subprocess.Popen[bytes], seconds: float = 0.0) -> int | None:
    """Its exit code, None while it runs. What a killed one leaves of its session is killed when that is first seen."""
    if process.returncode is not None:
        return process.returncode
    try:
        code = process.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        return None
    if code < 0:
        _kill_session(process)
    return code


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):  # nothing is left of it
        os.killpg(process.pid, signal.SIGKILL)
