"""A tree of parameters: a branch exists only where its parent has that value; one key per distinct configuration."""

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping

from search.space.parameters import Parameter, Value

Params = dict[str, Value]

KEY_CHARACTERS = 500  # what the column of reservations holds


@dataclasses.dataclass(frozen=True)
class Space:
    """The parameters in an order in which every parent comes before its branches (`arrange` makes it)."""

    parameters: tuple[Parameter, ...]

    @classmethod
    def arrange(cls, parameters: Mapping[str, Parameter]) -> "Space":
        """Sorts parents before branches, otherwise in the given order.

        Raises:
            ValueError: a condition names no parameter, or the conditions form a circle; the text starts with the name.
        """
        for parameter in parameters.values():
            if parameter.when and parameter.when.parent not in parameters:
                raise ValueError(
                    f"{parameter.name}.when must name a parameter of the space "
                    f"({', '.join(parameters)}), got {parameter.when.parent!r}"
                )
            if parameter.when:
                _check_order(parameter, parameters[parameter.when.parent])
        placed: dict[str, Parameter] = {}
        waiting = dict(parameters)
        while waiting:
            ready = [p for p in waiting.values() if p.when is None or p.when.parent in placed]
            if not ready:
                circle = " -> ".join(f"{p.name} (when {p.when})" for p in waiting.values())
                raise ValueError(f"{next(iter(waiting))}.when must not form a circle, got {circle}")
            # one at a time keeps the file's order wherever the conditions allow it
            placed[ready[0].name] = waiting.pop(ready[0].name)
        return cls(tuple(placed.values()))

    def complete(self, choose: Callable[[Parameter, Params], Value]) -> Params:
        """Walks the tree from the root and asks for the value of every parameter that exists."""
        params: Params = {}
        for parameter in self.parameters:
            if parameter.exists(params):
                params[parameter.name] = choose(parameter, params)
        return params

    def trim(self, given: Mapping[str, Value]) -> tuple[Params, Params]:
        """Checks a configuration, whole or partial, and splits it into `(kept, dropped)`.

        Dropped is what does not exist beside the given parents (width at depth 0).

        Raises:
            ValueError: an unknown name, or a value outside its dimension.
        """
        names = [p.name for p in self.parameters]
        for name in given:
            if name not in names:
                raise ValueError(f"{name} must be a parameter of the space ({', '.join(names)}), got {given[name]!r}")
        kept: Params = {}
        dropped: Params = {}
        for parameter in self.parameters:
            if parameter.name not in given:
                continue
            value = given[parameter.name]
            parameter.check(value)
            # a parent that was not given is sampled later: until then its branch may exist
            known = parameter.when is None or parameter.when.parent in kept or parameter.when.parent in dropped
            if known and not parameter.exists(kept):
                dropped[parameter.name] = value
            else:
                kept[parameter.name] = value
        return kept, dropped

    def widen(self, given: Mapping[str, Value]) -> Params:
        """The same configuration with 1 as 1.0 where the dimension is one of floats, and steps in their one form."""
        by_name = {p.name: p for p in self.parameters}

        def widened(name: str, value: Value) -> Value:
            if name not in by_name:
                return value
            return by_name[name].snap(float(value) if by_name[name].takes_floats and type(value) is int else value)

        return {name: widened(name, value) for name, value in given.items()}

    def parse(self, name: str, text: str) -> Value:
        """What a word of a command line means as the value of a parameter; it may lie outside of it.

        Raises:
            ValueError: no such parameter.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter.snap(parameter.parse(text))
        raise ValueError(
            f"{name} must be a parameter of the space ({', '.join(p.name for p in self.parameters)}), got {text!r}"
        )

    def holds(self, params: Mapping[str, Value]) -> bool:
        """Whether it is a whole configuration of this space."""
        try:
            return not self.trim(params)[1] and self.is_complete(params)
        except (ValueError, TypeError):
            return False

    def is_complete(self, params: Mapping[str, Value]) -> bool:
        """Whether every parameter that exists has a value, and no other has."""
        return {p.name for p in self.parameters if p.exists(params)} == set(params)

    def key(self, params: Mapping[str, Value], repeat: int = 0) -> str:
        """The one text of a configuration and its repeat: equal for equal ones, in whatever order, from any worker."""
        key = json.dumps({name: params[name] for name in sorted(params)}, separators=(",", ":"))
        key += f"#{repeat}" if repeat else ""
        return key if len(key) <= KEY_CHARACTERS else f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"

    @property
    def size(self) -> int | None:
        """How many distinct configurations there are; None where a dimension is continuous."""
        if any(p.values is None for p in self.parameters):
            return None
        parents = {p.when.parent for p in self.parameters if p.when}

        def count(rest: tuple[Parameter, ...], params: Params) -> int:
            if not rest:
                return 1
            first, *others = rest
            if not first.exists(params):
                return count(tuple(others), params)
            values = first.values or ()
            if first.name not in parents:
                return len(values) * count(tuple(others), params)
            return sum(count(tuple(others), {**params, first.name: value}) for value in values)

        return count(self.parameters, {})

    def configurations(self) -> Iterator[Params]:
        """All of a finite space, each once: the last parameter changes fastest, one by one (a space may be huge)."""

        def walk(rest: tuple[Parameter, ...], params: Params) -> Iterator[Params]:
            if not rest:
                yield params
            elif rest[0].exists(params):
                for value in rest[0].values or ():
                    yield from walk(rest[1:], {**params, rest[0].name: value})
            else:
                yield from walk(rest[1:], params)

        return walk(self.parameters, {})

    def neighbours(self, params: Params) -> Iterator[Params]:
        """Configurations that differ in one parameter, nearest values first.

        Where a change opens a branch, its parameters take their first value; where it closes one, they go.
        """
        ladders = [_ladder(p, params[p.name]) for p in self.parameters if p.name in params]
        for rung in itertools.zip_longest(*ladders):
            for change in filter(None, rung):
                name, value = change
                yield self.complete(
                    lambda p, _, n=name, v=value: v if p.name == n else params.get(p.name, _first(p))  # type: ignore[misc]
                )


def _check_order(branch: Parameter, parent: Parameter) -> None:
    """Larger and smaller are for numbers."""
    when = branch.when
    if when is None or when.operator in ("==", "!="):
        return
    values = parent.values or (0.0,)
    if isinstance(when.value, str) or any(isinstance(value, str) for value in values):
        raise ValueError(
            f"{branch.name}.when must compare with == or != where values are no numbers, got {str(when)!r}"
        )


def _ladder(parameter: Parameter, value: Value) -> Iterator[tuple[str, Value]]:
    """The other values of a finite parameter, outwards from `value`, made one by one: a range may be huge."""
    values = parameter.values or ()
    start = values.index(value) if values else 0
    for distance in range(1, len(values)):
        for position in (start - distance, start + distance):
            if 0 <= position < len(values):
                yield parameter.name, values[position]


def _first(parameter: Parameter) -> Value:
    if parameter.values is not None:
        return parameter.values[0]
    low = parameter.distribution.low  # type: ignore[attr-defined]  # only a FloatDistribution has no values
    return low if math.isfinite(low) else 0.0
