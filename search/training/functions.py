"""Runs an objective of the user's own: a generator of epochs, or a plain Optuna objective."""

import contextlib
import importlib
import inspect
import itertools
import json
import math
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import optuna
from optuna import distributions
from optuna.trial import TrialState

from search import errors
from search.space import spaces
from search.study import specs, validation
from search.training import records
from search.training.objectives import Result, Trial

NUDGE = signal.SIGUSR1
KEY_CHARACTERS = 512  # what Optuna's column of attribute names holds


class FunctionObjective:
    """Calls `objective = "package.module:function"` of a study file with an Optuna trial.

    A generator function yields the metric after each epoch; a plain function returns it at the end, and may use
    `report` and `should_prune`. Code of others does not look whether it should stop: a signal raises that inside it.

    Raises:
        errors.InputError: the function is not to be had.
    """

    def __init__(self, spec: specs.StudySpec) -> None:
        self._space = spec.space
        self._function = load(spec.objective or "")
        self._trial: Trial | None = None
        self._ending: Exception | None = None
        self._is_inside = False
        self._thread = threading.current_thread()
        if self._thread is threading.main_thread():
            signal.signal(NUDGE, self._on_nudge)

    def __call__(self, trial: Trial) -> Result:
        """Runs the function to its end, or until a pruner ends the trial."""
        view = _View(trial, self._space, self._outside, self._check_stop)
        self._trial, trial.interrupt, self._ending = trial, self._nudge, None
        try:
            if inspect.isgeneratorfunction(self._function):
                return self._run_generator(trial, view)
            return self._run_plain(view)
        finally:
            trial.interrupt = None
            trial.keep(view.take_attrs())  # of one that fails too

    def _run_generator(self, trial: Trial, view: "_View") -> Result:
        epochs: Generator[Any, None, Any] = self._function(view)
        value = None
        for step in itertools.count(1):
            with self._inside():
                reported = next(epochs, None)
            if reported is None:
                break
            value = _number(reported, f"what it yields after epoch {step}")
            trial.report(step, value, view.take_attrs())
            reason = f"the {step}. value is nan" if math.isnan(value) else trial.should_prune()
            trial.check_stop()
            if reason:
                epochs.close()
                return Result(TrialState.PRUNED, None if math.isnan(value) else value, {records.REASON.name: reason})
        if value is None:
            raise ValueError("the objective yielded nothing")
        return Result(TrialState.COMPLETE, value, view.take_attrs())

    def _run_plain(self, view: "_View") -> Result:
        try:
            with self._inside():
                returned = self._function(view)
        except optuna.TrialPruned as pruned:
            reason = view.reason or str(pruned) or "pruned by the objective"
            last = None if view.last is None or math.isnan(view.last) else view.last
            return Result(TrialState.PRUNED, last, {**view.take_attrs(), records.REASON.name: reason})
        value = _number(returned, "what it returns")
        if math.isnan(value):
            return Result(TrialState.PRUNED, None, {**view.take_attrs(), records.REASON.name: "the value is nan"})
        return Result(TrialState.COMPLETE, value, view.take_attrs())

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        """The user's code runs: it may be interrupted. What was raised in it comes out, though it were caught."""
        self._is_inside = True
        try:
            yield
        finally:
            self._is_inside = False
            if self._ending is not None:
                raise self._ending from None

    @contextlib.contextmanager
    def _outside(self) -> Iterator[None]:
        """Our code runs, called from the user's: a write to the database must not be interrupted."""
        self._is_inside = False
        try:
            yield
        finally:
            self._is_inside = True

    def _nudge(self) -> None:
        if self._thread is threading.main_thread() and self._thread.ident is not None:
            signal.pthread_kill(self._thread.ident, NUDGE)

    def _on_nudge(self, *_: object) -> None:
        if self._is_inside:
            self._check_stop()

    def _check_stop(self) -> None:
        """Raises where the trial must end, and remembers it: the user's code may catch it."""
        try:
            if self._trial is not None:
                self._trial.check_stop()
        except Exception as ending:
            self._ending = ending
            raise


