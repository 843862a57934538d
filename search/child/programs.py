"""Trains trials by running a program: reads its values, ends it where its trial ends, keeps its checkpoint folder."""

import contextlib
import math
import os
import pathlib
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from . import lines, messages, nudges, snapshots, values

LOOK_SECONDS = 0.1  # between two looks at a file of values, or whether the program has ended
END_SECONDS = 0.01
PARTING_SECONDS = 5.0  # for a program that was asked to end
WORD_SECONDS = 2.0  # for the worker's, where a signal that ended the program may have been meant for both
REST_SECONDS = 0.3  # of a file of its checkpoint, before it counts as whole
AGAIN_SECONDS = 1.0  # after a checkpoint folder that could not be had
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
ASKED = tuple(code for number in (*nudges.ASKING, nudges.NUDGE) for code in (-number, 128 + number))


class End(Exception):
    """The trial must end."""


class Trial:
    """One run of the program.

    Args:
        order: the worker's, to train it (`messages`).
    """

    def __init__(self, channel: messages.Channel, order: dict[str, Any], cwd: str) -> None:
        self._channel, self._order, self._cwd = channel, order, cwd
        self._folder = pathlib.Path(order["folder"])
        self._checkpoint = pathlib.Path(order["environment"]["SEARCH_CHECKPOINT_DIR"])
        saved = order["saved"] or {"step": 0, "value": None}
        self._step, self._value = saved["step"], saved["value"]
        self._kept, self._due = 0, time.monotonic() + order["save_seconds"]
        self._state: snapshots.State = []
        self._process: subprocess.Popen[bytes] | None = None
        self._source: lines.Source
        self._is_parting = False

    def run(self) -> dict[str, Any]:
        """The message that it ends with."""
        try:
            self._restore()
            return self._train()
        except End:
            self._part()
            return {"is": "over"}
        finally:
            self._stop()

    def _train(self) -> dict[str, Any]:
        arguments = self._order["arguments"]
        nudges.asked.clear()
        try:
            process = self._process = self._start(arguments)
        except OSError as error:
            return self._failed(f"{arguments[0]} could not be started: {error.strerror or error}")
        for line in self._lines(process):
            if (ended := self._take(line)) is not None:
                return ended
        code = process.wait()
        # a program may answer with 0 what was sent to all processes
        if (code in ASKED or nudges.asked.is_set()) and self._is_asked():
            raise End
        if code != 0:
            return self._failed(f"the program ended {_how(code)}", code)
        if self._value is None:
            return self._failed("the program ended without a value: see metric in the study file")
        return {"is": "complete", "value": self._value, "attrs": {}}

    def _start(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        """In our process group, which ends as a whole."""
        is_read = self._order["metric"]["from"] == "stdout"
        if not is_read:
            path = pathlib.Path(self._cwd, self._order["metric"]["path"])
            self._source = lines.File(path, self._folder, self._channel.incoming)
        process = subprocess.Popen(
            arguments,
            cwd=self._cwd,
            env={**os.environ, **self._order["environment"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if is_read else None,
            stderr=subprocess.STDOUT if is_read else None,  # in the order in which it was printed
        )
        if process.stdout is not None:
            self._source = lines.Output(process.stdout.fileno(), self._channel.incoming)
        return process

    def _is_asked(self) -> bool:
        """Whether the worker says that the trial must end: a signal to all processes may reach the program first."""
        return self._channel.is_spoken_to or bool(select.select([self._channel.incoming], [], [], WORD_SECONDS)[0])

    def _failed(self, reason: str, code: int = 0) -> dict[str, Any]:
        """The worker has what it printed."""
        return {"is": "failed", "reason": reason, "trace": "", "memory": code in KILLED, "attrs": {}}

    def _take(self, line: str) -> dict[str, Any] | None:
        """A line of output or of the file of values; the message that the trial ends with, where it does."""
        found = values.find(self._order["metric"], line, self._step)
        if found is None:
            return None
        self._step, self._value = found
        if math.isnan(self._value):
            return {"is": "pruned", "value": None, "reason": f"the value of step {self._step} is nan", "attrs": {}}
        self._ask({"is": "report", "step": self._step, "value": self._value, "attrs": {}})
        if self._step in self._order["rungs"] or time.monotonic() >= self._due:
            self._keep()
        if (reason := self._ask({"is": "prune?"})["reason"]) is not None:
            return {"is": "pruned", "value": self._value, "reason": reason, "attrs": {}}
        return None

    def _lines(self, process: subprocess.Popen[bytes]) -> Iterator[str]:
        """What may hold values, until the program has ended; of what it leaves running only what is there then."""
        has_ended = False
        while not has_ended:
            yield from self._taken()
            self._source.read(LOOK_SECONDS)
            has_ended = process.poll() is not None
        self._source.read_all()
        self._source.finish()
        yield from self._taken()

    def _taken(self) -> Iterator[str]:
        while True:
            if self._channel.is_spoken_to:
                raise End
            if not self._source.lines:
                return
            yield self._source.lines.popleft()

    def _restore(self) -> None:
        self._checkpoint.mkdir(parents=True, exist_ok=True)
        if (saved := self._order["saved"]) is not None:
            snapshots.unpack(pathlib.Path(saved["path"]), self._checkpoint)
        self._state = snapshots.state(self._checkpoint)

    def _keep(self) -> None:
        """Hands the checkpoint folder over as it is, where it has changed."""
        self._due = time.monotonic() + min(AGAIN_SECONDS, self._order["save_seconds"])
        if snapshots.state(self._checkpoint) == self._state:
            return
        target = self._folder / snapshots.SCRATCH / f"checkpoint-{self._kept}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._state = snapshots.pack(self._checkpoint, target, REST_SECONDS, self._is_all_told)
        except snapshots.Unsettled:
            return  # after another report
        except OSError as error:
            lines.write(1, f"the checkpoint of step {self._step} could not be kept: {error}\n".encode())
            return
        self._kept, self._due = self._kept + 1, time.monotonic() + self._order["save_seconds"]
        self._channel.send({"is": "checkpoint", "path": str(target), "kind": snapshots.FOLDER, "step": self._step})
        self._channel.receive()

    def _is_all_told(self) -> bool:
        """Whether each value that it has said is reported: it does not wait for that, and may be steps ahead."""
        self._source.read_all()
        told = [line for line in self._source.lines if values.find(self._order["metric"], line, self._step) is not None]
        self._source.lines.clear()
        self._source.lines += told
        return not told

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self._channel.send(message)
        answer = self._channel.receive() or {}
        if answer["do"] == "end":
            raise End
        return answer

    def _part(self) -> None:
        """A program that ends by itself when it is asked to has kept what it needs."""
        process = self._process
        if process is None:
            return
        self._end(process, self._tell)
        self._source.read_all()
        self._source.finish()
        self._tell()
        if process.returncode is not None and process.returncode >= 0 and not self._has_diverged:
            self._keep()

    @property
    def _has_diverged(self) -> bool:
        return self._value is not None and math.isnan(self._value)

    def _tell(self) -> None:
        """Reports what was said since the trial had to end, whatever is answered."""
        while self._source.lines and not self._has_diverged:
            found = values.find(self._order["metric"], self._source.lines.popleft(), self._step)
            if found is not None:
                self._step, self._value = found
                if not self._has_diverged:
                    self._channel.send({"is": "report", "step": self._step, "value": self._value, "attrs": {}})
                    self._channel.receive()
        self._source.lines.clear()

    def _end(self, process: subprocess.Popen[bytes], take: Callable[[], None]) -> None:
        """Asks it to end, and waits for that; a full pipe must not keep it.

        Args:
            take: takes the lines that it says meanwhile.
        """
        if process.poll() is None:
            process.terminate()
        self._is_parting, deadline = True, time.monotonic() + PARTING_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if not self._source.read(0):
                time.sleep(END_SECONDS)
            take()

    def _stop(self) -> None:
        """Whatever it left running ends with our process group."""
        if self._process is None:
            return
        if not self._is_parting:
            self._end(self._process, self._source.lines.clear)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def serve(channel: messages.Channel, folder: str, guard: int) -> None:
    """Trains trials.

    Raises:
        EOFError, BrokenPipeError: the worker is gone.
    """
    nudges.leave()
    channel.send({"is": "loaded", "guard": guard})
    while order := channel.receive() or {}:
        if order["do"] == "train":
            channel.send(Trial(channel, order, folder).run())


def _how(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"by {signal.Signals(-code).name}"
    return f"by signal {-code}"
