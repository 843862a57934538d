"""A tree of parameters: a branch exists only where its parent has that value; one key per distinct configuration."""

import dataclasses
import functools
import hashlib
import itertools
import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping

from search.space import scalars, sizes
from search.space.conditions import ORDERS, Condition
from search.space.parameters import Parameter
from search.space.scalars import Value

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
        parameters = {name: _settle(parameter, parameters) for name, parameter in parameters.items()}
        placed: dict[str, Parameter] = {}
        waiting = dict(parameters)
        while waiting:
            ready = [p for p in waiting.values() if p.when is None or placed.keys() >= set(p.when.parents)]
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

        Dropped is what cannot exist beside the given parents (width at depth 0).

        Raises:
            ValueError: an unknown name, or a value outside its dimension.
        """
        names = [p.name for p in self.parameters]
        for name in given:
            if name not in names:
                raise ValueError(f"{name} must be a parameter of the space ({', '.join(names)}), got {given[name]!r}")
        kept: Params = {}
        dropped: Params = {}
        unknown: set[str] = set()  # a parent that was not given is sampled later: until then its branch may exist
        for parameter in self.parameters:
            if parameter.name in given:
                parameter.check(given[parameter.name])
            if parameter.when is None or True in parameter.when.outcomes(kept, unknown):
                if parameter.name in given:
                    kept[parameter.name] = given[parameter.name]
                else:
                    unknown.add(parameter.name)
            elif parameter.name in given:
                dropped[parameter.name] = given[parameter.name]
        return kept, dropped

    def widen(self, given: Mapping[str, Value]) -> Params:
        """The same configuration with 1 as 1.0 where the dimension is one of floats, and steps in their one form."""
        by_name = {p.name: p for p in self.parameters}

        def widened(name: str, value: Value) -> Value:
            if name not in by_name:
                return value
            return by_name[name].snap(float(value) if by_name[name].takes_floats and type(value) is int else value)

        return {(known := called(name, by_name)): widened(known, value) for name, value in given.items()}

    def split(self, setting: str) -> tuple[str, str] | None:
        """`NAME=TEXT` in its two parts; a name of a parameter may hold the sign itself. None where there is none."""
        places = [place for place, character in enumerate(setting) if character == "=" and place]
        names = [p.name for p in self.parameters]
        known = [place for place in places if called(setting[:place], names) in names]
        place = max(known) if known else min(places, default=0)
        return (called(setting[:place], names), setting[place + 1 :]) if place else None

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
        key = scalars.as_json({name: params[name] for name in sorted(params)})
        key += f"#{repeat}" if repeat else ""
        return key if len(key) <= KEY_CHARACTERS else f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"

    @functools.cached_property
    def exact(self) -> dict[str, scalars.CategoricalDistribution]:
        """The choices that only a distribution of our own tells apart, by parameter."""
        found = {p.name: p.distribution for p in self.parameters}
        return {name: each for name, each in found.items() if isinstance(each, scalars.CategoricalDistribution)}

    @functools.cached_property
    def size(self) -> int | None:
        """How many distinct configurations there are; None where one is continuous, or they are past count."""
        return sizes.count(self.parameters)

    def configurations(self) -> Iterator[Params]:
        """All of a finite space, each once: the last parameter changes fastest, one by one (a space may be huge)."""
        begun = [self._continued({})]
        while begun:
            params = next(begun[-1], None)
            if params is None:
                begun.pop()
            elif len(begun) == len(self.parameters):
                yield params
            else:
                begun.append(self._continued(params, len(begun)))

    def _continued(self, params: Params, place: int = 0) -> Iterator[Params]:
        """A configuration of the parameters before a place, with each value of the one there."""
        parameter = self.parameters[place]
        if not parameter.exists(params):
            yield params
            return
        for value in parameter.values or ():
            yield {**params, parameter.name: value}

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


def called(name: str, known: Iterable[str]) -> str:
    """The one of some names that a user means: accents are typed in two ways, as one character or as two."""
    known = list(known)
    plain = unicodedata.normalize("NFC", name)
    return name if name in known else next((n for n in known if unicodedata.normalize("NFC", n) == plain), name)


def _settle(branch: Parameter, parameters: Mapping[str, Parameter]) -> Parameter:
    """A parameter whose condition asks about parameters of the space only, and what can be asked about them.

    Raises:
        ValueError: it does not; the text starts with the name of the branch.
    """

    def settle(comparison: Condition) -> Condition:
        parent = parameters.get(called(comparison.parent, parameters))
        if parent is None:
            raise ValueError(
                f"{branch.name}.when must name a parameter of the space "
                f"({', '.join(parameters)}), got {comparison.parent!r}"
            )
        known = (0.0,) if parent.is_numeric else parent.values or ()
        if comparison.is_bare and not all(value is None or isinstance(value, bool) for value in known):
            raise ValueError(
                f"{branch.name}.when must read NAME OPERATOR VALUE where the values of {parent.name} are not true and "
                f"false, got {str(branch.when)!r}"
            )
        wordless = any(not isinstance(each, (int, float)) for each in comparison.among)
        if comparison.sign in ORDERS and (wordless or any(isinstance(value, str) for value in known)):
            raise ValueError(
                f"{branch.name}.when must compare with == or != where values are no numbers, got {str(branch.when)!r}"
            )
        among = comparison.among
        if {type(value) for value in known} - {type(None)} == {bool}:  # what could be written before true and false
            among = tuple(bool(each) if type(each) is int and each in (0, 1) else each for each in among)
        return dataclasses.replace(comparison, parent=parent.name, among=among)

    return branch if branch.when is None else dataclasses.replace(branch, when=branch.when.change(settle))


def _ladder(parameter: Parameter, value: Value) -> Iterator[tuple[str, Value]]:
    """The other values of a finite parameter, outwards from `value`, made one by one: a range may be huge."""
    values = parameter.values or ()
    start = scalars.find(values, value) or 0
    for distance in range(1, len(values)):
        for position in (start - distance, start + distance):
            if 0 <= position < len(values):
                yield parameter.name, values[position]


def _first(parameter: Parameter) -> Value:
    if parameter.values is not None:
        return parameter.values[0]
    low = parameter.distribution.low  # type: ignore[attr-defined]  # only a FloatDistribution has no values
    return low if math.isfinite(low) else 0.0
