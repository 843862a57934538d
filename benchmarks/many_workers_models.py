"""The queueing model behind docs/scaling.md, fitted to what `many_workers.py` has measured.

    a claim has the study's lock, s         S(d) = s + k d              d: a round trip; k: how many, under the lock
    the lock, in use                        rho = N / T * S(d)          N workers, trials of T seconds
    the wait for it, s                      rho * S / (2 * (1 - rho))   one server that always takes as long (M/D/1)
    the server, cores                       u = N / T * (c + N q) + N r + N / K * (b + min(N, L) q / B)

`c` is the server's time of a trial's claim, configuration and result, `r` what a trial costs while it trains (its
reports), `b` what a process of K slots does (its beats and orders), `q` what a running trial costs in a look at all of
them, which is measured by itself: each claim looks, and of the beats, one in B seconds of each process, L of N (all, in
a version that draws no lots). S and c are fitted to a worker alone, S to the fastest claim at each round trip: others
wait for a core of this machine. What it says of a busy lock at one more round trip, and of numbers of workers that r
and b are not fitted to, is checked.
"""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from search.ledger import presence

AHEAD = tuple(itertools.product((1_000, 10_000), (10.0, 100.0, 1_000.0), (0.5, 2.0, 20.0)))


@dataclasses.dataclass(frozen=True)
class Line:
    """`at + by * x`, by least squares."""

    at: float
    by: float

    @classmethod
    def through(cls, points: list[tuple[float, float]]) -> "Line":
        """Fitted to points; through one alone it is level."""
        x, y = (statistics.fmean(values) for values in zip(*points, strict=True))
        spread = sum((a - x) ** 2 for a, _ in points)
        by = sum((a - x) * (b - y) for a, b in points) / spread if spread else 0.0
        return cls(y - by * x, by)

    def __call__(self, x: float) -> float:
        """Its value."""
        return self.at + self.by * x


@dataclasses.dataclass(frozen=True)
class Model:
    """What is known of one checkout, reached in one way.

    Attributes:
        turn: seconds that a claim has the lock, by the network's round trip in seconds.
        trial: `c`, seconds of a core.
        resting: `r` and `b`, cores: of a trial, by the part of a process that it has.
        look: `q`, seconds of a core.
        lookers: `L`.
        connections: of a worker with one slot.
    """

    turn: Line
    trial: float
    resting: Line
    look: float
    lookers: float
    connections: float

    def lock(self, workers: float, seconds: float, round_trip: float) -> float:
        """Which part of the time the lock is in use."""
        return workers / seconds * self.turn(round_trip)

    def wait(self, workers: float, seconds: float, round_trip: float) -> float | None:
        """How long a claim waits for the lock, seconds; None where the line grows without end."""
        rho = self.lock(workers, seconds, round_trip)
        return None if rho >= 1 else rho * self.turn(round_trip) / (2 * (1 - rho))

    def cores(self, workers: float, seconds: float, slots: int = 1) -> float:
        """What the server takes."""
        looks = looking(workers, slots, workers / seconds, self.look, self.lookers)
        return workers / seconds * self.trial + workers * (self.resting(1 / slots) + looks)


def looking(workers: float, slots: int, claims: float, look: float, lookers: float) -> float:
    """Cores of the server for each running trial, by looks at all of them: of so many claims a second, and of beats."""
    return look * (claims + min(workers, lookers) / slots / presence.Watch().beat_seconds)


def fit(
    alone: Mapping[float, Any], training: Mapping[tuple[int, int], Any], look: float, lookers: float = math.inf
) -> Model:
    """The model.

    Args:
        alone: by round trip in ms, what was seen of one worker.
        training: what was seen of those that train, by how many there are and how many share a process.
        look: `q`, lookers: `L`.
    """
    turn = Line.through([(ms / 1000, min(seen.holds)) for ms, seen in alone.items()])
    trial = statistics.median(seen.server / seen.claims for seen in alone.values())
    rest = [
        (1 / slots, (seen.server - seen.claims * trial) / workers - looking(workers, slots, seen.claims, look, lookers))
        for (workers, slots), seen in training.items()
    ]
    most = max(workers for workers, slots in training if slots == 1)
    return Model(turn, trial, Line.through(rest), look, lookers, training[most, 1].connections / most)


def report(seen: Mapping[Any, Any], check: float, look: float, lookers: Mapping[str, float]) -> Iterator[str]:
    """What comes of it, for each checkout and way.

    Args:
        seen: by load.
        check: ms; the round trip to which nothing is fitted.
        look: see `fit`.
        lookers: the same, by checkout.
    """
    for tree, pooled in dict.fromkeys((load.tree, load.pooled) for load in seen):
        mine = {load: each for load, each in seen.items() if (load.tree, load.pooled) == (tree, pooled)}
        claiming = {(load.round_trip, load.workers > 1): each for load, each in mine.items() if not load.trial_seconds}
        alone = {ms: each for (ms, is_busy), each in claiming.items() if not is_busy and ms != check}
        busy = {ms: each for (ms, is_busy), each in claiming.items() if is_busy}
        training = {(load.workers, load.slots): each for load, each in mine.items() if load.trial_seconds}
        lone = [workers for workers, slots in training if slots == 1]
        if len(lone) < 2 or len(alone) < 2:
            continue
        seconds = next(load.trial_seconds for load in mine if load.trial_seconds)
        shared = sorted(training.keys() - {(workers, 1) for workers in lone})[:1]
        ends = {way: training[way] for way in {(min(lone), 1), (max(lone), 1), *shared}}
        model = fit(alone, ends, look, lookers[tree])
        yield f"\n{tree}{', through PgBouncer' if pooled else ''}"
        yield (
            f"S(d) = {1000 * model.turn.at:.1f} ms + {model.turn.by:.1f} d; c = {1000 * model.trial:.2f} ms, "
            f"r = {1000 * model.resting.at:.3f} ms, b = {1000 * model.resting.by:.3f} ms a second, "
            f"q = {1e6 * look:.2f} us, L = {lookers[tree]:g}"
        )
        yield from checked(model, busy, training, ends, check, seconds)
        yield from ahead(model)


def checked(
    model: Model,
    busy: Mapping[float, Any],
    training: Mapping[tuple[int, int], Any],
    ends: Iterable[tuple[int, int]],
    check: float,
    seconds: float,
) -> Iterator[str]:
    """Predictions of what nothing was fitted to, beside what was measured there."""
    if check in busy:
        said, found = 1 / model.turn(check / 1000), busy[check].claims
        yield f"check at {check:g} ms: {said:.1f} claims a second, measured {found:.1f} ({said / found - 1:+.0%})"
    for workers, slots in sorted(training.keys() - set(ends)):
        said, found = 100 * model.cores(workers, seconds, slots), 100 * training[workers, slots].server
        yield f"check of {workers} trials, {slots} a process: server {said:.1f} % of a core, measured {found:.1f} %"


def ahead(model: Model) -> Iterator[str]:
    """What it says of more workers than this machine carries."""
    yield "workers  trial s  rtt ms  lock in use %  wait for it ms  server cores  connections"
    for workers, seconds, ms in AHEAD:
        wait = model.wait(workers, seconds, ms / 1000)
        shown = "no end" if wait is None else f"{1000 * wait:.0f}"
        lock, cores = 100 * model.lock(workers, seconds, ms / 1000), model.cores(workers, seconds)
        connections = workers * model.connections
        yield f"{workers:>7} {seconds:>8g} {ms:>7g} {lock:>14.0f} {shown:>15} {cores:>13.2f} {connections:>12.0f}"
