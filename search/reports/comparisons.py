"""Some studies side by side: what each found and how sure that is, what it cost, and which of them is better.

A search's best value is the best of many noisy ones, and one search is one draw: neither says that one study searches
better than another. What `search confirm` has measured with fresh seeds is compared: by Welch's interval of the
difference of two means (Biometrika 34, 1947), widened by what each was corrected (`corrections`), and so that all pairs
hold together (Bonferroni).
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence

from scipy import stats

from search import errors, words
from search.reports import entrants, evidence, trajectories
from search.reports.entrants import Entrant
from search.reports.evidence import Interval
from search.reports.trajectories import Trajectory
from search.study import contrasts


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two confirmed studies: by how much the first is better than the second, in the direction of the study.

    Attributes:
        difference: of the confirmed means; its interval is nan where one seed tells nothing.
    """

    first: Entrant
    second: Entrant
    difference: Interval

    def sentence(self) -> str:
        """Which of the two, as far as it can be told."""
        first, second = words.typed(self.first.label), words.typed(self.second.label)
        if math.isnan(self.difference.half):
            return f"{first} and {second} have too few fresh seeds to be told apart: two or more each do"
        shown = f"{words.metric(self.difference.mean, '+')} ± {words.metric(self.difference.half)}"
        if not self.difference.is_real:
            return f"{first} and {second} cannot be told apart by their confirmed bests: {shown}"
        better, other = (first, second) if self.difference.mean > 0 else (second, first)
        return f"the confirmed best of {better} is better than that of {other}: {first} beside {second} {shown}"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Some studies of one metric and direction."""

    entries: tuple[Entrant, ...]

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return self.entries[0].contender.sign

    @property
    def metric(self) -> str:
        """What their values measure."""
        return metric_of([each.metric for each in self.entries])

    @functools.cached_property
    def has_cpu_seconds(self) -> bool:
        """Whether all have noted CPU time; else it is the time of training that is compared."""
        found = [each.contender.track for each in self.entries if each.best is not None]
        return bool(found) and all(track.has_cpu_seconds for track in found)

    @property
    def cost(self) -> str:
        """What is compared."""
        return "CPU time" if self.has_cpu_seconds else "training time"

    @functools.cached_property
    def trajectories(self) -> tuple[Trajectory, ...]:
        """The best so far of each."""
        return tuple(
            trajectories.of(each.label, each.contender.track, self.sign, self.has_cpu_seconds) for each in self.entries
        )

    @property
    def ranked(self) -> list[Entrant]:
        """Those with a best value, the best first."""
        known = [each for each in self.entries if each.best is not None]
        return sorted(known, key=lambda each: -self.sign * float(each.best or 0.0))

    @property
    def shared(self) -> float | None:
        """What each of those that have a best value has reached: the worst of them."""
        return self.ranked[-1].best if self.ranked else None

    @functools.cached_property
    def differences(self) -> list[tuple[str, list[str]]]:
        """In which keys their files differ, and what each says."""
        return contrasts.of(
            [each.contender.settings for each in self.entries], [bool(each.spec) for each in self.entries]
        )

    @functools.cached_property
    def pairs(self) -> list[Pair]:
        """All pairs of confirmed studies whose values are of the same data."""
        both = [
            (first, second)
            for first, second in itertools.combinations(self.entries, 2)
            if first.confirmation is not None and second.confirmation is not None and _are_alike(first, second)
        ]
        return [Pair(*pair, difference(*pair, self.sign, len(both))) for pair in both]


def of(entries: Sequence[Entrant]) -> Comparison:
    """A comparison of studies that can be compared.

    Raises:
        errors.InputError: they have different metrics or directions.
    """
    for key in ("direction", "metric"):
        found = {each.label: getattr(each, key) for each in entries if not (key == "metric" and each.is_unnamed)}
        if len(set(found.values())) > 1:
            said = ", ".join(f"{label} has {value}" for label, value in found.items())
            raise errors.InputError(f"studies that are compared must have one {key}: {said}")
    return Comparison(tuple(entries))


def comparable(entries: Sequence[Entrant]) -> list[Comparison]:
    """Those among them that can be compared, two or more each time."""
    groups: dict[tuple[str, str], list[Entrant]] = {}
    for each in entries:
        groups.setdefault((each.direction, each.metric), []).append(each)
    return [Comparison(tuple(found)) for found in groups.values() if len(found) > 1]


def metric_of(names: Sequence[str]) -> str:
    """The one that has a name: a study of another tool's may have none."""
    return next((name for name in names if name != entrants.UNNAMED), names[0])


def _are_alike(first: Entrant, second: Entrant) -> bool:
    """Whether values measure the same thing on the same data, as far as files say it."""
    trained = [each.spec.training for each in (first, second) if each.spec is not None]
    return len({None if each is None else each.dataset for each in trained}) == 1


def difference(first: Entrant, second: Entrant, sign: int, tests: int = 1) -> Interval:
    """By how much the confirmed best of the first is better, with Welch's interval and what both were corrected.

    Raises:
        ValueError: one of them is not confirmed.
    """
    if first.confirmation is None or second.confirmation is None:
        raise ValueError("both must be confirmed")
    found = [first.confirmation, second.confirmation]
    mean = sign * (found[0].quoted.mean - found[1].quoted.mean)
    values = [list(each.best.runs.values.values()) for each in found]
    count = min(map(len, values))
    if count < 2:
        return Interval(mean, math.nan, count)
    squares = [evidence.deviation(each) ** 2 / len(each) for each in values]
    welch = 0.0
    if (whole := sum(squares)) > 0:
        freedom = whole**2 / sum(s**2 / (len(each) - 1) for s, each in zip(squares, values, strict=True))
        welch = float(stats.t.ppf(1 - (1 - evidence.LEVEL) / 2 / tests, freedom)) * math.sqrt(whole)
    shifts = [each.quoted.mean - each.best.runs.value.mean for each in found]
    return Interval(mean, math.hypot(welch, *shifts), count)
