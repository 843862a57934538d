"""The values of a space that a table has: a space over their places, and the chances of random search among them."""

import bisect
import collections
import dataclasses
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from optuna import distributions

from search.space import lines, spaces
from search.space.parameters import Parameter

MOST = 64  # of a parameter; with more of them it is searched as it is, and a model fills in
STRAY = 0.25  # of the rows that a level usually has: what has fewer is none
SHOWN = 12


class Levels:
    """The recorded values of the numbers of a space that were not all recorded.

    Args:
        recorded: configurations of `space`.
        whole: search the space itself, and not the levels' places.

    Attributes:
        searched: the space that a search moves in.
        notes: a sentence for each parameter that has levels.
        between: the same for whom what lies between levels is no level.
    """

    def __init__(self, space: spaces.Space, recorded: Sequence[spaces.Params], whole: bool) -> None:
        self._space = space
        self._known = {p.name: found for p in space.parameters if (found := _levels(p, recorded)) is not None}
        parents = {name for p in space.parameters if p.when for name in p.when.parents}
        # what a condition asks about keeps its values
        self._placed = set() if whole else self._known.keys() - parents
        self.searched = spaces.Space(tuple(map(self._over_places, space.parameters)))
        self.notes = [self._note(name, found) for name, found in self._known.items()]
        self.between = [
            f"all values of {name} are searched; a model says what lies between the recorded ones: {_listed(found)}"
            for name, found in self._known.items()
        ]

    def params(self, searched: spaces.Params) -> spaces.Params:
        """The recorded levels that a configuration of the searched space stands for."""
        found = dict(searched)
        for name in found.keys() & self._known.keys():
            value: Any = found[name]
            known = self._known[name]
            found[name] = known[value] if name in self._placed else _nearest(known, value)
        return found

    def within(self, params: spaces.Params) -> spaces.Params:
        """The configuration itself, where it is not beyond the first or the last level."""
        found = dict(params)
        for name in found.keys() & self._known.keys():
            value: Any = found[name]
            found[name] = min(max(value, self._known[name][0]), self._known[name][-1])
        return found

    def _over_places(self, parameter: Parameter) -> Parameter:
        if parameter.name not in self._placed:
            return parameter
        last = len(self._known[parameter.name]) - 1
        return dataclasses.replace(parameter, distribution=distributions.IntDistribution(0, last))

    def _note(self, name: str, found: Sequence[float]) -> str:
        listed = _listed(found)
        if name in self._placed:
            return f"{name} is searched over its recorded levels, in order: {listed}"
        line = "a logarithmic line" if lines.is_long(found[0], found[-1]) else "a line"
        return f"{name} counts as its nearest recorded level on {line}: {listed}"


def _listed(found: Sequence[float]) -> str:
    listed = ", ".join(f"{each:g}" for each in found[:SHOWN])
    return f"{listed} and {len(found) - SHOWN} more" if len(found) > SHOWN else listed


def draws(space: spaces.Space) -> Iterator[tuple[spaces.Params, float]]:
    """All configurations of a finite space, each with its chance in a draw of random search."""
    shares = {p.name: _shares(p) for p in space.parameters}
    for params in space.configurations():
        yield params, math.prod(shares[name][value] for name, value in params.items())


def _shares(parameter: Parameter) -> dict[Any, float]:
    values: Iterable[Any] = parameter.values or ()
    whole = parameter.distribution
    if isinstance(whole, distributions.IntDistribution) and whole.log:
        span = math.log((whole.high + 0.5) / (whole.low - 0.5))
        return {value: math.log((value + 0.5) / (value - 0.5)) / span for value in values}
    listed = list(values)
    return dict.fromkeys(listed, 1 / len(listed))  # True and 1 are alike likely


def _levels(parameter: Parameter, recorded: Sequence[spaces.Params]) -> list[Any] | None:
    """Ascending, where they are not all values that there are; None where it has none."""
    if not parameter.is_numeric:
        return None
    counts = collections.Counter(params[parameter.name] for params in recorded if parameter.name in params)
    if not counts or (parameter.values is not None and len(counts) == len(parameter.values)):
        return None
    usual = statistics.median(counts.values())
    found: list[Any] = [value for value, count in counts.items() if count >= STRAY * usual]
    return sorted(found) if len(found) <= MOST else None


def _nearest(known: Sequence[float], value: float) -> float:
    by_ratio = lines.is_long(known[0], known[-1])
    place = bisect.bisect_left(known, value)
    around = known[max(place - 1, 0) : place + 1]
    return min(around, key=lambda each: abs(math.log(each / value)) if by_ratio else abs(each - value))
