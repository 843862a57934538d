"""Publishes to TensorBoard: a folder a study, in it one a trial, each with a file of events that only grows.

A trial's file is the same bytes whoever writes it. So what lies there is either what is to be written, or its
beginning, also after a kill or on a full disk: the rest is appended. Anything else is replaced by a file of a later
name.
"""

import datetime
import io
import json
import pathlib
import re
import struct
from collections.abc import Iterator
from typing import Any

from search import escapes, files
from search.exports import entries, targets
from search.exports.targets import Outcome

KIND = "tensorboard"
STUDY = "study.json"  # says whose a folder is
FILE = "events.out.tfevents.{:010d}.search"
OWN = re.compile(r"events\.out\.tfevents\.[0-9]{10}\.search")  # another's may have such a name, too
PART = ".part"  # TensorBoard reads whatever has `tfevents` in its name
HEAD = struct.Struct("<QI")  # of a record: its length, and a checksum


class TensorBoard:
    """See `targets.Target`.

    Args:
        folder: that `tensorboard --logdir` is given.
    """

    def __init__(self, folder: str) -> None:
        self._folder = pathlib.Path(folder)
        self._events: Any = _load("compat.proto.event_pb2")
        self._messages: Any = targets.load("google.protobuf.message", KIND)
        self._records: Any = _load("summary.writer.record_writer")
        self._scalars: Any = _load("plugins.scalar.summary_v2")
        self._texts: Any = _load("plugins.text.summary_v2")
        self._hparams: Any = _load("plugins.hparams.summary_v2")
        self._kinds: Any = _load("plugins.hparams.metadata")
        self._data: Any = _load("plugins.hparams.plugin_data_pb2")
        self._api: Any = _load("plugins.hparams.api_pb2")
        self._summaries: Any = _load("compat.proto.summary_pb2")
        self._own = self._folder  # the study's

    def begin(self, heading: entries.Heading) -> None:
        """See `targets.Target`."""
        targets.folder(self._folder, KIND)
        try:
            with targets.lock(self._folder):
                self._own = self._find(heading) or self._make(heading)
        except OSError as error:
            raise targets.unwritable(KIND, self._folder, error) from error

    def send(self, heading: entries.Heading, entry: entries.Entry) -> Outcome:
        """See `targets.Target`."""
        folder = self._own / f"trial-{entry.number}"
        try:
            with targets.lock(self._folder):
                folder.mkdir(exist_ok=True)
                return self._put(folder, entry.begun, lambda base: self._trial(heading, entry, base))
        except OSError as error:
            raise targets.unwritable(KIND, folder, error) from error

    def finish(self, heading: entries.Heading) -> None:
        """See `targets.Target`."""
        try:
            with targets.lock(self._folder):
                self._put(self._own, None, lambda base: self._study(heading, base))
        except OSError as error:
            raise targets.unwritable(KIND, self._own, error) from error

    def _find(self, heading: entries.Heading) -> pathlib.Path | None:
        """The study's folder, whatever its name was when it was made."""
        for path in sorted(self._folder.glob(f"*/{STUDY}")):
            if _token(path) == heading.token:
                return path.parent
        return None

    def _make(self, heading: entries.Heading) -> pathlib.Path:
        name = files.safe_name(heading.name)
        first = self._folder / name
        taken = first.exists() and not (first.is_dir() and not any(first.iterdir()))  # empty: a kill left it
        path = self._folder / (f"{name}-{heading.mark}" if taken else name)
        path.mkdir(exist_ok=True)
        files.write(path / STUDY, json.dumps({"name": heading.name, "token": heading.token}).encode())
        return path

    def _put(self, folder: pathlib.Path, begun: datetime.datetime | None, made: Any) -> Outcome:
        """Brings the events of a folder to what they are to be.

        Args:
            made: the events, where the first of them has this time, in seconds since 1970.
        """
        found = sorted(path for path in folder.glob("events.out.tfevents.*.search") if OWN.fullmatch(path.name))
        for path in found[:-1]:  # the earlier of two: it was to be removed
            path.unlink()
        there = found[-1].read_bytes() if found else b""
        now = begun or datetime.datetime.now(datetime.UTC)
        base = self._base(there)
        content = self._packed(made(now.timestamp() if base is None else base))
        if content == there:
            return Outcome.UNCHANGED
        if found and content.startswith(there):
            with found[-1].open("ab") as file:
                file.write(content[len(there) :])
            return Outcome.UPDATED
        version = int(found[-1].name.split(".")[-2]) + 1 if found else 0
        part = folder / PART
        try:
            part.write_bytes(content)
            part.replace(folder / FILE.format(version))
        except OSError:
            part.unlink(missing_ok=True)
            raise
        if found:
            found[-1].unlink()
        return Outcome.UPDATED if found else Outcome.NEW

    def _base(self, there: bytes) -> float | None:
        """The time of the first event; None where none is whole, or it is none of ours."""
        if len(there) < HEAD.size:
            return None
        length, _ = HEAD.unpack_from(there)
        if len(there) < HEAD.size + length:
            return None
        try:
            base = float(self._events.Event.FromString(there[HEAD.size : HEAD.size + length]).wall_time)
        except self._messages.DecodeError:
            return None
        return base if there.startswith(self._packed(iter([self._first(base)]))) else None  # with its checksum

    def _first(self, base: float) -> Any:
        return self._events.Event(wall_time=base, file_version="brain.Event:2")

    def _packed(self, events: Iterator[Any]) -> bytes:
        stream = io.BytesIO()
        writer = self._records.RecordWriter(stream)
        for event in events:
            writer.write(event.SerializeToString(deterministic=True))
        return stream.getvalue()

    def _event(self, base: float, step: int, summary: Any) -> Any:
        return self._events.Event(wall_time=base + step / 1000, step=step, summary=summary)

    def _trial(self, heading: entries.Heading, entry: entries.Entry, base: float) -> Iterator[Any]:
        """What grows comes first, what is known at the end last."""
        yield self._first(base)
        params = {name: _hparam(value) for name, value in entry.params.items()}
        yield self._event(base, 0, self._same(self._hparams.hparams_pb(params, f"trial {entry.number}", base)))
        for name, step, value in entry.points:
            yield self._event(base, step, self._scalars.scalar_pb(f"curve/{name}", value))
        if entry.ended is None:
            return
        for name, value in entry.once(heading.metric).items():
            yield self._event(base, entry.last_step, self._scalars.scalar_pb(name, value))
        yield self._event(base, entry.last_step, self._texts.text_pb("trial", entries.clean(_table(entry))))
        yield self._event(base, entry.last_step, self._ending(entry))

    def _same(self, summary: Any) -> Any:
        """The same, whose bytes are in one order each time: the library's are not."""
        plugin = summary.value[0].metadata.plugin_data
        plugin.content = self._data.HParamsPluginData.FromString(plugin.content).SerializeToString(deterministic=True)
        return summary

    def _ending(self, entry: entries.Entry) -> Any:
        """What the tab HParams knows of the end; the library's own function for it needs TensorFlow."""
        statuses = {"complete": self._api.STATUS_SUCCESS, "failed": self._api.STATUS_FAILURE}
        assert entry.ended is not None
        info = self._data.SessionEndInfo(
            status=statuses.get(entry.state, self._api.STATUS_UNKNOWN), end_time_secs=entry.ended.timestamp()
        )
        summary = self._summaries.Summary()
        data = self._data.HParamsPluginData(session_end_info=info)
        known = self._kinds
        summary.value.add(
            tag=known.SESSION_END_INFO_TAG,
            metadata=known.create_summary_metadata(data),
            tensor=known.NULL_TENSOR,
        )
        return summary

    def _study(self, heading: entries.Heading, base: float) -> Iterator[Any]:
        yield self._first(base)
        yield self._event(base, 0, self._texts.text_pb("study", entries.clean(_about(heading))))


def _load(module: str) -> Any:
    return targets.load(f"tensorboard.{module}", KIND)


def _hparam(value: Any) -> bool | int | float | str:
    if isinstance(value, str):
        return entries.clean(value)
    return value if isinstance(value, bool | int | float) else entries.shown(value)


def _table(entry: entries.Entry) -> str:
    rows = {"state": entry.state, **entry.facts}
    rows |= {name: entries.shown(value) for name, value in entry.attributes.items()}
    return escapes.table(["", ""], list(rows.items()))


def _about(heading: entries.Heading) -> str:
    best = {} if heading.best is None else {"best trial": str(heading.best)}
    if heading.best is not None:
        best |= {"best value": entries.shown(heading.best_value), "best params": entries.typed(heading.best_params)}
    return (
        f"{escapes.table(['', ''], [*heading.facts.items(), *best.items()])}\n\n{escapes.fence(heading.text, 'toml')}"
    )


def _token(path: pathlib.Path) -> str | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found.get("token") if isinstance(found, dict) else None
