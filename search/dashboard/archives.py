"""Studies as optuna-dashboard's page asks for them, kept compressed: what is finished is read and written once.

A trial of ours takes 300 bytes here, where Optuna's cached storage takes 36 KB.
"""

import bisect
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy
from optuna.study import StudyDirection
from optuna.study._multi_objective import _is_pareto_front
from optuna.trial import TrialState

from search.dashboard import packs, serials
from search.storage import rows
from search.storage.databases import Database

IN_A_PACK = 500  # trials
AT_ONCE = 500  # trials that are read in one transaction


class Archive:
    """One study's trials; take `lock` around whatever is asked of it.

    Attributes:
        complete: how many trials are complete.
    """

    def __init__(self, database: Database, study_id: int) -> None:
        self.lock = threading.Lock()
        self._database, self._study_id = database, study_id
        self._last, self._unfinished = -1, set[int]()
        self._packs: list[packs.Trials] = []  # of IN_A_PACK trials each, but the last
        self._ids: list[int] = []  # by number
        self._special: dict[int, dict[str, Any]] = {}
        self._values: dict[int, tuple[float, ...]] = {}  # of complete trials, by place
        self.writer = serials.Writer(study_id)

    @property
    def size(self) -> int:
        """Bytes in memory, roughly."""
        return sum(len(each.pack.packed) for each in self._packs) + 100 * len(self._ids)

    @property
    def complete(self) -> int:
        """How many trials are complete."""
        return len(self._values)

    def refresh(self, special: Mapping[int, dict[str, Any]], until: float = float("inf")) -> int:
        """Reads what is new, what was unfinished and what the study says otherwise of; returns how many are unread.

        Args:
            special: `serials.of_trials`.
            until: when to stop, by `time.monotonic`; some are read in any case.
        """
        changed = {key for key in {*special, *self._special} if special.get(key) != self._special.get(key)}
        wanted = rows.ids(self._database, self._study_id, self._last, {*self._unfinished, *(changed & {*self._ids})})
        self._special = dict(special)
        for begin in range(0, len(wanted), AT_ONCE):
            if begin and time.monotonic() > until:
                return len(wanted) - begin
            self._take(rows.read(self._database, wanted[begin : begin + AT_ONCE]))
        return 0

    def _take(self, batch: rows.Batch) -> None:
        written: dict[int, bytes] = {}
        for head in batch.heads:
            trial_id = head.trial_id
            text = self.writer.write(batch, head, self._special.get(trial_id, {}))
            (self._unfinished.discard if head.state.is_finished() else self._unfinished.add)(trial_id)
            if trial_id > self._last:
                place = len(self._ids)
                self._ids.append(trial_id)
                self._last = trial_id
            else:
                place = bisect.bisect_left(self._ids, trial_id)
            written[place] = text.encode()
            if head.state == TrialState.COMPLETE:
                values = sorted(batch.values.get(trial_id, ()))
                self._values[place] = tuple(rows.number(value, kind) for _, value, kind in values)
        for number in sorted({place // IN_A_PACK for place in written}):
            self._pack(number, written)

    def _pack(self, number: int, written: Mapping[int, bytes]) -> None:
        known = self._packs[number].texts() if number < len(self._packs) else []
        first = number * IN_A_PACK
        texts = known + [b""] * (min(len(self._ids) - first, IN_A_PACK) - len(known))
        for place in range(first, first + len(texts)):
            texts[place - first] = written.get(place, texts[place - first])
        if texts != known:
            self._packs[number : number + 1] = [packs.of_trials(texts)]

    def after(self, count: int) -> Iterator[packs.Pack]:
        """All trials but so many first ones, as JSON with commas between."""
        number, rest = divmod(count, IN_A_PACK)
        if number < len(self._packs) and rest:
            if texts := self._packs[number].texts()[rest:]:
                yield packs.pack(b",".join(texts))
                if number + 1 < len(self._packs):
                    yield packs.COMMA
            number += 1
        for place, each in enumerate(self._packs[number:], number):
            yield each.pack
            if place + 1 < len(self._packs):
                yield packs.COMMA

    def texts(self, places: Sequence[int]) -> list[str]:
        """The JSON of some trials."""
        found: dict[int, list[bytes]] = {}
        for place in places:
            if place // IN_A_PACK not in found:
                found = {place // IN_A_PACK: self._packs[place // IN_A_PACK].texts()}
        return [found[place // IN_A_PACK][place % IN_A_PACK].decode() for place in places]

    def written(self, trial_ids: Sequence[int]) -> list[str]:
        """The JSON of trials that may be unread."""
        batch = rows.read(self._database, trial_ids)
        return [self.writer.write(batch, head, self._special.get(head.trial_id, {})) for head in batch.heads]

    def best(self, directions: Sequence[StudyDirection]) -> list[int]:
        """Places of the best trials: the first of one objective, of several all that no other is better than."""
        signs = [-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in directions]
        places = sorted(place for place, values in self._values.items() if len(values) == len(signs))
        if not places:
            return []
        losses = numpy.array([self._values[place] for place in places]) * signs
        if len(signs) == 1:
            return [places[int(losses[:, 0].argmin())]]
        return [places[index] for index in numpy.flatnonzero(_is_pareto_front(losses, assume_unique_lexsorted=False))]
