"""Trains trials by a function of the user's own: a generator of epochs, or a plain Optuna objective."""

import contextlib
import importlib
import inspect
import logging
import math
import os
import signal
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Any

import optuna
from optuna import distributions

from . import codes, messages, mishaps, nudges, pickles, recordings, studies, trials

UNSAMPLED: dict[str, Any] = {"number": 0, "seed": 0, "params": {}, "attrs": {}, "saved": None}  # a trial

ENDED = object()  # what no generator yields


class Interrupted(BaseException):
    """The trial must end. Code that lets it pass ends at once; other code is killed after a while."""


def serve(channel: messages.Channel, order: dict[str, Any], guard: int) -> None:
    """Loads the function that the worker's first order names, and trains its trials.

    Raises:
        messages.Lost: the worker is gone.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    nudges.leave()
    os.register_at_fork(after_in_child=nudges.forget)
    try:
        function = load(order["objective"], order.get("function"))
    except ValueError as error:
        channel.send({"is": "unusable", "reason": str(error)})
        return
    module = "" if order.get("function") else order["objective"].partition(":")[0]
    channel.send({"is": "loaded", "guard": guard, "code": codes.of(module, order["folder"])})
    objective = Objective(channel, function, order["space"], order.get("study", {}))
    while order := channel.receive() or {}:
        if order["do"] == "train":  # an `end` that came too late is nothing
            channel.send(objective.train(trials.View(objective, order)))
        elif order["do"] == "record":
            channel.send(objective.train(recordings.Recording(objective, {**order, **UNSAMPLED})))


def load(name: str, file: str | None = None) -> Callable[[Any], Any]:
    """The function called `package.module:function`, or the one of a private file.

    Raises:
        ValueError: no such module or function.
    """
    module, _, function = name.partition(":")
    os.environ[pickles.LOADING] = name
    try:
        found = pickles.load(file) if file else getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:  # whatever a module of the user's does when it is imported
        reason, _ = mishaps.told(error)
        raise ValueError(f"objective must name a function that can be imported here, got {name!r}: {reason}") from error
    finally:
        os.environ.pop(pickles.LOADING, None)
    if not callable(found):
        raise ValueError(f"objective must name a function, got {name!r}, which is {type(found).__name__}")
    return found


class Objective:
    """Runs the function for one trial after another.

    Code of others does not look whether it should stop: a signal raises that inside it.

    Args:
        space: Optuna's JSON of each parameter's distribution.
        study: what `trial.study` says: name, direction, metric.
    """

    def __init__(
        self,
        channel: messages.Channel,
        function: Callable[[Any], Any],
        space: dict[str, str],
        study: dict[str, str],
    ) -> None:
        self._channel, self._function = channel, function
        self.study = studies.View(**study)
        self.space = {name: distributions.json_to_distribution(text) for name, text in space.items()}
        self._is_inside = False
        self._must_end = False
        signal.signal(nudges.NUDGE, self._on_nudge)

    def train(self, trial: trials.View) -> dict[str, Any]:
        """The message that a trial ends with."""
        self._must_end = False
        try:
            run = self._run_generator if inspect.isgeneratorfunction(self._function) else self._run_plain
            ended = run(trial)
        except messages.Lost:
            if not self._must_end:
                raise
            return {"is": "over"}
        except BaseException as error:  # noqa: BLE001  # whatever it is, the worker judges it
            if self._must_end:
                return {"is": "over"}
            reason, trace = mishaps.told(error, _theirs(error.__traceback__))
            ended = {"is": "failed", "reason": reason, "trace": trace, "memory": mishaps.is_out_of_memory(error)}
        return {**ended, "attrs": trial.take_attrs()}

    def _run_generator(self, trial: trials.View) -> dict[str, Any]:
        epochs: Generator[Any, None, Any] = self._function(trial)
        value, step = None, 0
        while True:
            with self._inside():
                reported = next(epochs, ENDED)
            if reported is ENDED:
                break
            step = max(step, trial.restored_step) + 1  # it goes on from where it asked to
            value = trials.number(reported, f"what it yields after epoch {step}")
            self.ask({"is": "report", "step": step, "value": value, "attrs": trial.take_attrs()})
            reason = f"the {step}. value is nan" if math.isnan(value) else self.ask({"is": "prune?"})["reason"]
            if reason:
                with self._inside():
                    epochs.close()
                return {"is": "pruned", "value": None if math.isnan(value) else value, "reason": reason}
        value = trial.last if value is None else value  # of one that was interrupted at its end
        if value is None:
            raise ValueError("the objective yielded nothing")
        return {"is": "complete", "value": value}

    def _run_plain(self, trial: trials.View) -> dict[str, Any]:
        try:
            with self._inside():
                returned = self._function(trial)
        except optuna.TrialPruned as pruned:
            reason = trial.reason or str(pruned) or "pruned by the objective"
            last = None if trial.last is None or math.isnan(trial.last) else trial.last
            return {"is": "pruned", "value": last, "reason": reason}
        value = trials.number(returned, "what it returns")
        if math.isnan(value):
            return {"is": "pruned", "value": None, "reason": "the value is nan"}
        return {"is": "complete", "value": value}

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Says something to the worker, and returns what it answers.

        Raises:
            Interrupted: the trial must end.
        """
        was_inside, self._is_inside = self._is_inside, False  # our code is not to be interrupted
        try:
            self._channel.send(message)
            answer = self._channel.receive() or {}
            if answer["do"] == "end":
                self._end()
            return answer
        finally:
            self._is_inside = was_inside

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        """The user's code runs: it may be interrupted. That comes out, though it were caught."""
        self._is_inside = True
        try:
            self._look()
            yield
        finally:
            self._is_inside = False
            if self._must_end:
                raise Interrupted

    def _on_nudge(self, *_: object) -> None:
        if self._is_inside:
            self._look()

    def _look(self) -> None:
        """Inside, no answer is due: whatever the worker says is that the trial must end."""
        if self._channel.is_spoken_to:
            self._end()

    def _end(self) -> None:
        self._must_end = True
        raise Interrupted


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """The first frame that is not of this package."""
    first = trace
    while first is not None and first.tb_frame.f_globals.get("__package__") == __package__:
        first = first.tb_next
    return first or trace
