"""What tells one version of a function from another: its code, and what it uses of the program it was written in."""

import functools
import hashlib
import itertools
import types
from collections.abc import Collection, Iterable, Iterator
from typing import Any

DIGITS = 16
PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))
DEEPEST = 20  # of values within values
LONGEST = 1_000  # of the values of one, which are looked at


def of(function: Any, modules: Collection[str] = ()) -> str:
    """The same for the same code in any process, whatever its file and line; another where it or its values change.

    Of values that are no numbers, strings or tables of them, arrays say, only the type counts; of long tables the
    beginning.

    Args:
        modules: whose functions and classes are looked into, as those of the running program are; all others are known
            by their names.
    """
    found = hashlib.sha256()
    for word in _words(function, set(), 0, {"__main__", *modules}):
        found.update(word.encode("utf-8", "backslashreplace") + b"\0")
    return found.hexdigest()[:DIGITS]


def captured(function: Any) -> Iterator[tuple[str, Any]]:
    """What goes along with a function: each value, by the name of the variable that holds it."""
    if isinstance(function, functools.partial):
        yield "function", function.func
        yield from ((f"argument {place}", value) for place, value in enumerate(function.args))
        yield from function.keywords.items()
    elif isinstance(function, types.MethodType):
        yield from vars_of(function.__self__)
        yield function.__name__, function.__func__
    elif isinstance(function, types.FunctionType):
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            if (value := _content(cell)) is not function:
                yield name, value
        for name in sorted(_names(function.__code__) & function.__globals__.keys()):
            yield name, function.__globals__[name]
        yield from ((f"default {place}", value) for place, value in enumerate(function.__defaults__ or ()))
        yield from (function.__kwdefaults__ or {}).items()
    elif not isinstance(function, type):
        yield from vars_of(function)


def vars_of(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds."""
    yield from getattr(value, "__dict__", {}).items()


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing yet
        return None


def _names(code: types.CodeType) -> set[str]:
    """Of what it, and what is defined in it, may take from its module."""
    inner = (_names(each) for each in code.co_consts if isinstance(each, types.CodeType))
    return set(code.co_names).union(*inner)


def _words(value: Any, seen: set[int], depth: int, ours: Collection[str]) -> Iterator[str]:
    if isinstance(value, PLAIN):
        yield repr(value)
        return
    yield type(value).__qualname__
    if depth > DEEPEST or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, types.CodeType):
        yield from (value.co_code.hex(), " ".join(value.co_names))
    elif isinstance(value, types.ModuleType | type):
        yield value.__name__
    for each in _inner(value, ours):
        yield from _words(each, seen, depth + 1, ours)


def _inner(value: Any, ours: Collection[str]) -> Iterable[Any]:
    """What a value is made of."""
    if isinstance(value, types.CodeType):
        return value.co_consts
    if isinstance(value, list | tuple):
        return [len(value), *value[:LONGEST]]
    if isinstance(value, set | frozenset):
        return sorted(repr(each) for each in value if isinstance(each, PLAIN))
    if isinstance(value, dict):
        return [len(value), *_flat(itertools.islice(value.items(), LONGEST))]
    if isinstance(value, types.FunctionType):
        return [value.__code__, *_flat(captured(value))] if value.__module__ in ours else [value.__name__]
    if isinstance(value, functools.partial | types.MethodType):
        return _flat(captured(value))
    if isinstance(value, type):
        return (
            [each for each in vars(value).values() if isinstance(each, types.FunctionType)]
            if value.__module__ in ours
            else []
        )
    return [type(value)] if type(value).__module__ in ours else []


def _flat(pairs: Iterable[tuple[str, Any]]) -> list[Any]:
    return [each for pair in pairs for each in pair]
