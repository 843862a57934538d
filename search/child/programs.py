"""Trains trials by running a program: reads its values, ends it where its trial ends, keeps its checkpoint folder."""

import contextlib
import math
import os
import pathlib
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from . import messages, nudges, snapshots, values

LOOK_SECONDS = 0.1  # between two looks at a file of values
PARTING_SECONDS = 5.0  # for a program that was asked to end
LINE_BYTES = 1 << 20  # of a line; a longer one is read in pieces
CHUNK_BYTES = 1 << 16
REST_SECONDS = 0.3  # of a file of its checkpoint, before it counts as whole
SCRATCH = ".search"
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)


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
        self._kept, self._kept_at, self._state = 0, time.monotonic(), snapshots.state(self._checkpoint)
        self._process: subprocess.Popen[bytes] | None = None

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
        try:
            process = self._process = self._start(arguments)
        except OSError as error:
            return self._failed(f"{arguments[0]} could not be started: {error.strerror or error}")
        for line in self._lines(process):
            if (ended := self._take(line)) is not None:
                return ended
        if (code := process.wait()) != 0:
            return self._failed(f"the program ended {_how(code)}", code)
        if self._value is None:
            return self._failed("the program ended without a value: see metric in the study file")
        return {"is": "complete", "value": self._value, "attrs": {}}

    def _start(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        """In our process group, which ends as a whole."""
        is_read = self._order["metric"]["from"] == "stdout"
        return subprocess.Popen(
            arguments,
            cwd=self._cwd,
            env={**os.environ, **self._order["environment"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if is_read else None,
            stderr=subprocess.STDOUT if is_read else None,  # in the order in which it was printed
        )

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
        if self._step in self._order["rungs"] or time.monotonic() - self._kept_at >= self._order["save_seconds"]:
            self._keep()
        if (reason := self._ask({"is": "prune?"})["reason"]) is not None:
            return {"is": "pruned", "value": self._value, "reason": reason, "attrs": {}}
        return None

    def _lines(self, process: subprocess.Popen[bytes]) -> Iterator[str]:
        """What may hold values, until the program has ended."""
        if process.stdout is not None:
            yield from self._printed(process, process.stdout.fileno())
        else:
            yield from self._written(process, pathlib.Path(self._cwd, self._order["metric"]["path"]))

    def _printed(self, process: subprocess.Popen[bytes], output: int) -> Iterator[str]:
        """The lines of its output, which goes on to ours; of what it leaves running only what is there at its end."""
        readable = select.poll()
        readable.register(output, select.POLLIN)
        readable.register(self._channel.incoming, select.POLLIN)
        kept, has_ended = b"", False
        while True:
            if self._channel.is_spoken_to:
                raise End
            ready = [descriptor for descriptor, _ in readable.poll(0 if has_ended else LOOK_SECONDS * 1000)]
            if output not in ready:
                if has_ended:
                    break
                has_ended = process.poll() is not None
                continue
            if not (chunk := os.read(output, CHUNK_BYTES)):
                break
            _write(1, chunk)
            *lines, kept = (kept + chunk).split(b"\n")
            if len(kept) > LINE_BYTES:
                lines, kept = [*lines, kept], b""
            for line in lines:
                yield _text(line)
        if kept:
            yield _text(kept)

    def _written(self, process: subprocess.Popen[bytes], path: pathlib.Path) -> Iterator[str]:
        """The whole lines that a file grows by."""
        read, has_ended = 0, False
        while True:
            if self._channel.is_spoken_to:
                raise End
            with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
                if stream.seek(0, os.SEEK_END) < read:  # begun anew
                    read = 0
                stream.seek(read)
                for line in stream:
                    if not line.endswith(b"\n") and not has_ended:
                        break
                    read += len(line)
                    yield line.decode(errors="replace")
            if has_ended:
                return
            try:
                process.wait(LOOK_SECONDS)
                has_ended = True
            except subprocess.TimeoutExpired:
                pass

    def _restore(self) -> None:
        self._checkpoint.mkdir(parents=True, exist_ok=True)
        if (saved := self._order["saved"]) is not None:
            snapshots.unpack(pathlib.Path(saved["path"]), self._checkpoint)
        self._state = snapshots.state(self._checkpoint)

    def _keep(self) -> None:
        """Hands the checkpoint folder over as it is, where it has changed."""
        self._kept_at = time.monotonic()
        if (state := snapshots.state(self._checkpoint)) == self._state:
            return
        target = self._folder / SCRATCH / f"checkpoint-{self._kept}"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            snapshots.pack(self._checkpoint, target, REST_SECONDS)
        except snapshots.Unsettled:
            return  # after another report
        self._kept, self._state = self._kept + 1, state
        self._channel.send({"is": "checkpoint", "path": str(target), "kind": snapshots.FOLDER, "step": self._step})
        self._channel.receive()

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
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._drain(process)
        if process.returncode is not None and process.returncode >= 0:
            self._keep()

    def _drain(self, process: subprocess.Popen[bytes]) -> None:
        """Waits for its end; a full pipe must not keep it.

        Raises:
            subprocess.TimeoutExpired: it does not end.
        """
        deadline = time.monotonic() + PARTING_SECONDS
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(process.args, PARTING_SECONDS)
            if process.stdout is None:
                time.sleep(LOOK_SECONDS / 10)
            elif select.select([process.stdout], [], [], LOOK_SECONDS)[0]:
                _write(1, os.read(process.stdout.fileno(), CHUNK_BYTES))

    def _stop(self) -> None:
        """Whatever it left running ends with our process group."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def serve(channel: messages.Channel, folder: str) -> None:
    """Trains trials.

    Raises:
        EOFError, BrokenPipeError: the worker is gone.
    """
    nudges.leave()
    channel.send({"is": "loaded"})
    while order := channel.receive() or {}:
        if order["do"] == "train":
            channel.send(Trial(channel, order, folder).run())


def _how(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"by {signal.Signals(-code).name}"
    return f"by signal {-code}"


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")


def _write(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
