"""What training any configuration of a study comes to, from a table: as it was recorded, or as a model expects it."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy

from search import errors
from search.space import curves, levels, spaces, tables

LISTED = 100_000  # configurations that are looked at one by one
LIKE = 3  # nearest recorded ones, of which two must be hopeless

Array = numpy.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Training:
    """What training a configuration comes to.

    Attributes:
        key: of the configuration among those of the table, and `params`, itself.
        values: the metric by epoch.
        seconds: CPU time by epoch, and `setup_seconds` before the first.
        stop: the epoch after which the rule against hopeless networks ends it, 0 before the first; None for never.
        expected: the last value without the luck of one training: the mean over seeds where there are several, else
            what the model expects.
        is_recorded: with this very seed.
    """

    key: str
    params: spaces.Params
    values: tuple[float, ...]
    seconds: tuple[float, ...]
    setup_seconds: float
    stop: int | None
    expected: float
    is_recorded: bool


@dataclasses.dataclass(frozen=True)
class Population:
    """All configurations as a draw of random search finds them, an array of each property; larger values are better.

    Attributes:
        values: last values, nan where the training is ended early.
        expected: the same without the luck of one training.
        costs: CPU seconds of a training.
        weights: chances in a draw, which sum to one.
        recorded: whether it was trained with this very seed.
    """

    values: Array
    expected: Array
    costs: Array
    weights: Array
    recorded: Array


class Surface:
    """A space with its trainings.

    Args:
        seed: of the trainings; what has none of this seed is expected, with the noise of what has.
        whole: search the study's own space, and not the recorded levels of its numbers: what lies between them is
            expected, with the noise of a training.

    Attributes:
        searched: the space that a search moves in.
        notes: what was done with the study's space and with the table's rows, a sentence each.
        sign: 1 where the metric is maximized, else -1.
        steps: epochs of a whole training.
        worst: what counts where nothing was found.

    Raises:
        errors.InputError: no row is of this space, or none of this seed.
    """

    def __init__(
        self, space: spaces.Space, table: tables.Table, maximize: bool = True, seed: int = 0, whole: bool = False
    ) -> None:
        if table.direction is not None and (table.direction == "maximize") != maximize:
            raise errors.InputError(f"{table.place}: direction must be the study's own, got {table.direction}")
        self._space, self._seed = space, seed
        self.sign, self.steps = (1.0 if maximize else -1.0), table.steps
        rows = _fitting(space, table)
        if not any(row.seed == seed and row.values for row in rows):
            seeds = ", ".join(str(each) for each in sorted({row.seed for row in rows if row.values}))
            raise errors.InputError(f"--training-seed must be one that {table.place} has ({seeds}), got {seed}")
        self._rows: dict[str, dict[int, tables.Row]] = {}
        for row in rows:
            self._rows.setdefault(space.key(row.params), {})[row.seed] = row
        self._places = {key: place for place, key in enumerate(self._rows)}
        self._model = self._fit(rows)
        self.worst = self._model.worst
        self._levels = levels.Levels(space, [row.params for row in rows], whole)
        self.searched, self._is_whole = self._levels.searched, whole
        self.notes = self._levels.between if whole else self._levels.notes
        if left := len(table.rows) - len(rows):
            self.notes.append(f"{left} rows of the table lie outside the study's space and are left out")
        self._known: dict[str, Training] = {}

    def params(self, searched: spaces.Params) -> spaces.Params:
        """The configuration that one of the searched space stands for."""
        return self._levels.within(searched) if self._is_whole else self._levels.params(searched)

    def training(self, searched: spaces.Params) -> Training:
        """What training a configuration of the searched space comes to."""
        params = self.params(searched)
        key = self._space.key(params)
        if key not in self._known:
            self._expect([params])
        return self._known[key]

    def training_of(self, key: str) -> Training:
        """What training one of the configurations in `shares` comes to."""
        return self._known[key]

    @functools.cached_property
    def shares(self) -> dict[str, float]:
        """Chances in a draw of random search, by the key of the table's configuration.

        Where there are too many to list, the recorded ones stand for all.
        """
        size = self.searched.size
        if size is None or size > LISTED:
            self.notes.append("too many configurations to list: the recorded ones stand for all of them")
            self._expect([each.params for each in self._model.recorded])
            return dict.fromkeys(self._rows, 1 / len(self._rows))
        found: dict[str, float] = {}
        listed: dict[str, spaces.Params] = {}
        for params, share in levels.draws(self.searched):
            known = self.params(params)
            key = self._space.key(known)
            found[key] = found.get(key, 0.0) + share
            listed.setdefault(key, known)
        self._expect(list(listed.values()))
        return found

    def population(self, hopeless: bool = False, setup: bool = False) -> Population:
        """All configurations.

        Args:
            hopeless: the rule against hopeless networks is on, and takes the setup's time.
            setup: every training takes it.
        """
        found = [self._known[key] for key in self.shares if key in self._known]
        ends = [each.stop if hopeless else None for each in found]
        values = [math.nan if end is not None else each.values[-1] for each, end in zip(found, ends, strict=True)]
        begins = [each.setup_seconds if hopeless or setup else 0.0 for each in found]
        costs = [begin + sum(each.seconds[:end]) for begin, each, end in zip(begins, found, ends, strict=True)]
        return Population(
            values=self.sign * numpy.array(values),
            expected=self.sign * numpy.array([each.expected for each in found]),
            costs=numpy.array(costs),
            weights=numpy.array(list(self.shares.values())),
            recorded=numpy.array([each.is_recorded for each in found]),
        )

    @property
    def errors(self) -> tuple[Array, Array]:
        """How far the model is off in the last value of each configuration that it is not told; and what it came to."""
        return self._model.errors, self._model.ends

    def _fit(self, rows: Sequence[tables.Row]) -> curves.Curves:
        values = [self.sign * each for row in rows for each in row.values if math.isfinite(each)] or [0.0]
        ended = [self.sign * row.values[-1] for row in rows if row.values and row.stop == 0]
        hopeless = float(numpy.nanmedian(ended)) if ended else min(values)
        recorded = [self._recorded(list(group.values()), hopeless) for group in self._rows.values()]
        return curves.Curves(self._space, recorded, min(values), max(values))

    def _recorded(self, group: Sequence[tables.Row], hopeless: float) -> curves.Recorded:
        seconds = [numpy.mean(row.seconds) for row in group if row.seconds]
        return curves.Recorded(
            params=group[0].params,
            curves={row.seed: self._whole(row, hopeless) for row in group},
            seconds=float(numpy.mean(seconds)) if seconds else None,
            setup_seconds=float(numpy.mean([row.setup_seconds for row in group])),
        )

    def _whole(self, row: tables.Row, hopeless: float) -> Array:
        """A curve to its last step, larger is better: what ended goes on as it was."""
        found = [self.sign * each for each in row.values] or [hopeless]
        return numpy.array([*found, *[found[-1]] * (self.steps - len(found))])

    def _expect(self, configurations: Sequence[spaces.Params]) -> None:
        expected = self._model.expect(configurations)
        for place, params in enumerate(configurations):
            key = self._space.key(params)
            known = self._rows.get(key, {})
            mean, near = expected.means[place], expected.nearest[place]
            usual, setup = float(expected.seconds[place]), float(expected.setup_seconds[place])
            end = float(self._model.straighten(mean[-1:])[0])
            if known:
                own = self._model.recorded[self._places[key]]
                usual, setup = own.seconds or usual, own.setup_seconds
                end = float(numpy.mean([each[-1] for each in own.curves.values()])) if len(own.curves) > 1 else end
            row = known.get(self._seed)
            curve = self._noisy(key, mean, near) if row is None else own.curves[self._seed]
            spent = row.seconds if row else ()
            self._known[key] = Training(
                key=key,
                params=params,
                values=tuple((self.sign * curve).tolist()),
                seconds=(*spent, *[usual] * (self.steps - len(spent))),
                setup_seconds=row.setup_seconds if row else setup,
                stop=(row or next(iter(known.values()))).stop if known else self._stop_like(near),
                expected=self.sign * end,
                is_recorded=row is not None,
            )

    def _noisy(self, key: str, mean: Array, near: Array) -> Array:
        """A curve as expected, with the noise of a training of this seed near by."""
        fitted = self._model.fitted
        like = [place for place in near if self._seed in self._model.recorded[place].curves]
        if not like:
            return self._model.straighten(mean)
        # what comes to something else is luckier or unluckier, too
        like = sorted(like, key=lambda place: abs(fitted[place, -1] - mean[-1]))[: -(-len(like) // 2)]
        place = like[curves.draw(key, self._seed, len(like))]
        noise = self._model.bend(self._model.recorded[place].curves[self._seed]) - fitted[place]
        return self._model.straighten(mean + noise)

    def _stop_like(self, near: Array) -> int | None:
        """When the rule ends a training that was not recorded: as most of the nearest ones."""
        rows = list(self._rows.values())
        found = [next(iter(rows[place].values())).stop for place in near[:LIKE]]
        stops = sorted(stop for stop in found if stop is not None)
        return stops[len(stops) // 2] if 2 * len(stops) > len(found) else None


def _fitting(space: spaces.Space, table: tables.Table) -> list[tables.Row]:
    """The rows that are configurations of the study's space."""
    found = []
    for row in table.rows:
        try:
            kept, _ = space.trim(space.widen(row.params))
        except (ValueError, TypeError):
            continue
        if space.is_complete(kept):
            found.append(dataclasses.replace(row, params=kept))
    if not found:
        names = ", ".join(parameter.name for parameter in space.parameters)
        raise errors.InputError(f"{table.place}: must have trainings of the study's space ({names}), got none")
    return found
