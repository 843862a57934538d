"""Simulated time: workers take turns, each when what it does has taken its seconds."""

import heapq
from collections.abc import Generator, Sequence

# a worker at work: it gives the CPU seconds that it takes next, or None where it waits for the others
Life = Generator[float | None, None, None]


class Clock:
    """The time of one simulation.

    Attributes:
        now: seconds since its start.
        spent: CPU seconds of all workers, as far as what took them has ended.
    """

    def __init__(self) -> None:
        self.now = self.spent = 0.0

    def __call__(self) -> float:
        """Seconds since its start, as `time.perf_counter` gives them."""
        return self.now

    def run(self, lives: Sequence[Life]) -> None:
        """Has all workers live to their ends; one that waits looks again whenever another has done something."""
        turns = [(0.0, place, 0.0) for place in range(len(lives))]
        waiting: set[int] = set()
        while turns:
            self.now, place, seconds = heapq.heappop(turns)
            self.spent += seconds
            for each in [place, *sorted(waiting)]:
                waiting.discard(each)
                try:
                    taken = next(lives[each])
                except StopIteration:
                    continue
                if taken is None:
                    waiting.add(each)
                else:
                    heapq.heappush(turns, (self.now + taken, each, taken))
