"""What random search finds in the space of a study: from the table beside a study file of the same space and training.

A configuration that a table lacks counts as its nearest recorded one; each recorded one stands for all of those.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy

from search import errors
from search.space import expectations, levels, spaces, tables
from search.study import specs

QUARTILES = (0.25, 0.5, 0.75)
LISTED = 100_000  # values of a parameter that are looked at one by one
BARS = 200  # values between which quartiles are looked for
SMOOTHED = 3  # last epochs that make up a value, where the study says so

Array = numpy.ndarray[Any, Any]


class Paid(NamedTuple):
    """What so many epochs of a configuration have cost: seconds of training."""

    params: spaces.Params
    epochs: int
    seconds: float


@dataclasses.dataclass(frozen=True, eq=False)
class Baseline:
    """Random search that trains each configuration to its end, under the study's rule against hopeless networks.

    Attributes:
        place: the table's file.
        values: what each recorded training comes to; nan where the rule ends it.
        costs: of each, CPU seconds on the machine of the table.
        weights: of each in a draw.
        sign: 1 where the metric is maximized, else -1.
    """

    place: str
    values: Array
    costs: Array
    weights: Array
    sign: float
    _space: spaces.Space
    _levels: levels.Levels
    _rows: dict[str, tables.Row]

    def seconds(self, params: spaces.Params, epochs: int) -> float | None:
        """What so many epochs of a configuration cost on the machine of the table, or None where it has no such row."""
        try:
            row = self._rows.get(self._space.key(self._levels.params(params)))
        except (KeyError, TypeError, ValueError):  # another tool's, of another space
            return None
        if row is None or (epochs and not row.seconds):
            return None
        return row.setup_seconds + _cost(row.seconds, epochs)

    def pace(self, trained: Iterable[Paid]) -> float | None:
        """By how much trainings have taken longer than on the table's machine; None where it has none of them."""
        known = [(each.seconds, own) for each in trained if (own := self.seconds(each.params, each.epochs))]
        return sum(here for here, _ in known) / sum(there for _, there in known) if known else None

    def expected(self, seconds: Sequence[float], moments: int = expectations.MOMENTS) -> Array:
        """The expected best by each of these moments, CPU seconds of the table's machine, (n,)."""
        found = expectations.after_seconds(
            self.sign * self.values, self.costs, self.weights, numpy.asarray(seconds), self._floor, moments=moments
        )
        return self.sign * found

    def quartiles(self, seconds: Sequence[float], moments: int = expectations.MOMENTS) -> Array:
        """What a quarter, half and three quarters of all searches miss, (3, n), ascending; nan: they have none."""
        values = numpy.unique((self.sign * self.values)[~numpy.isnan(self.values)])[::-1]
        if len(values) > BARS:
            head, tail = values[: BARS // 2], values[BARS // 2 :]
            values = numpy.concatenate([head, tail[numpy.linspace(0, len(tail) - 1, BARS // 2).round().astype(int)]])
        chances = expectations.reached(
            self.sign * self.values, self.costs, self.weights, values, numpy.asarray(seconds), moments=moments
        )
        found = numpy.full((len(QUARTILES), len(chances)), numpy.nan)
        for place, share in enumerate(QUARTILES):
            is_reached = chances >= 1 - share
            found[place] = numpy.where(is_reached.any(axis=1), values[is_reached.argmax(axis=1)], numpy.nan)
        return numpy.sort(self.sign * found, axis=0) if self.sign < 0 else found

    def seconds_to(self, value: float) -> float:
        """Expected CPU seconds of the table's machine until random search has found one as good; inf for never."""
        return expectations.seconds_to(self.sign * self.values, self.costs, self.weights, self.sign * value)

    @property
    def _floor(self) -> float:
        return float(numpy.nanmin(self.sign * self.values))


def find(spec: specs.StudySpec) -> Baseline | None:
    """Of the first table that fits a study, in the folder `studies` here and among ours; None without one.

    Raises:
        errors.InputError: the table that fits cannot be read.
    """
    for path in _tables():
        if not _is_of(spec, path.with_name(path.name.removesuffix(tables.ENDING) + ".toml")):
            continue
        training = spec.training
        column = "test" if training is not None and training.evaluate_on == "test" else "values"
        table = _loaded(path, path.stat().st_mtime_ns, column)
        if training is None or training.epochs <= table.steps:
            return _made(spec, table)
    return None


def _tables() -> Iterator[pathlib.Path]:
    for folder in (specs.STUDIES, specs.OURS):
        yield from sorted(folder.glob(f"*{tables.ENDING}"))


def _is_of(spec: specs.StudySpec, file: pathlib.Path) -> bool:
    """Whether a study file searches the same space with the same training, whatever else it says."""
    if not file.is_file():
        return False
    try:
        other = specs.parse_stored(file.read_text(encoding="utf-8"), str(file))
    except (errors.StudyFileError, OSError, UnicodeDecodeError):
        return False  # of no study that can be run
    return _trained(spec) == _trained(other) and _by_name(spec.space) == _by_name(other.space)


def _trained(spec: specs.StudySpec) -> tuple[str | None, ...]:
    return spec.code, spec.training.dataset if spec.training else None, spec.study.direction


def _by_name(space: spaces.Space) -> dict[str, Any]:
    return {parameter.name: parameter for parameter in space.parameters}


@functools.lru_cache(4)
def _loaded(path: pathlib.Path, changed: int, column: str) -> tables.Table:
    return tables.load(path, column)


def _made(spec: specs.StudySpec, table: tables.Table) -> Baseline:
    """The arrays of a table's trainings with its lowest seed.

    Raises:
        errors.InputError: the table has no training of the study's space.
    """
    seed, space = table.seeds[0], spec.space
    rows = {space.key(row.params): row for row in table.rows if row.seed == seed and space.holds(row.params)}
    known = levels.Levels(space, [row.params for row in rows.values()], whole=True)
    weights = _weights(space, known, [row.params for row in rows.values()])
    rows = {key: row for (key, row), weight in zip(rows.items(), weights, strict=True) if weight > 0}
    if not any(row.values for row in rows.values()):
        raise errors.InputError(f"{table.place}: must have trainings of the study's space, got none")
    training = spec.training
    epochs = table.steps if training is None else training.epochs
    smoothed = SMOOTHED if training is not None and training.value == "mean-of-last-3" else 1
    values, costs = [], []
    usual = _usual(list(rows.values()))
    for row in rows.values():
        stop = row.stop if spec.pruning.hopeless and row.stop is not None and row.stop < epochs else None
        is_cut = stop is not None or not row.values
        values.append(numpy.nan if is_cut else float(numpy.mean(_filled(row.values, epochs)[-smoothed:])))
        trained = epochs if stop is None else stop
        seconds = row.seconds or (usual(row.params) if trained else ())
        costs.append(row.setup_seconds + _cost(seconds, trained))
    return Baseline(
        place=table.place,
        values=numpy.array(values),
        costs=numpy.array(costs),
        weights=weights[weights > 0],
        sign=1.0 if spec.study.direction == "maximize" else -1.0,
        _space=space,
        _levels=known,
        _rows=rows,
    )


def _filled(values: Sequence[float], epochs: int) -> list[float]:
    """Values by epoch; where nothing changed any more the last one stays."""
    return [*values[:epochs], *[values[-1]] * (epochs - len(values))]


def _cost(seconds: Sequence[float], epochs: int) -> float:
    """Seconds of the first epochs; those that were not recorded cost what the others did."""
    known = seconds[:epochs]
    return sum(known) * epochs / len(known) if known else 0.0


def _usual(rows: Sequence[tables.Row]) -> Any:
    """What an epoch costs of a configuration that was never trained: that of the one with most values in common."""
    trained = [row for row in rows if row.seconds]

    @functools.cache
    def of(params: tuple[tuple[str, Any], ...]) -> tuple[float, ...]:
        wanted = set(params)
        return max(trained, key=lambda row: len(wanted & set(row.params.items()))).seconds

    return lambda params: of(tuple(params.items()))


def _weights(space: spaces.Space, known: levels.Levels, recorded: Sequence[spaces.Params]) -> Array:
    """The chance of each recorded configuration, and of all that it stands for, in a draw of random search."""
    shares: dict[str, dict[Any, float]] = {}
    for parameter in space.parameters:
        name, alone = parameter.name, spaces.Space((dataclasses.replace(parameter, when=None),))
        share: dict[Any, float] = {}
        if alone.size is not None and alone.size <= LISTED:
            for params, chance in levels.draws(alone):
                level = known.params(params)[name]
                share[level] = share.get(level, 0.0) + chance
        else:  # what was recorded stands for all, evenly
            there = {known.params(params)[name] for params in recorded if name in params}
            share = dict.fromkeys(there, 1 / len(there))
        shares[name] = share
    found = [float(numpy.prod([shares[name].get(value, 0.0) for name, value in params.items()])) for params in recorded]
    return numpy.array(found)
