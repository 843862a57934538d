"""Known results: what a record says of a trial of somewhere else, checked against a study."""

import dataclasses
import datetime
import decimal
import math
from collections.abc import Iterator, Mapping
from typing import Any

from optuna import distributions
from optuna.trial import TrialState

from search import errors, lines
from search.space import parameters, scalars
from search.space.spaces import Params, called
from search.study import specs
from search.study.result_files import Record
from search.training import records

TAKEN = {"COMPLETE": TrialState.COMPLETE, "PRUNED": TrialState.PRUNED}
STATES = {**TAKEN, "FAIL": TrialState.FAIL, "RUNNING": TrialState.RUNNING, "WAITING": TrialState.WAITING}


LONGEST_NAME = 512  # that Optuna's column holds
PREFIX = "search:"  # of attributes of ours
# where it came from is said anew, and its time was spent elsewhere: in no bill of this study
NOT_KEPT = {each.name for each in (records.IMPORTED, records.SECONDS, records.CPU_SECONDS)}


@dataclasses.dataclass(frozen=True)
class Result:
    """A result that fits a study.

    Attributes:
        source: where it comes from.
        value: of a trial that is complete; a pruned one may have one.
        started, ended: UTC, ISO 8601.
    """

    source: str
    params: Params
    state: str
    value: float | None
    repeat: int
    steps: Mapping[str, float]
    attributes: Mapping[str, Any]
    started: str | None
    ended: str | None


class Misfit(Exception):
    """A result that a study cannot take, with what is wrong and an example. Never shown to a user."""

    def __init__(self, rule: str, got: str = "") -> None:
        super().__init__(rule)
        self.rule, self.got = rule, got


def read(record: Record, spec: specs.StudySpec) -> Result:
    """What a record says, as a result of the study.

    Raises:
        Misfit: it has none, or not one of this study's space.
        errors.InputError: what it says cannot be, with place, rule and value.
    """
    state = str(record.state or "COMPLETE").removeprefix("TrialState.").upper()
    if state not in STATES:
        raise errors.InputError(f"{record.place}: state must be one of {', '.join(STATES)}, got {record.state!r}")
    if state not in TAKEN:
        raise Misfit(f"without a result: {state}")
    if isinstance(record.constraints, list) and any(isinstance(x, int | float) and x > 0 for x in record.constraints):
        raise Misfit("a constraint is violated", str(record.constraints))
    value = _value(record, state)
    attributes = {name: each for name, each in record.attributes.items() if _is_kept(name, each)}
    for name in attributes:
        _check_name(name, record.place)
    repeat = attributes.get(records.REPEAT.name, 0)
    return Result(
        record.place,
        _params(record, spec),
        state,
        value,
        repeat,
        {str(_step(step, record.place)): _number(each, record.place, f"step {step}") for step, each in _steps(record)},
        attributes,
        _moment(record.started, record.place, "datetime_start"),
        _moment(record.ended, record.place, "datetime_complete"),
    )


def _check_name(name: str, place: str) -> None:
    """Passes the name of an attribute that every database holds."""
    fits = 0 < len(name) <= LONGEST_NAME and "\0" not in name
    if not fits or name != name.encode("utf-8", "ignore").decode():
        raise errors.InputError(
            f"{place}: the name of an attribute must have 1 to {LONGEST_NAME} characters, "
            f"got {lines.said(repr(name), 80)}"
        )


def _is_kept(name: str, value: Any) -> bool:
    """Attributes of ours are read by name: of those only what could be ours, and where it came from is said anew."""
    known = records.ATTRIBUTES.get(name)
    if known is None:
        return not name.startswith(PREFIX)
    if name in NOT_KEPT:
        return False
    is_one = isinstance(value, (known.kind, int) if known.kind is float else known.kind)
    return is_one and not isinstance(value, bool) and known.rule(value)


def _value(record: Record, state: str) -> float | None:
    if state == "PRUNED" and record.value in (None, ""):
        return None
    value = _number(record.value, record.place, "value")
    if math.isnan(value):
        if state == "PRUNED":
            return None
        raise errors.InputError(f"{record.place}: value must be a number, got nan")
    return value


def _number(given: Any, place: str, name: str) -> float:
    found: float | None = None
    if isinstance(given, (int, float, str, decimal.Decimal)) and not isinstance(given, bool):
        try:
            found = float(given)
        except (ValueError, OverflowError):
            found = None
    if found is None:
        raise errors.InputError(f"{place}: {name} must be a number, got {lines.said(repr(given), 80)}")
    return found


def _steps(record: Record) -> Iterator[tuple[Any, Any]]:
    for step, value in record.steps.items():
        yield step, math.nan if value is None else value  # JSON has no nan


def _step(given: Any, place: str) -> int:
    try:
        step = int(given)
    except (TypeError, ValueError):
        step = -1
    if not 0 <= step < 2**31:
        raise errors.InputError(f"{place}: a step must be an integer from 0, got {given!r}")
    return step


def _moment(given: Any, place: str, name: str) -> str | None:
    if given in (None, ""):
        return None
    try:
        found = given if isinstance(given, datetime.datetime) else datetime.datetime.fromisoformat(str(given))
        if found.tzinfo is not None:
            found = found.astimezone(datetime.UTC).replace(tzinfo=None)
        return datetime.datetime.fromisoformat(found.isoformat()).isoformat()  # of pandas' one what others know
    except ValueError:
        raise errors.InputError(f"{place}: {name} must be a moment, ISO 8601, got {given!r}") from None
    except OverflowError:
        raise errors.InputError(f"{place}: {name} must be of the years 1 to 9999 in UTC, got {str(given)!r}") from None


def _params(record: Record, spec: specs.StudySpec) -> Params:
    """The configuration, whole and of this space."""
    by_name = {p.name: p for p in spec.space.parameters}
    given: Params = {}
    for name, value in record.params.items():
        parameter = by_name.get(called(name, by_name))
        if parameter is None:
            raise Misfit(f"{name} is no parameter of the space", repr(value))
        given[parameter.name] = _cell(parameter, value) if record.is_table else value
    try:
        kept, dropped = spec.space.trim(spec.space.widen(given))
    except (ValueError, TypeError) as error:
        rule, _, got = str(error).partition(", got ")
        raise Misfit(rule, got) from None
    for name in dropped:
        raise Misfit(f"{name} must be left out unless {by_name[name].when}", repr(dropped[name]))
    for parameter in spec.space.parameters:
        if parameter.exists(kept) and parameter.name not in kept:
            if record.is_table and _takes_none(parameter):
                kept[parameter.name] = None
            else:
                raise Misfit(f"{parameter.name} is missing")
    return kept


def _cell(parameter: parameters.Parameter, value: Any) -> scalars.Value:
    """What a cell of a table means: pandas writes 3 as 3.0 where a row of its column is empty."""
    if value == "null" and _takes_none(parameter):
        return None
    if isinstance(value, decimal.Decimal):
        value = float(value)
    found: scalars.Value = parameter.parse(value) if isinstance(value, str) else value
    if _is_one(parameter, found):
        return found
    number = scalars.number(found) if isinstance(found, str) else found
    if isinstance(number, float) and number.is_integer() and not parameter.takes_floats:
        return int(number)
    return found if number is None else number


def _is_one(parameter: parameters.Parameter, value: scalars.Value) -> bool:
    try:
        parameter.check(value)
    except ValueError:
        return False
    return True


def _takes_none(parameter: parameters.Parameter) -> bool:
    kind = parameter.distribution
    return isinstance(kind, distributions.CategoricalDistribution) and None in kind.choices