class _View(optuna.trial.FixedTrial):
    """The trial as Optuna's users know it, with the configuration that the study file's space gave it."""

    def __init__(
        self,
        trial: Trial,
        tree: spaces.Space,
        outside: Callable[[], contextlib.AbstractContextManager[None]],
        check_stop: Callable[[], None],
    ) -> None:
        super().__init__(trial.params, number=trial.number)
        if trial.repeat:
            super().set_user_attr(records.REPEAT.name, trial.repeat)
        self.reason: str | None = None
        self.last: float | None = None
        self._trial, self._outside, self._check_stop = trial, outside, check_stop
        self._ours = {p.name: p.distribution for p in tree.parameters}
        self._attrs: dict[str, Any] = {}

    @property
    def params(self) -> dict[str, Any]:
        return dict(self._trial.params)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self._expect(name, distributions.FloatDistribution(low, high, log=log, step=step))
        return super().suggest_float(name, low, high, step=step, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        self._expect(name, distributions.IntDistribution(low, high, log=log, step=step))
        return super().suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self._expect(name, distributions.CategoricalDistribution(choices))
        return super().suggest_categorical(name, choices)

    def report(self, value: float, step: int) -> None:
        with self._outside():
            step = _step(step)
            self.last = _number(value, f"what it reports at step {step}")
            self._trial.report(step, self.last, self.take_attrs())
            self._check_stop()

    def should_prune(self) -> bool:
        with self._outside():
            self.reason = self._trial.should_prune()
        return self.reason is not None

    def set_user_attr(self, key: str, value: Any) -> None:
        if str(key).startswith(records.PREFIX):
            raise ValueError(f"attribute {key!r}: names that begin with {records.PREFIX!r} are the search's own")
        self._attrs[key] = value = _plain(key, value)
        super().set_user_attr(key, value)

    def take_attrs(self) -> dict[str, Any]:
        """User attributes that are not stored yet."""
        attrs, self._attrs = self._attrs, {}
        return attrs

    def _expect(self, name: str, suggested: distributions.BaseDistribution) -> None:
        if name not in self._ours:
            raise ValueError(f"the objective suggests {name}, which is not in the study file's [space]")
        if self._ours[name] != suggested:
            raise ValueError(f"space.{name} is {self._ours[name]}, the objective suggests {suggested}")
        if name not in self._trial.params:
            raise ValueError(f"the objective suggests {name}, which does not exist beside {self._trial.params}")


def _plain(key: Any, value: Any) -> Any:
    """The value of an attribute as it is stored, checked where it is set; arrays and tensors become lists."""
    if not isinstance(key, str) or not 0 < len(key) <= KEY_CHARACTERS or not key.isprintable():
        raise ValueError(f"set_user_attr: a name must be 1 to {KEY_CHARACTERS} printable characters, got {key!r}")
    try:
        return json.loads(json.dumps(value, default=_as_list))
    except (TypeError, ValueError, RecursionError) as error:
        kind = type(value).__name__
        raise ValueError(
            f"set_user_attr({key!r}): a value must survive JSON, got one of type {kind}: {error}"
        ) from None


def _as_list(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def load(name: str) -> Callable[[Any], Any]:
    """The function called `package.module:function`, from this folder or an installed package.

    Raises:
        errors.InputError: no such module or function.
    """
    module, _, function = name.partition(":")
    if (folder := str(pathlib.Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:  # whatever a module of the user's does when it is imported
        raise errors.InputError(
            f"objective must name a function that can be imported here, got {name!r}: {type(error).__name__}: {error}"
        ) from error
    if not callable(found):
        raise errors.InputError(f"objective must name a function, got {name!r}, which is {type(found).__name__}")
    return found  # type: ignore[no-any-return]  # what a module holds


def _step(step: Any) -> int:
    if int(step) != step or not 0 <= int(step) <= validation.LARGEST:
        raise ValueError(f"a step must be an integer from 0 to {validation.LARGEST}, got {step!r}")
    return int(step)


def _number(value: Any, what: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{what} must be a number, got {value!r}") from None
