"""Values of parameters: which are the same, how they are written, and choices that Optuna tells apart.

Python takes True for 1; a study file does not, nor do the keys of configurations.
"""

import bisect
import decimal
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from optuna import distributions

Value = None | bool | int | float | str

STEP_DIGITS = 12  # of a stepped float, after which rounding is noise
FINE_STEP = 1e-6  # from here down the digits of the numbers themselves count
WORDS: dict[str, Value] = {"true": True, "false": False, "none": None}


def same(one: Any, other: Any) -> bool:
    """Whether two values are one choice: of one type, and equal."""
    return type(one) is type(other) and bool(one == other)


def equal(one: Value, other: Value) -> bool:
    """The same, but that 1 and 1.0 are one number."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def find(values: Sequence[Any], value: Any) -> int | None:
    """Where a value stands among others, or None: the first of its type that equals it."""
    if isinstance(values, (range, Steps)):
        return values.index(value) if not isinstance(value, bool) and value in values else None
    return next((place for place, each in enumerate(values) if same(each, value)), None)


def order(value: Any) -> tuple[int, Any]:
    """What sorts values of any types: None, false and true, numbers, strings."""
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 1, value
    return (2, value) if isinstance(value, (int, float)) else (3, str(value))


def distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, in their order (`order`)."""
    return sorted({(type(value), value): value for value in values}.values(), key=order)


def number(text: str, whole: bool = True) -> int | float | None:
    """The number that a text is, or None; `whole` says whether 1 is an integer or 1.0."""
    for kind in (int, float) if whole else (float,):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def shown(value: Any) -> str:
    """A value as people read it; a string that would read as something else stands in quotes: `'1'`, `'none'`."""
    if isinstance(value, str) and (value.lower() in WORDS or value.strip() != value or number(value) is not None):
        return repr(value)
    return str(value)


class CategoricalDistribution(distributions.CategoricalDistribution):
    """Optuna's, but that True is not 1. Optuna stores a distribution under its class's name: this one has the same."""

    def to_internal_repr(self, param_value_in_external_repr: Any) -> float:
        """The place of a choice; of what is none of them, as another tool's numbers, the place of an equal one."""
        place = find(self.choices, param_value_in_external_repr)
        return super().to_internal_repr(param_value_in_external_repr) if place is None else place

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, distributions.CategoricalDistribution):
            return NotImplemented if not isinstance(other, distributions.BaseDistribution) else False
        return len(self.choices) == len(other.choices) and all(map(same, self.choices, other.choices))

    __hash__ = distributions.CategoricalDistribution.__hash__


def choices(values: Sequence[Value]) -> distributions.CategoricalDistribution:
    """Choices as a distribution: of our own kind only where Optuna's would take one of them for another.

    Optuna refuses a trial whose distribution is of another class than the one that is stored.
    """
    mixed = len(set(values)) < len(values)
    return CategoricalDistribution(values) if mixed else distributions.CategoricalDistribution(values)


class Steps(Sequence[float]):
    """The floats from `low` to `high` by `step`, as they are written: 0.3, not 0.30000000000000004. Made one by one."""

    def __init__(self, low: float, high: float, step: float) -> None:
        self.low, self.step = low, step
        self._count = round((high - low) / step) + 1
        self._digits = STEP_DIGITS
        if step <= FINE_STEP:
            self._digits = max(STEP_DIGITS, *(-_exponent(each) for each in (low, step)))

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[float, ...]: ...
    def __getitem__(self, place: int | slice) -> float | tuple[float, ...]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(*place.indices(self._count)))
        if place < 0:
            place += self._count
        if not 0 <= place < self._count:
            raise IndexError(place)
        return round(self.low + place * self.step, self._digits)

    def __iter__(self) -> Iterator[float]:
        return (self[place] for place in range(self._count))

    def near(self, value: float) -> float:
        """The nearest of them."""
        return self[min(max(round((value - self.low) / self.step), 0), self._count - 1)]

    def __contains__(self, value: object) -> bool:
        return isinstance(value, float) and self.near(value) == value

    def index(self, value: float, start: int = 0, stop: int | None = None) -> int:
        """Where a value stands.

        Raises:
            ValueError: it is none of them.
        """
        if value not in self:
            raise ValueError(f"{value} is none of the steps")
        return round((value - self.low) / self.step)


def leads(low: float, high: float, step: float) -> bool:
    """Whether a range is whole steps in the decimals that are written: where it is not, Optuna drops the last one."""
    with decimal.localcontext(prec=60):
        length = decimal.Decimal(repr(high)) - decimal.Decimal(repr(low))
        return length % decimal.Decimal(repr(step)) == 0


def split(values: Sequence[Any], numbers: Iterable[float]) -> Iterator[tuple[Any, int]]:
    """Cuts ascending values at some numbers: for each part, which lies on one side of each of them, its first and size.

    A range may hold more values than can be listed.
    """
    cuts = {0, len(values)}
    for each in numbers:
        cuts |= {bisect.bisect_left(values, each), bisect.bisect_right(values, each)}
    ordered = sorted(cuts)
    for start, end in itertools.pairwise(ordered):
        yield values[start], end - start


def as_json(values: Any) -> str:
    """As it is stored: true is not 1, and None is null."""
    return json.dumps(values, separators=(",", ":"))


def _exponent(value: float) -> int:
    exponent = decimal.Decimal(repr(value)).normalize().as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0
