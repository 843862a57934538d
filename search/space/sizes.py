"""How many configurations a space has, counted without making them."""

import collections
from collections.abc import Sequence
from typing import Any

from search.space.conditions import Condition
from search.space.parameters import Parameter

WAYS_LIMIT = 100_000  # in which the parents that later conditions ask about may stand; beyond it nothing is counted


def count(parameters: Sequence[Parameter]) -> int | None:
    """Of parameters with parents before branches; None where one is continuous, or there are too many ways.

    Values that no condition tells apart are one way: the parents' ways are followed from parameter to parameter, for
    as long as a later condition asks about them.
    """
    if any(p.values is None for p in parameters):
        return None
    last = {parent: place for place, p in enumerate(parameters) if p.when for parent in p.when.parents}
    comparisons = _comparisons(parameters)
    ways: dict[tuple[tuple[str, int], ...], tuple[dict[str, Any], int]] = {(): ({}, 1)}
    for place, parameter in enumerate(parameters):
        groups: list[tuple[Any, int]] = [(None, len(parameter.values or ()))]
        if parameter.name in last:
            groups = list(parameter.classes(comparisons[parameter.name]))
        found: dict[tuple[tuple[str, int], ...], tuple[dict[str, Any], int]] = {}
        for way, (params, so_many) in ways.items():
            if not parameter.exists(params):
                steps = [((*way, (parameter.name, -1)), params, 1)]
            else:
                steps = [
                    ((*way, (parameter.name, number)), {**params, parameter.name: first}, many)
                    for number, (first, many) in enumerate(groups)
                ]
            for longer, known, many in steps:
                key = tuple(each for each in longer if last.get(each[0], -1) > place)
                kept = {name: known[name] for name, number in key if number >= 0}
                found[key] = kept, found.get(key, (kept, 0))[1] + so_many * many
        if len(ways := found) > WAYS_LIMIT:
            return None
    return sum(so_many for _, so_many in ways.values())


def _comparisons(parameters: Sequence[Parameter]) -> dict[str, list[Condition]]:
    """By parent, all that conditions compare with it."""
    found = collections.defaultdict(list)
    for parameter in parameters:
        for comparison in parameter.when.comparisons if parameter.when else ():
            found[comparison.parent].append(comparison)
    return found
