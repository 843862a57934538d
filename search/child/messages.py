"""What a worker and the process of an objective say to each other: a JSON object a line, over two pipes.

| the worker | |
|---|---|
| `{"do": "load", "objective": "module:function", "folder": ..., "space": ..., "study": ...}` | once, at first |
| `{"do": "load", "program": true, "folder": ...}` | the same, for programs |
| `{"do": "train", "number": 7, "seed": 0, "params": {...}, "attrs": {...}, "folder": ..., "saved": ...}` | a trial |
| `{"do": "record", "folder": ...}` | the same, where each value is asked for |
| `{"do": "choose", "value": 0.5}` | answers `suggest`; of choices the place of one |
| `{"do": "go on"}` | answers `report` and `checkpoint` |
| `{"do": "prune", "reason": ... or null}` | answers `prune?` |
| `{"do": "kept", "id": ...}`, `{"do": "refused", "reason": ...}` | answers `artifact` |
| `{"do": "end"}` | the trial must end; also as an answer, and with SIGUSR1 where the objective does not ask |

`folder` is the trial's own; `saved` is `{"path": ..., "kind": ..., "step": 3, "value": 0.5}` of the checkpoint that it
goes on from, or null. To train by a program it is told more: `arguments`, `environment`, `metric` (as a study file has
it), `save_seconds` and `rungs`, after which its checkpoint folder is looked at.

| the process | |
|---|---|
| `{"is": "loaded", "guard": 123, "code": {path: checksum}}`, `{"is": "unusable", "reason": ...}` | answers `load` |
| `{"is": "report", "step": 1, "value": 0.5, "attrs": {...}}` | |
| `{"is": "checkpoint", "path": ..., "kind": ..., "step": 1 or null}` | a file that is the worker's from now on |
| `{"is": "suggest", "name": ..., "distribution": ...}` | of a trial that is recorded: which value? |
| `{"is": "prune?"}` | would the study's pruner end the trial after its last report? |
| `{"is": "artifact", "path": ..., "name": ...}` | a file that is to be kept, by its whole path |
| `{"is": "complete", "value": 0.5, "attrs": {...}}` | the end of a trial |
| `{"is": "pruned", "value": 0.5 or null, "reason": ..., "attrs": {...}}` | the same |
| `{"is": "failed", "reason": ..., "trace": ..., "memory": false, "attrs": {...}}` | the same; memory: it ran out |
| `{"is": "over"}` | the same, after `end` |

A trial that must end may say more before it is over: a checkpoint is kept, and all else is answered by `end`.

`space` is `{name: distribution}`, `study` is `{"name": ..., "direction": "maximize", "metric": ...}`. A function
that no module has comes with `"function"`, the path of its pickle. Numbers that are not finite are `NaN`, `Infinity`
and `-Infinity`, as Python's json writes them.
"""

import json
import os
import select
from typing import Any

CHUNK_BYTES, LONGEST_BYTES = 1 << 16, 1 << 28


class Lost(EOFError, BrokenPipeError):
    """The other side is gone; an objective may raise either of the two for reasons of its own."""


class Channel:
    """One side of it.

    Args:
        incoming, outgoing: descriptors of pipes.
    """

    def __init__(self, incoming: int, outgoing: int) -> None:
        self.incoming, self.outgoing = incoming, outgoing
        self._owner = os.getpid()
        self._heard = bytearray()
        self._readable = select.poll()
        self._readable.register(incoming, select.POLLIN)

    def send(self, message: dict[str, Any]) -> None:
        """Says something.

        Raises:
            Lost: nobody is there to hear it.
        """
        if os.getpid() != self._owner:  # a fork of the objective's came to its end as if it were the first
            os._exit(1)
        rest = memoryview(json.dumps(message).encode() + b"\n")
        while rest:
            try:
                rest = rest[os.write(self.outgoing, rest) :]
            except BrokenPipeError:
                raise Lost from None

    def receive(self, seconds: float | None = None) -> dict[str, Any] | None:
        """What the other side says next, or None where it says nothing for so long.

        Raises:
            Lost: it is gone.
        """
        searched = 0
        while (end := self._heard.find(b"\n", searched)) < 0:
            searched = len(self._heard)
            if not self._readable.poll(None if seconds is None else seconds * 1000):
                return None
            chunk = os.read(self.incoming, CHUNK_BYTES)
            if not chunk:
                raise Lost
            self._heard += chunk
            if len(self._heard) > LONGEST_BYTES:
                raise ValueError(f"a message of more than {LONGEST_BYTES >> 20} MB")
        line = bytes(self._heard[:end])
        del self._heard[: end + 1]
        message: dict[str, Any] = json.loads(line)
        return message

    @property
    def is_spoken_to(self) -> bool:
        """Whether something was said that was not received yet."""
        return bool(self._heard) or bool(self._readable.poll(0))
