"""Configurations as points of a box, on which a Gaussian process can measure how alike they are."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from search.space import lines, parameters, spaces

CHOICE = math.sqrt(0.5)  # two choices are one apart
ABSENT = 0.5  # a number that does not exist lies in the middle


class Encoding:
    """The points of one space's configurations.

    A range, and choices that are all numbers, are a column from 0 to 1 (see `lines`); other choices are a column each.
    A condition is a column that tells whether what hangs on it exists.

    Attributes:
        groups: the columns of each parameter and condition, which share a length scale.
        owners: the place of each column's group, (columns,).
    """

    def __init__(self, tree: spaces.Space) -> None:
        self._columns: list[Callable[[Mapping[str, Any]], Sequence[float]]] = []
        widths = []
        for parameter in tree.parameters:
            if not parameter.distribution.single():
                column, width = _column(parameter)
                self._columns.append(column)
                widths.append(width)
        conditions = {str(p.when): p for p in tree.parameters if p.when is not None}
        for parameter in conditions.values():
            self._columns.append(lambda params, p=parameter: (0.0 if p.exists(params) else CHOICE,))  # type: ignore[misc]
            widths.append(1)
        ends = list(itertools.accumulate(widths))
        self.groups = tuple(slice(end - width, end) for end, width in zip(ends, widths, strict=True))
        self.owners = numpy.repeat(numpy.arange(len(widths)), widths)

    def __call__(self, configurations: Sequence[Mapping[str, Any]]) -> numpy.ndarray:
        """(n, columns) float64."""
        rows = [[number for column in self._columns for number in column(params)] for params in configurations]
        return numpy.array(rows, float).reshape(len(configurations), len(self.owners))


def _column(parameter: parameters.Parameter) -> tuple[Callable[[Mapping[str, Any]], Sequence[float]], int]:
    name, line = parameter.name, lines.Line.find(parameter)
    if line is not None:
        return lambda params: (line.place(params[name]) if name in params else ABSENT,), 1
    values = list(parameter.values or ())
    rows = {
        _tagged(value): [CHOICE if at == number else 0.0 for at in range(len(values))]
        for number, value in enumerate(values)
    }
    nothing = [0.0] * len(values)
    return lambda params: rows[_tagged(params[name])] if name in params else nothing, len(values)


def _tagged(value: Any) -> tuple[type, Any]:
    """True is not 1."""
    return type(value), value
