"""What a define-by-run objective suggests, found by running it in a process of its own with chosen values."""

import collections
import dataclasses
import pathlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from optuna import distributions

from search import errors, lines
from search.training import children

MOST = 200  # recordings
MIXTURES = 12  # of them with values at random: what only two values together bring about
LISTED = 16  # integers that are all tried; of a longer range both ends are
LOOK_SECONDS = 0.2
PATIENCE_SECONDS, PATIENCE = 1.0, 3  # without a suggestion, and times the longest wait for one, end a later recording

ENDS = ("complete", "pruned", "failed")

Values = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Recording:
    """One run of an objective.

    Attributes:
        values: what it was given, by name in the order of suggestion.
        is_whole: it came to its end, was ended where it asked whether it should be, or was quiet.
        is_quiet: it suggested nothing for so long that it was ended; it may have had more to suggest.
        error: what it failed with, or None.
        asks: it asked whether it should be pruned.
    """

    values: Values
    is_whole: bool
    is_quiet: bool
    error: str | None
    asks: bool


class Recorder:
    """Runs an objective again and again; ends with the context.

    Args:
        objective: `module:function`.
        folder: where its module is.
        seconds: for all of it.

    Attributes:
        space: what was suggested, by name.

    Raises:
        errors.InputError: the function is not to be had.
    """

    def __init__(self, objective: str, folder: pathlib.Path, seconds: float) -> None:
        self._name, self._folder = objective, folder
        self._until = time.monotonic() + seconds
        self.space: dict[str, distributions.BaseDistribution] = {}
        self._longest: float | None = None  # wait for a suggestion so far
        self._child: children.Child | None = None

    def __enter__(self) -> "Recorder":
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def seconds_left(self) -> float:
        """For all that is to come."""
        return self._until - time.monotonic()

    def explore(self) -> Iterator[Recording]:
        """Recordings that try each choice, one at a time where it was first seen, and then some mixtures."""
        todo = collections.deque([Values()])
        known: set[str] = set()
        mixtures = iter(range(MIXTURES))
        for _ in range(MOST):
            seed = None if todo else next(mixtures, None)
            if self.seconds_left <= 0 or not (todo or seed is not None):
                return
            wanted = todo.popleft() if todo else {}
            recording = self.record(wanted, None if seed is None else random.Random(seed))
            yield recording
            context = wanted if seed is None else recording.values
            new = [name for name in recording.values if name not in known]
            for name in new:
                known.add(name)
                tried = alternatives(self.space[name], recording.values[name])
                todo.extend({**context, name: value} for value in tried)
            if new and seed is not None:  # which of the values brought it about?
                old = [name for name in context if name not in new]
                todo.extend({**context, name: other} for name in old for other in self._others(name, context[name]))

    def _others(self, name: str, value: Any) -> list[Any]:
        """One or two values beside one."""
        found = alternatives(self.space[name], value)
        return [found[0], found[-1]] if len(found) > 1 else found

    def record(self, wanted: Mapping[str, Any], mix: random.Random | None = None) -> Recording:
        """One run: with these values, and for all else the first choice and the middle of each range, or any."""
        values: Values = {}
        seen: set[str] = set()
        try:
            with tempfile.TemporaryDirectory() as folder:
                ended = self._run(folder, lambda message: self._choose(message, wanted, mix, values), seen)
        except children.Gone as gone:
            self._close()
            ended = {"is": "failed", "reason": str(gone)}
        kind = ended["is"]
        error = ended["reason"] if kind == "failed" else None
        return Recording(values, kind not in ("failed", "late"), kind == "quiet", error, "prune?" in seen)

    def _run(self, folder: str, choose: Callable[[dict[str, Any]], float], seen: set[str]) -> dict[str, Any]:
        """Has the objective run; returns the message that it ends with, or `quiet` or `late` where it was ended.

        Args:
            seen: gets the kinds of messages that came.
        """
        child = self._child or self._start()
        child.send({"do": "record", "folder": folder})
        heard, limit = time.monotonic(), self._limit()
        while (now := time.monotonic()) < min(self._until, heard + limit):
            message = child.receive(LOOK_SECONDS)
            if message is None:
                continue
            seen.add(message["is"])
            if message["is"] in ENDS:
                return message
            answer: dict[str, Any] = {"do": "go on"}
            if message["is"] == "suggest":
                self._longest, heard = max(self._longest or 0.0, now - heard), now
                answer = {"do": "choose", "value": choose(message)}
            elif message["is"] == "prune?":
                answer = {"do": "prune", "reason": "it is only recorded"}
            child.send(answer)
        if not child.end_trial(lambda _: None):
            self._close()
        return {"is": "late" if time.monotonic() >= self._until else "quiet"}

    def _limit(self) -> float:
        """Seconds without a suggestion that end a recording: the first shows how long they take."""
        if self._longest is None:
            return max(1.0, self.seconds_left / 2)
        return max(PATIENCE_SECONDS, PATIENCE * self._longest)

    def _choose(
        self, message: dict[str, Any], wanted: Mapping[str, Any], mix: random.Random | None, values: Values
    ) -> float:
        """A value for a suggestion, as Optuna has it inside.

        Raises:
            errors.InputError: the parameter had another range before.
        """
        name, distribution = message["name"], distributions.json_to_distribution(message["distribution"])
        if self.space.setdefault(name, distribution) != distribution:
            raise errors.InputError(
                f"{self._name}: parameter {name} must have one range, which a study file can hold, got "
                f"{lines.said(str(self.space[name]))} and {lines.said(str(distribution))}: give them two names"
            )
        if name in values:
            return distribution.to_internal_repr(values[name])
        usually = usual(distribution) if mix is None else mixed(distribution, mix)
        values[name] = value = wanted.get(name, usually)
        return distribution.to_internal_repr(value)

    def _close(self) -> None:
        if self._child is not None:
            self._child.close()
        self._child = None

    def _start(self) -> children.Child:
        child = children.Child()
        try:
            child.send({"do": "load", "objective": self._name, "folder": str(self._folder), "space": {}})
            said = None
            while said is None and self.seconds_left > 0:
                said = child.receive(LOOK_SECONDS)
            if said is None:
                raise errors.InputError(
                    f"{self._name} was not imported in time: put what its module does behind "
                    '`if __name__ == "__main__":`, or give it more --seconds'
                )
            if said["is"] == "unusable":
                raise errors.InputError(said["reason"])
        except children.Gone as gone:
            child.close()
            raise errors.InputError(f"objective {self._name!r}: {gone} when it was imported") from None
        except BaseException:
            child.close()
            raise
        self._child = child
        return child


