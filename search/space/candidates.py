"""The next configuration that no trial has: along the grid, or nearest to a proposal that is taken."""

import collections
import itertools
from collections.abc import Callable, Collection, Container, Iterable, Iterator

from search.space import scalars, spaces

NEIGHBOUR_LIMIT = 100_000
PORTION = 16  # candidates that are asked about at once, at first
PORTION_LIMIT = 500

Candidate = tuple[str, spaces.Params]  # its key, and itself
Taken = Callable[[Collection[str]], Container[str]]  # those of some keys that trials have


class Walk:
    """One walk along the grid, in the study file's order, that does not begin anew at each step."""

    def __init__(self, tree: spaces.Space) -> None:
        self._points = ((tree.key(params), params) for params in tree.configurations())
        self._ahead: list[Candidate] = []

    def next(self, taken: Taken) -> spaces.Params | None:
        """The next point that no trial has, where the walk stays; None at the end of the grid.

        One that was given back behind it is not found: `next_in_grid` finds it.
        """
        size = PORTION
        while True:
            self._ahead += itertools.islice(self._points, max(size - len(self._ahead), 0))
            if not self._ahead:
                return None
            found = taken([key for key, _ in self._ahead])
            self._ahead = [candidate for candidate in self._ahead if candidate[0] not in found]
            if self._ahead:
                return self._ahead[0][1]
            size = min(2 * size, PORTION_LIMIT)


def next_in_grid(tree: spaces.Space, fixed: spaces.Params, taken: Container[str]) -> spaces.Params | None:
    """The first configuration of the grid, in the study file's order, that no trial has; None where all are taken."""
    for params in tree.configurations():
        if tree.key(params) not in taken and _agrees(params, fixed):
            return params
    return None


def neighbourhood(tree: spaces.Space, params: spaces.Params, fixed: spaces.Params) -> Iterator[Candidate]:
    """The configurations around `params`, the nearest first, breadth first, up to a limit.

    Values in `fixed` stay as they are.
    """
    queue = collections.deque([params])
    seen = {tree.key(params)}
    while queue and len(seen) < NEIGHBOUR_LIMIT:
        for near in tree.neighbours(queue.popleft()):
            key = tree.key(near)
            if key in seen or not _agrees(near, fixed):
                continue
            yield key, near
            seen.add(key)
            queue.append(near)


def first_free(candidates: Iterable[Candidate], taken: Taken, portion: int = PORTION) -> spaces.Params | None:
    """The first candidate that no trial has; None where there is none.

    Args:
        portion: how many are made and asked about at once, at first.
    """
    left = iter(candidates)
    while some := list(itertools.islice(left, portion)):
        found = taken([key for key, _ in some])
        for key, params in some:
            if key not in found:
                return params
        portion = min(2 * portion, PORTION_LIMIT)
    return None


def _agrees(params: spaces.Params, fixed: spaces.Params) -> bool:
    return all(scalars.same(params[name], value) for name, value in fixed.items() if name in params)
