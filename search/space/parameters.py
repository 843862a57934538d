"""One dimension of a space: its Optuna distribution, when it exists, and its values on a line."""

import dataclasses
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna import distributions

Value = bool | int | float | str

STEP_DIGITS = 12  # of a stepped float, after which rounding is noise
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
CONDITION = re.compile(r"\s*(\w+)\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*")


@dataclasses.dataclass(frozen=True)
class Condition:
    """`parent operator value`, as in `depth > 0`; false where the parent does not exist."""

    parent: str
    operator: str
    value: Value

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Reads `NAME OPERATOR VALUE`, the value a number or a quoted string.

        Raises:
            ValueError: the text has another form.
        """
        rule = f'must read NAME OPERATOR VALUE with one of {" ".join(OPERATORS)}, as in "depth > 0", got {text!r}'
        match = CONDITION.fullmatch(text)
        if match is None:
            raise ValueError(rule)
        parent, sign, literal = match.groups()
        if literal[0] in "'\"" and literal[-1] == literal[0] and len(literal) > 1:
            return cls(parent, sign, literal[1:-1])
        value = parse_value(literal)
        if isinstance(value, str):
            raise ValueError(rule)
        return cls(parent, sign, value)

    def holds(self, params: Mapping[str, Value]) -> bool:
        """Whether the branch exists in a configuration."""
        return self.parent in params and OPERATORS[self.operator](params[self.parent], self.value)

    def __str__(self) -> str:
        return f"{self.parent} {self.operator} {self.value!r}"


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
                return tuple(choice.choices)  # type: ignore[arg-type]  # study files hold numbers and strings only
            case distributions.IntDistribution() as whole:
                return range(whole.low, whole.high + 1, whole.step)
            case distributions.FloatDistribution() as real if real.single():
                return (real.low,)
            case distributions.FloatDistribution() as real if real.step is not None:
                count = round((real.high - real.low) / real.step) + 1
                return tuple(round(real.low + i * real.step, STEP_DIGITS) for i in range(count))
        return None

    def snap(self, value: Value) -> Value:
        """The value of a stepped dimension of floats that a number means: 0.30000000000000004 is 0.3."""
        if isinstance(self.distribution, distributions.FloatDistribution) and isinstance(value, float):
            for exact in self.values or ():
                if math.isclose(float(exact), value, rel_tol=1e-9, abs_tol=1e-12):
                    return exact
        return value

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
        """The choice that is written so, or else the number, or else the text."""
        value = parse_value(text, whole=not self.takes_floats)
        if isinstance(self.distribution, distributions.CategoricalDistribution):
            for choice in self.distribution.choices:
                if str(choice) == text or (isinstance(choice, bool) and str(choice).lower() == text.lower()):
                    return choice  # type: ignore[return-value]  # study files hold no None
        return value

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
                values = self.values or ()
                return values[min(int(position * len(values)), len(values) - 1)]
        return min(max(value, real.low), real.high)

    def position(self, value: Value) -> float:
        """Where a value lies between 0 and 1: the middle of its share, where the dimension is finite."""
        match self.distribution:
            case distributions.FloatDistribution() as real:
                low, high, place = real.low, real.high, float(value)
                if real.log:
                    low, high, place = math.log(low), math.log(high), math.log(place)
                return (place - low) / (high - low) if high > low else 0.0
            case distributions.IntDistribution() as whole if whole.log:
                low, high = math.log(whole.low - 0.5), math.log(whole.high + 0.5)
                return (math.log(float(value)) - low) / (high - low)
        values = self.values or ()
        return (values.index(value) + 0.5) / len(values)

    def check(self, value: Value) -> None:
        """Passes a value of this dimension.

        Raises:
            ValueError: the value is outside, with the rule and the value.
        """
        match self.distribution:
            case distributions.CategoricalDistribution() as choice:
                fits = any(type(value) is type(c) and value == c for c in choice.choices)
                rule = f"must be one of {', '.join(map(repr, choice.choices))}"
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


def parse_value(text: str, whole: bool = True) -> Value:
    """A number where the text is one, else the text; `whole` says whether 1 is an integer or 1.0."""
    for number in (int, float) if whole else (float,):
        try:
            return number(text)
        except ValueError:
            continue
    return text
