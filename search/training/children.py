"""The process that an objective of the user's own runs in: started, spoken to, ended with all that it started."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil

from search import child, errors
from search.child import messages
from search.training import outputs

MAIN = pathlib.Path(child.__file__).with_name("__main__.py")
STDERR = 2
LOOK_SECONDS = 0.2  # between two looks whether it has ended and left the pipe to a fork
END_SECONDS, REAP_SECONDS = 0.005, 1.0
PARTING_SECONDS = 8.0  # for code that is asked to end; whoever stops a worker gives it some 15


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """For all processes that are started in the context; then it is as before."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Gone(Exception):
    """The process has ended, by what it did or by others.

    Attributes:
        code: its exit code, negative for the number of a signal.
        by_us: it had closed its pipes, or said what nobody understands, and was killed for that.
    """

    def __init__(self, code: int, by_us: bool = False) -> None:
        self.code, self.by_us = code, by_us
        how = f"with exit code {code}"
        if code < 0:
            how = f"by signal {-code}"
            with contextlib.suppress(ValueError):
                how = f"by {signal.Signals(-code).name}"
        super().__init__(f"its process was ended {how}")


class Child:
    """A process of `search/child/`, in a session and a process group of its own.

    The group ends with this process, however it ends, and with `close`.

    Attributes:
        code: checksums of the files that it has imported of the user's, by path.
        output: what the group prints.
        is_closed: it was ended.
        guard: the number of the process that ends it with this one, where it has said so.

    Raises:
        errors.InputError: this system has no such processes.
    """

    def __init__(self) -> None:
        if not hasattr(os, "fork"):
            raise errors.InputError(f"an objective of your own needs Linux or macOS, this is {sys.platform}")
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        theirs_life, self._life = os.pipe()
        printed, printing = os.pipe()
        theirs = (theirs_in, theirs_out, theirs_life)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-u", "-X", "faulthandler", str(MAIN), *map(str, theirs)],
                stdin=subprocess.DEVNULL,
                stdout=printing,
                stderr=printing,
                pass_fds=theirs,
                start_new_session=True,
            )
        except BaseException:
            for descriptor in (ours_in, ours_out, self._life, printed):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (*theirs, printing):
                os.close(descriptor)
        self._channel = messages.Channel(ours_in, ours_out)
        self.code: dict[str, str] = {}
        self.output, self.is_closed = outputs.Output(printed, STDERR), False
        self.guard: int | None = None

    def send(self, message: dict[str, Any]) -> None:
        """Says something.

        Raises:
            Gone: it has ended.
        """
        try:
            self._channel.send(message)
        except BrokenPipeError:
            raise self._gone() from None

    def receive(self, seconds: float | None) -> dict[str, Any] | None:
        """What it says next, or None where it says nothing for so long.

        Args:
            seconds: None for ever.

        Raises:
            Gone: it has ended.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, max(0.0, deadline - time.monotonic()))
            has_ended = self._has_ended  # before: what it said last is heard
            try:
                if (message := self._channel.receive(left)) is not None:
                    return message
            except (EOFError, ValueError):  # or what a process at its end left of a message
                raise self._gone() from None
            if has_ended:  # and a fork of it holds the pipe open
                raise self._gone()
            if deadline is not None and time.monotonic() >= deadline:
                return None

    def end_trial(self, keep: Callable[[dict[str, Any]], None]) -> bool:
        """Asks it to end its trial at once; returns whether it has done so, and may have another.

        Args:
            keep: is given what the code says in parting: a checkpoint, or a report.
        """
        deadline = time.monotonic() + PARTING_SECONDS
        with contextlib.suppress(Gone, ProcessLookupError):
            self.send({"do": "end"})
            os.kill(self._process.pid, signal.SIGUSR1)
            while (left := deadline - time.monotonic()) > 0:
                message = self.receive(left)
                if message is None or message["is"] in ("over", "complete", "pruned", "failed"):
                    return message is not None
                keep(message)
                self.send({"do": "go on" if message["is"] == "checkpoint" else "end"})
        return False

    def close(self) -> None:
        """Ends it, and whatever of its group is left."""
        if self.is_closed:
            return
        self.is_closed = True
        self._kill_group()
        self._process.wait()
        for descriptor in (self._channel.incoming, self._channel.outgoing, self._life):
            with contextlib.suppress(OSError):  # closed before
                os.close(descriptor)
        self.output.close()
        self._reap()

    def _reap(self) -> None:
        """The guard is nobody's child any more, or the first process's of a container, which must hear of its end."""
        deadline = time.monotonic() + REAP_SECONDS
        with contextlib.suppress(ChildProcessError):  # another process's to hear of
            while self.guard is not None and os.waitpid(self.guard, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline:
                    return
                time.sleep(END_SECONDS)

    def _kill_group(self) -> None:
        # before it is waited for: until then no other process can have its number
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _gone(self) -> Gone:
        """It ends by itself once it has closed its side; where it does not, it is ended."""
        deadline = time.monotonic() + PARTING_SECONDS
        while not (has_ended := self._has_ended) and time.monotonic() < deadline:
            time.sleep(END_SECONDS)
        self._kill_group()
        return Gone(self._process.wait(), by_us=not has_ended)

    @property
    def _has_ended(self) -> bool:
        """Without waiting for it, which would free its number."""
        try:
            return psutil.Process(self._process.pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True
