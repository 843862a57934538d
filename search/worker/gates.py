"""Workers that are started before their work is sure: each loads what it needs, and waits for a word of its parent.

A pipe goes along with each. What comes is the file that its log goes to, and a line's end; where the pipe ends without
that there is nothing to do.
"""

import dataclasses
import os
import pathlib
import subprocess
from collections.abc import Callable

from search.worker import farewells, starts

VARIABLE = "SEARCH_GATE"


@dataclasses.dataclass(frozen=True)
class Gate:
    """The parent's side of a pipe; `entry` is the child's descriptor."""

    descriptor: int
    entry: int
    is_training: bool

    @classmethod
    def open(cls, is_training: bool) -> "Gate":
        """A new one, shut: for a worker of a study with `[training]`, or of a function of the user's own."""
        entry, descriptor = os.pipe()
        return cls(descriptor, entry, is_training)

    @property
    def environment(self) -> dict[str, str]:
        """What tells the child."""
        return {VARIABLE: f"{self.entry} {int(self.is_training)}"}

    def started(self) -> None:
        """The child has its side; ours is closed."""
        os.close(self.entry)

    def let_in(self, log_file: pathlib.Path | None) -> None:
        """There is work.

        Args:
            log_file: where its log goes; None leaves it where it goes.

        Raises:
            BrokenPipeError: it has ended.
        """
        try:
            os.write(self.descriptor, os.fsencode(log_file.absolute() if log_file else "") + b"\n")
        finally:
            self.shut()

    def shut(self) -> None:
        """There is none, or it was let in."""
        os.close(self.descriptor)


class Ready:
    """Processes of `search work` that load what they need while it is found out whether there is work for them.

    They end with the context, but for those that were taken.

    Args:
        arguments, environment: see `processes.Processes`.
        is_training: whether the study has `[training]`.
    """

    def __init__(self, arguments: list[str], environment: dict[str, str], is_training: bool) -> None:
        self._arguments, self._environment, self._is_training = arguments, environment, is_training
        self._waiting: list[tuple[subprocess.Popen[bytes], farewells.Ear, Gate]] = []

    def __enter__(self) -> "Ready":
        return self

    def __exit__(self, *_: object) -> None:
        for process, ear, gate in self._waiting:
            gate.shut()
            process.kill()  # it has done nothing, and started nothing
            process.wait()
            ear.has_heard()

    def start(self, count: int) -> None:
        """Starts so many."""
        for _ in range(count):
            gate = Gate.open(self._is_training)
            try:
                process, ear = starts.start(
                    self._arguments, {**self._environment, **gate.environment}, None, gate.entry
                )
            except BaseException:
                gate.shut()
                raise
            finally:
                gate.started()
            self._waiting.append((process, ear, gate))

    def take(
        self, arguments: list[str], environment: dict[str, str], log_file: pathlib.Path | None
    ) -> tuple[subprocess.Popen[bytes], farewells.Ear] | None:
        """One that waits for such work, or None; it begins."""
        while self._waiting and (arguments, environment) == (self._arguments, self._environment):
            process, ear, gate = self._waiting.pop(0)
            try:
                gate.let_in(log_file)
                return process, ear
            except BrokenPipeError:  # killed meanwhile
                process.wait()
                ear.has_heard()
        return None


def come_through(load: Callable[[bool], None]) -> None:
    """Loads and waits, where this process was started so early; ends it where there is nothing to do.

    Args:
        load: is told whether it is to train networks.
    """
    given = os.environ.pop(VARIABLE, None)
    if given is None:
        return
    descriptor, is_training = map(int, given.split())
    os.set_inheritable(descriptor, False)
    load(bool(is_training))
    said = b""
    while more := os.read(descriptor, 4096):
        said += more
    os.close(descriptor)
    if not said.endswith(b"\n"):
        os._exit(0)
    if len(said) > 1:
        log = os.open(said[:-1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)