def usual(distribution: distributions.BaseDistribution) -> Any:
    """The first choice, the middle of a range."""
    if isinstance(distribution, distributions.CategoricalDistribution):
        return distribution.choices[0]
    return _at(distribution, 0.5)


def mixed(distribution: distributions.BaseDistribution, mix: random.Random) -> Any:
    """Any value."""
    if isinstance(distribution, distributions.CategoricalDistribution):
        return mix.choice(distribution.choices)
    return _at(distribution, mix.random())


def alternatives(distribution: distributions.BaseDistribution, value: Any) -> list[Any]:
    """What is tried beside a value: all other choices, all of a few integers, else both ends."""
    if isinstance(distribution, distributions.CategoricalDistribution):
        place = distribution.to_internal_repr(value)
        return [each for other, each in enumerate(distribution.choices) if other != place]
    if isinstance(distribution, distributions.IntDistribution):
        whole = range(distribution.low, distribution.high + 1, distribution.step)
        return [each for each in (whole if len(whole) <= LISTED else (whole[0], whole[-1])) if each != value]
    ends = (distribution.low, distribution.high)  # type: ignore[attr-defined]
    return [each for each in dict.fromkeys(ends) if each != value]


def _at(distribution: Any, share: float) -> Any:
    """The value so far along a range."""
    low, high = distribution.low, distribution.high
    value = low * (high / low) ** share if distribution.log else low + share * (high - low)
    if distribution.step is not None and not distribution.log:
        value = low + distribution.step * int((value - low) / distribution.step)
    value = min(max(value, low), high)
    return int(value) if isinstance(distribution, distributions.IntDistribution) else float(value)
