"""The next configuration that no trial has: along the grid, or nearest to a proposal that is taken."""

import collections
from collections.abc import Container

from search.space import scalars, spaces

NEIGHBOUR_LIMIT = 100_000


def next_in_grid(tree: spaces.Space, fixed: spaces.Params, taken: Container[str]) -> spaces.Params | None:
    """The first configuration of the grid, in the study file's order, that no trial has; None where all are taken."""
    for params in tree.configurations():
        if tree.key(params) not in taken and _agrees(params, fixed):
            return params
    return None


def unseen_neighbour(
    tree: spaces.Space, params: spaces.Params, fixed: spaces.Params, taken: Container[str]
) -> spaces.Params | None:
    """The nearest configuration whose key is not taken, breadth first from `params`; None where there is none.

    Values in `fixed` stay as they are.
    """
    queue = collections.deque([params])
    seen = {tree.key(params)}
    while queue and len(seen) < NEIGHBOUR_LIMIT:
        for near in tree.neighbours(queue.popleft()):
            key = tree.key(near)
            if key in seen or not _agrees(near, fixed):
                continue
            if key not in taken:
                return near
            seen.add(key)
            queue.append(near)
    return None


def _agrees(params: spaces.Params, fixed: spaces.Params) -> bool:
    return all(scalars.same(params[name], value) for name, value in fixed.items() if name in params)
