"""Worker processes on this machine: started, restarted when killed, asked to stop."""

import contextlib
import dataclasses
import logging
import os
import pathlib
import signal
import subprocess
import threading
import time

from search import errors
from search.worker import farewells, gates, starts

log = logging.getLogger("search")

RESTART_SECONDS = 1.0
LOOK_SECONDS = 0.05  # between two looks whether a worker has ended
QUICK_SECONDS = 10.0
QUICK_LIMIT = 5
UNSAID_CODES = (errors.InputError.exit_code, errors.Interrupted.exit_code)  # also of an end before the work begins
# done, or what another start does not mend
FINAL_CODES = (0, *(kind.exit_code for kind in (errors.InputError, errors.TookItselfOut, errors.Interrupted)))
LOG_LINES = 15
FIRST_BYTES = 20_000


@dataclasses.dataclass
class _Process:
    process: subprocess.Popen[bytes]
    ear: farewells.Ear
    started: float
    quick_deaths: int = 0
    restart_at: float | None = None
    _said: bool | None = None

    def end(self, seconds: float = 0.0) -> int | None:
        """Its exit code, None while it runs; what a killed one leaves of its session is killed then."""
        if self._said is None:
            try:
                code = self.process.wait(max(0.0, seconds))
            except subprocess.TimeoutExpired:
                return None
            self._said = self.ear.has_heard()
            if code < 0 or not self._said:
                self.kill_session()
        return self.process.returncode

    @property
    def is_killed(self) -> bool:
        """Whether it has ended, by a signal or by code that ended the process under it."""
        code = self.end()
        return code is not None and (code < 0 or (not self._said and code not in UNSAID_CODES))

    def kill_session(self) -> None:
        """Kills it with all that it started."""
        with contextlib.suppress(OSError):  # nothing is left of it
            os.killpg(self.process.pid, signal.SIGKILL)


class Processes:
    """Processes of `search work`, each in a session of its own, so that Ctrl-C reaches the parent alone.

    A worker that was killed is started again, and one whose process ended under it, as by `os._exit` in an objective;
    one that ended by itself, with or without an error, is not. What is left of a killed one's session, children of an
    objective say, is killed too.

    Args:
        arguments: what follows `search work`.
        environment: added to this process's own; the storage's address goes here, since `ps` shows arguments.
        log_file: where their log goes; None leaves it on this process's stderr.
        after_errors: start also those again that ended by an error, but for one that another start cannot mend.
        quick_seconds: a worker that ends so soon after its start `QUICK_LIMIT` times in a row is given up.
        ready: started before; they come first.
    """

    def __init__(
        self,
        arguments: list[str],
        environment: dict[str, str],
        log_file: pathlib.Path | None,
        *,
        after_errors: bool = False,
        quick_seconds: float = QUICK_SECONDS,
        ready: gates.Ready | None = None,
    ) -> None:
        self._arguments, self._environment, self._ready = arguments, environment, ready
        self._log_file = log_file
        self._log_start = log_file.stat().st_size if log_file and log_file.exists() else 0
        self._slots: list[_Process] = []
        self._restarts, self._after_errors, self._quick_seconds = True, after_errors, quick_seconds

    def start(self, count: int) -> None:
        """Starts so many."""
        for _ in range(count):
            self._slots.append(_Process(*self._start(), time.monotonic()))

    @property
    def alive(self) -> int:
        """How many run, or are about to be started again."""
        return sum(slot.end() is None or slot.restart_at is not None or self._returns(slot) for slot in self._slots)

    @property
    def exit_code(self) -> int:
        """The worst exit code of the workers that ended by themselves."""
        return max((slot.process.returncode or 0 for slot in self._slots), default=0)

    def rest(self, seconds: float, stop: threading.Event) -> None:
        """Until one more worker has ended, `stop` is set, or the time is over."""
        until, ended = time.monotonic() + seconds, self._ended
        while not stop.wait(min(LOOK_SECONDS, max(0.0, until - time.monotonic()))):
            if time.monotonic() >= until or self._ended > ended:
                return

    @property
    def _ended(self) -> int:
        return sum(slot.end() is not None for slot in self._slots)

    def look(self) -> None:
        """Starts workers again, after a moment.

        Raises:
            errors.WorkFailed: one ends again and again within seconds.
        """
        now = time.monotonic()
        for number, slot in enumerate(self._slots):
            code = slot.end()
            if code is None or not self._returns(slot):
                continue
            if slot.restart_at is None:
                self._count(slot, now, code)
            elif now >= slot.restart_at:
                process, ear = self._start()
                self._slots[number] = _Process(process, ear, now, slot.quick_deaths)

    def reap_others(self) -> None:
        """Hears of the end of those that became this process's own, as a container's first process's, with no parent.

        Only where nobody else here starts processes: these would not hear of theirs.
        """
        ours = {slot.process.pid for slot in self._slots}
        with contextlib.suppress(ChildProcessError, AttributeError):  # none, or no system with first processes
            look = os.WEXITED | os.WNOHANG | os.WNOWAIT  # a worker's end is its slot's to hear of
            while (found := os.waitid(os.P_ALL, 0, look)) is not None and found.si_pid not in ours:
                os.waitpid(found.si_pid, os.WNOHANG)

    def _returns(self, slot: _Process) -> bool:
        code = slot.end()
        return self._restarts and (slot.is_killed or (self._after_errors and code not in FINAL_CODES))

    def _count(self, slot: _Process, now: float, code: int) -> None:
        """Another end of a worker: it is to be started again, or given up."""
        quick = now - slot.started < self._quick_seconds
        slot.quick_deaths = slot.quick_deaths + 1 if quick else 0
        name = signal.Signals(-code).name if code < 0 else ""
        if slot.quick_deaths >= QUICK_LIMIT:
            how, advice = f"ended with exit code {code}", "its log says why"
            if name:
                how, advice = f"was killed ({name})", "is there enough memory? fewer --workers or --slots may help"
            elif slot.is_killed:
                how, advice = f"was ended by the code it ran (exit code {code})", "does an objective call os._exit?"
            often = f"{QUICK_LIMIT} times in a row within {self._quick_seconds:.0f} s of its start"
            raise errors.WorkFailed(f"a worker {how} {often}; {advice}", 128 - code if code < 0 else code or 1)
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
            if slot.end(deadline - time.monotonic()) is None:
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
            if slot.end() is not None:
                continue
            if number == signal.SIGKILL:
                slot.kill_session()
            else:
                slot.process.send_signal(number)

    def _start(self) -> tuple[subprocess.Popen[bytes], farewells.Ear]:
        taken = self._ready.take(self._arguments, self._environment, self._log_file) if self._ready else None
        return taken or starts.start(self._arguments, self._environment, self._log_file)
