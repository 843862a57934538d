"""When a parameter exists, told from recordings: the simplest condition on others that holds in all of them.

Where they leave room it is the wider one: a parameter that is sampled for nothing does no harm, one that is missing
fails a trial.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna import distributions

from search.space import conditions, scalars

Values = Mapping[str, Any]
LISTED = 16  # integers, that a condition may list


def condition(
    name: str,
    space: Mapping[str, distributions.BaseDistribution],
    having: Sequence[Values],
    lacking: Sequence[Values],
    known: Sequence[str] = (),
) -> str | None:
    """As a study file writes it, or None where none is found.

    Args:
        having: the values of recordings that have the parameter, in the order of suggestion.
        lacking: of those that came to their end without it.
        known: conditions of other parameters, which are tried first.
    """
    before = [list(values)[: list(values).index(name)] for values in having]
    parents = {each: space[each] for each in reversed(before[0]) if all(each in names for names in before)}
    asked = [each for each in known if set(conditions.Condition.parse(each).parents) <= parents.keys()]
    for found in (*asked, *_single(parents, having, lacking), *_joined(parents, having, lacking)):
        if _holds(found, having, lacking):
            return found
    return None


def _holds(text: str, having: Sequence[Values], lacking: Sequence[Values]) -> bool:
    read = conditions.Condition.parse(text)
    return all(map(read.holds, having)) and not any(map(read.holds, lacking))


def _joined(
    parents: Mapping[str, distributions.BaseDistribution], having: Sequence[Values], lacking: Sequence[Values]
) -> Iterator[str]:
    """Two that must both hold: one that always does where it exists, and what tells the rest apart."""
    for parent, distribution in parents.items():
        for one in _about(parent, distribution, having, ()):
            holds = conditions.Condition.parse(one).holds
            rest = {name: each for name, each in parents.items() if name != parent}
            for other in _single(rest, having, [values for values in lacking if holds(values)]):
                yield f"{one} and {other}"


def _single(
    parents: Mapping[str, distributions.BaseDistribution], having: Sequence[Values], lacking: Sequence[Values]
) -> Iterator[str]:
    for parent, distribution in parents.items():
        yield from _about(parent, distribution, having, lacking)


def _about(
    parent: str, distribution: distributions.BaseDistribution, having: Sequence[Values], lacking: Sequence[Values]
) -> Iterator[str]:
    """Comparisons of one parameter that may tell the two apart."""
    mine = scalars.distinct(values[parent] for values in having)
    others = scalars.distinct(values[parent] for values in lacking if parent in values)
    name = conditions.name_text(parent)
    every = _all(distribution)
    if not isinstance(distribution, distributions.CategoricalDistribution) and others:
        if mine[0] > others[-1]:
            yield f"{name} > {others[-1]}"
        if mine[-1] < others[0]:
            yield f"{name} < {others[0]}"
    if every is None or len(mine) == len(every):  # it would say no more than that the other one exists
        return
    if len(mine) == 1:
        yield f"{name} == {conditions.value_text(mine[0])}"
    if len(others) == 1:
        yield f"{name} != {conditions.value_text(others[0])}"
    elif others and len(mine) + len(others) < len(every):
        yield f"{name} not in [{', '.join(map(conditions.value_text, others))}]"
    yield f"{name} in [{', '.join(map(conditions.value_text, mine))}]"


def _all(distribution: distributions.BaseDistribution) -> Sequence[Any] | None:
    """The values that can be listed, or None."""
    if isinstance(distribution, distributions.CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, distributions.IntDistribution):
        whole = range(distribution.low, distribution.high + 1, distribution.step)
        return whole if len(whole) <= LISTED else None
    return None
