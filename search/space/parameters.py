"""One dimension of a space: its Optuna distribution, when it exists, and its values on a line."""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna import distributions

from search.space import scalars
from search.space.conditions import Condition
from search.space.scalars import Steps, Value

LISTED = 20  # choices in a message


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One dimension: its Optuna distribution, and the condition under which it exists."""

    name: str
    distribution: distributions.BaseDistribution
    when: Condition | None = None

    def exists(self, params: Mapping[str, Value]) -> bool:
        """Whether a configuration with these parents has this parameter."""
        return self.when is None or self.when.holds(params)

    @property
    def values(self) -> Sequence[Value] | None:
        """All values in order, or None where they are not finite."""
        match self.distribution:
            case distributions.CategoricalDistribution() as choice:
                return tuple(choice.choices)
            case distributions.IntDistribution() as whole:
                return range(whole.low, whole.high + 1, whole.step)
            case distributions.FloatDistribution() as real if real.single():
                return (real.low,)
            case distributions.FloatDistribution() as real if real.step is not None:
                return Steps(real.low, real.high, real.step)
        return None

    def snap(self, value: Value, within: float = 1e-6) -> Value:
        """The value of a stepped dimension of floats that a number means: 0.30000000000000004 is 0.3.

        Args:
            within: so much of a step; what is further from all of them stays as it is.
        """
        steps = self.values
        if isinstance(steps, Steps) and isinstance(value, float) and math.isfinite(value):
            near = steps.near(value)
            return near if abs(near - value) <= within * steps.step else value
        return value

    def nearest(self, value: Value) -> Value:
        """The value of a stepped dimension of floats nearest to a number; half a step may round to a little more."""
        return self.snap(value, 1.0)

    def classes(self, comparisons: Sequence[Condition]) -> Iterator[tuple[Value, int]]:
        """Its values in groups that some comparisons cannot tell apart: the first of each, and how many there are."""
        all_values = self.values or ()
        numbers = [each for c in comparisons for each in c.among if isinstance(each, (int, float))]
        parts = scalars.split(all_values, numbers) if self.is_numeric else ((value, 1) for value in all_values)
        found: dict[tuple[bool, ...], tuple[Value, int]] = {}
        for first, count in parts:
            answers = tuple(comparison.compare(first) for comparison in comparisons)
            known = found.get(answers, (first, 0))
            found[answers] = known[0], known[1] + count
        yield from found.values()

    @property
    def is_numeric(self) -> bool:
        """Whether its values lie on a line: a range, not choices."""
        return not isinstance(self.distribution, distributions.CategoricalDistribution)

    @property
    def takes_floats(self) -> bool:
        """Whether all its values are floats."""
        if isinstance(self.distribution, distributions.CategoricalDistribution):
            return all(isinstance(choice, float) for choice in self.distribution.choices)
        return isinstance(self.distribution, distributions.FloatDistribution)

    def parse(self, text: str) -> Value:
        """What is written so, as in a study file: `1`, `true` and `none` are no strings, `"1"` is one.

        Quotes may be left out where no other choice is written so.
        """
        if not isinstance(self.distribution, distributions.CategoricalDistribution):
            found = scalars.number(text, whole=not self.takes_floats)
            return text if found is None else found
        meant = [scalars.WORDS[text.lower()]] if text.lower() in scalars.WORDS else []
        meant += [n for n in (scalars.number(text), scalars.number(text, whole=False)) if n is not None]
        if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            meant.append(_unquoted(text))
        for value in (*meant, text):
            if (place := scalars.find(self.distribution.choices, value)) is not None:
                return self.distribution.choices[place]
        return meant[-1 if self.takes_floats else 0] if meant else text

    def at(self, position: float) -> Value:
        """The value at a position from 0 to 1; each value of a finite dimension has an equal share (log: of the log).

        The inverse of `position`, up to rounding.
        """
        match self.distribution:
            case distributions.FloatDistribution() as real if self.values is None and real.log:
                value = math.exp(math.log(real.low) + position * (math.log(real.high) - math.log(real.low)))
            case distributions.FloatDistribution() as real if self.values is None:
                value = real.low + position * (real.high - real.low)
            case distributions.IntDistribution() as whole if whole.log:
                low, high = math.log(whole.low - 0.5), math.log(whole.high + 0.5)
                return min(max(round(math.exp(low + position * (high - low))), whole.low), whole.high)
            case _:
                known = self.values or ()
                return known[min(int(position * len(known)), len(known) - 1)]
        return min(max(value, real.low), real.high)

    def position(self, value: Any) -> float:
        """Where a value lies between 0 and 1: the middle of its share, where the dimension is finite."""
        match self.distribution:
            case distributions.FloatDistribution() as real:
                low, high, place = real.low, real.high, float(value)
                if real.log:
                    low, high, place = math.log(low), math.log(high), math.log(place)
                return (place - low) / (high - low) if high > low else 0.0
            case distributions.IntDistribution() as whole if whole.log:
                low, high = math.log(whole.low - 0.5), math.log(whole.high + 0.5)
                return (math.log(float(value)) - low) / (high - low) if high > low else 0.5
        known = self.values or ()
        return ((scalars.find(known, value) or 0) + 0.5) / len(known)

    def check(self, value: Value) -> None:
        """Passes a value of this dimension.

        Raises:
            ValueError: the value is outside, with the rule and the value.
        """
        match self.distribution:
            case distributions.CategoricalDistribution() as choice:
                fits = scalars.find(choice.choices, value) is not None
                rule = f"must be one of {_listed(choice.choices)}"
            case distributions.IntDistribution() as whole:
                fits = type(value) is int and value in range(whole.low, whole.high + 1, whole.step)
                rule = f"must be an integer from {whole.low} to {whole.high}"
                rule += f" in steps of {whole.step}" if whole.step != 1 else ""
            case distributions.FloatDistribution() as real:
                fits = isinstance(value, float) and real.low <= value <= real.high
                fits = fits and (self.values is None or value in self.values)
                rule = f"must be a number from {real.low} to {real.high}"
                rule += f" in steps of {real.step}" if real.step is not None else ""
        if not fits:
            raise ValueError(f"{self.name} {rule}, got {value!r}")


def _unquoted(text: str) -> str:
    """What stands between quotes; double ones take JSON's escapes."""
    try:
        found = json.loads(text)
    except ValueError:
        return text[1:-1]
    return str(found)


def _listed(choices: Sequence[Any]) -> str:
    shown = ", ".join(map(repr, choices[:LISTED]))
    return shown + (f" and {len(choices) - LISTED} more" if len(choices) > LISTED else "")
