"""Configurations worth a look: from all over the space, and around the best that are known."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from search.space import lines, parameters, scalars, spaces

EVERYWHERE, AROUND = 250, 150  # configurations
BEST = 8  # around how many
STEP = 0.15  # deviation of a step along a line
SECOND = 0.3  # how often a second parameter changes


class Looks:
    """Of one space."""

    def __init__(self, tree: spaces.Space) -> None:
        self._tree = tree
        self._lines = {p.name: lines.Line.find(p) for p in tree.parameters}
        self._open = [p for p in tree.parameters if not p.distribution.single()]

    def draw(self, generator: numpy.random.Generator, fixed: spaces.Params) -> spaces.Params:
        """One from anywhere: half of them evenly by the file's own scale, half evenly along each line."""
        along = generator.random() < 0.5

        def choose(parameter: parameters.Parameter) -> scalars.Value:
            line, place = self._lines[parameter.name], float(generator.random())
            return line.value(parameter, place) if along and line is not None else parameter.at(place)

        return self._complete(choose, fixed)

    def middle(self, fixed: spaces.Params) -> spaces.Params:
        """Of each line the middle, of other choices the first: what a file lists is around what its author believes."""

        def choose(parameter: parameters.Parameter) -> scalars.Value:
            line = self._lines[parameter.name]
            return line.value(parameter, 0.5) if line is not None else parameter.at(0.0)

        return self._complete(choose, fixed)

    def near(self, params: spaces.Params, generator: numpy.random.Generator, fixed: spaces.Params) -> spaces.Params:
        """One that differs from a configuration in a parameter or two."""
        names = [p.name for p in self._open if p.name not in fixed]
        count = 1 + int(generator.random() < SECOND) if names else 0
        changed = {names[int(generator.integers(len(names)))] for _ in range(count)}

        def choose(parameter: parameters.Parameter) -> scalars.Value:
            if parameter.name not in params:
                return parameter.at(float(generator.random()))
            value = params[parameter.name]
            return self._moved(parameter, value, generator) if parameter.name in changed else value

        return self._complete(choose, fixed)

    def _moved(self, parameter: parameters.Parameter, value: Any, generator: numpy.random.Generator) -> scalars.Value:
        line, values = self._lines[parameter.name], parameter.values
        if line is None:
            return parameter.at(float(generator.random()))
        place = line.place(value) + STEP * float(generator.standard_normal())
        found = line.value(parameter, place)
        if values is None or found != value:
            return found
        ladder: Sequence[scalars.Value] = values if line.choices is None else line.choices
        at = scalars.find(ladder, value) or 0
        return ladder[min(max(at + (1 if place > line.place(value) else -1), 0), len(ladder) - 1)]

    def _complete(self, choose: Callable[[parameters.Parameter], scalars.Value], fixed: spaces.Params) -> spaces.Params:
        return self._tree.complete(lambda p, _: fixed[p.name] if p.name in fixed else p.nearest(choose(p)))

    def candidates(
        self, best: Sequence[spaces.Params], generator: numpy.random.Generator, fixed: spaces.Params
    ) -> dict[str, spaces.Params]:
        """By key, each once."""
        found = [self.draw(generator, fixed) for _ in range(EVERYWHERE)]
        for number in range(AROUND if best else 0):
            found.append(self.near(best[number % min(len(best), BEST)], generator, fixed))
        return {self._tree.key(params): params for params in found}
