"""Whose turn it is among studies that one worker serves: each has an equal share of its time.

First comes the study that fewest workers train for, whoever they are: so a pool spreads over its studies. Among equals
it is the one that has had least of this worker's time. One that comes, or comes back, is level with those that wait: it
has no claim to the hours that others had before it.
"""

import dataclasses
import threading
from collections.abc import Iterable

EQUAL = 0.0


@dataclasses.dataclass(frozen=True)
class Contender:
    """A study that has something to do.

    Attributes:
        key: names it.
        running: how many of its trials run now.
        handicap: seconds of this worker that it must lie behind to come first, as where it is dear to begin with.
    """

    key: str
    running: int = 0
    handicap: float = EQUAL


class Shares:
    """A worker's memory of the seconds that it has given to each study; its threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._had: dict[str, float] = {}
        self._turns: dict[str, int] = {}
        self._turn = 0
        self._level = 0.0  # what the last one that was chosen had had by then
        self._waiting: frozenset[str] = frozenset()

    def order(self, contenders: Iterable[Contender]) -> list[str]:
        """The keys of all that could be chosen now, the first to choose first."""
        asked = list(contenders)
        with self._lock:
            for key in {each.key for each in asked} - self._waiting:
                self._had[key] = max(self._level, self._had.get(key, 0.0))
            self._waiting = frozenset(each.key for each in asked)

            def rank(each: Contender) -> tuple[int, float, int]:
                return each.running, self._had[each.key] + each.handicap, self._turns.get(each.key, 0)

            return [each.key for each in sorted(asked, key=rank)]

    def choose(self, key: str) -> None:
        """It is given a trial."""
        with self._lock:
            self._turn += 1
            self._turns[key] = self._turn
            self._level = self._had.setdefault(key, self._level)

    def spend(self, key: str, seconds: float) -> None:
        """A trial of it has taken so much of this worker's time."""
        with self._lock:
            self._had[key] = self._had.get(key, self._level) + seconds

    def forget(self, kept: Iterable[str]) -> None:
        """All but these are gone for good."""
        with self._lock:
            known = set(kept)
            for memory in (self._had, self._turns):
                for key in memory.keys() - known:
                    del memory[key]
