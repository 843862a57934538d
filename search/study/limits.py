"""What a new study's space must keep to, so that every database holds it and every sampler can propose from it.

It is asked when a study is created, not when one is read: what an earlier version took goes on.
"""

from collections.abc import Mapping
from typing import Any

from optuna import distributions

from search.space import scalars, spaces
from search.space.parameters import Parameter
from search.study import names

RANGE_LIMIT = 2**40  # of integers: TPE weighs them by the share of the range that each has, and sees none beyond
WHOLE_LIMIT = 2**63  # TOML's own integers
LARGEST = 1e100  # of a range: samplers square what they are told
NARROWEST = 1e-9  # of a range, against its ends: there must be floats in it to choose from
FINEST = 1e-7  # a step, against its range's ends: Optuna measures steps to eight digits
SMALLEST = 1e-300  # above what floats hold in full
JSON_CHARACTERS = 1_000_000  # of all choices: each trial stores them again
PARAMETERS = 500
LISTED = 1_000_000  # values of a range, which the Gaussian process makes an array of


def check(name: str, tree: spaces.Space, raw: Mapping[str, Any], sampler: str) -> None:
    """Passes the name, the space, which the file writes as `raw`, and the sampler of a new study.

    Raises:
        ValueError: key, rule and value.
    """
    try:
        names.new_study(name)
    except ValueError as error:
        raise ValueError(f"study.name {error}, got {name!r}") from None
    if len(tree.parameters) > PARAMETERS:
        raise ValueError(f"space must have at most {PARAMETERS} parameters, got {len(tree.parameters)}")
    seen: dict[str, str] = {}
    for parameter in tree.parameters:
        if len(parameter.name) > names.PARAMETER_CHARACTERS:
            raise ValueError(
                f"space.{parameter.name[:20]}... {names.COLUMN}, got a name of {len(parameter.name)} characters"
            )
        if (other := seen.setdefault(names.normal(parameter.name), parameter.name)) != parameter.name:
            raise ValueError(f"space.{parameter.name} must not look like another parameter, got {other!r} twice")
        _check_parameter(parameter)
        _check_step(parameter, raw[parameter.name])
        _check_condition(parameter, tree)
    for parameter in tree.parameters if sampler == "gp" else ():
        if parameter.is_numeric and parameter.values is not None and len(parameter.values) > LISTED:
            raise ValueError(
                f"sampler.name must not be 'gp' since it lists the values of space.{parameter.name}, which has "
                f"{len(parameter.values):,}: give it floats without a step, or at most {LISTED:,} values"
            )
    choices = sum(len(scalars.as_json(p.values)) for p in tree.parameters if not p.is_numeric)
    if choices > JSON_CHARACTERS:
        raise ValueError(
            f"space must have choices of at most {JSON_CHARACTERS:,} characters in all, since each trial stores them, "
            f"got {choices:,}"
        )


def _check_parameter(parameter: Parameter) -> None:
    place = f"space.{parameter.name}"
    match parameter.distribution:
        case distributions.CategoricalDistribution() as choice:
            for position, value in enumerate(choice.choices):
                if isinstance(value, int) and not -WHOLE_LIMIT <= value < WHOLE_LIMIT:
                    raise ValueError(f"{place}[{position}] must be an integer of 64 bits, got {_cut(value)}")
                if isinstance(value, str) and "\0" in value:
                    raise ValueError(f"{place}[{position}] must hold no NUL, which no shell can say, got {value!r}")
        case distributions.IntDistribution() as whole:
            for bound, value in (("low", whole.low), ("high", whole.high)):
                if abs(value) > RANGE_LIMIT:
                    raise ValueError(
                        f"{place}.{bound} must be from -2^40 to 2^40, where every sampler tells integers apart, "
                        f"got {_cut(value)}"
                    )
            if whole.log and 0 < whole.high - whole.low < NARROWEST * whole.high:
                raise ValueError(_narrow(place, whole.low, whole.high))
        case distributions.FloatDistribution() as real:
            _check_floats(place, real)


def _check_floats(place: str, real: distributions.FloatDistribution) -> None:
    largest = max(abs(real.low), abs(real.high))
    for bound, value in (("low", real.low), ("high", real.high)):
        if abs(value) > LARGEST:
            raise ValueError(f"{place}.{bound} must be from -{LARGEST:g} to {LARGEST:g}, got {value!r}")
    if real.log and real.low < SMALLEST:
        raise ValueError(f"{place}.low must be >= {SMALLEST:g} where log is true, got {real.low!r}")
    if real.single():
        return
    if real.step is not None:
        if real.step < FINEST * largest or real.step < SMALLEST:
            raise ValueError(
                f"{place}.step must be at least {FINEST:g} of the larger end, {largest:g}, got {real.step!r}"
            )
    elif real.high - real.low < NARROWEST * largest or real.high - real.low < SMALLEST:
        raise ValueError(_narrow(place, real.low, real.high))


def _check_step(parameter: Parameter, raw: Any) -> None:
    real = parameter.distribution
    if not isinstance(real, distributions.FloatDistribution) or real.step is None:
        return
    low, high, step = (float(raw[key]) for key in ("low", "high", "step"))
    steps = scalars.Steps(low, high, step)
    if not scalars.leads(low, high, step) or (steps[0], steps[-1]) != (low, high):
        raise ValueError(
            f"space.{parameter.name}.step must lead from low to high in whole steps, to the last digit written, "
            f"got {step!r} from {low!r} to {high!r}"
        )


def _narrow(place: str, low: float, high: float) -> str:
    return (
        f"{place}.high must lie above low by at least {NARROWEST:g} of the larger, or be low itself, "
        f"got low = {low!r} and high = {high!r}"
    )


def _check_condition(branch: Parameter, tree: spaces.Space) -> None:
    """What is compared for equality must be a value that there is: another one is a slip of the pen."""
    by_name = {p.name: p for p in tree.parameters}
    for comparison in branch.when.comparisons if branch.when else ():
        parent = by_name[comparison.parent]
        if comparison.sign not in ("==", "!=", "in", "not in") or comparison.is_bare:
            continue
        for value in comparison.among:
            if not _has(parent, value):
                raise ValueError(
                    f"space.{branch.name}.when must compare {parent.name} with a value that it can have, "
                    f"got {str(branch.when)!r}"
                )


def _has(parameter: Parameter, value: scalars.Value) -> bool:
    if not parameter.is_numeric:
        return any(scalars.equal(value, each) for each in parameter.values or ())
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    known = parameter.values
    if known is None:
        low, high = parameter.distribution.low, parameter.distribution.high  # type: ignore[attr-defined]
        return bool(low <= value <= high)
    value = float(value) if parameter.takes_floats else value
    return parameter.snap(value) in known


def _cut(value: int) -> str:
    return f"{value}" if abs(value) < 10**30 else f"an integer of {value.bit_length()} bits"
