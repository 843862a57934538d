"""A trial as Optuna's users know it, with the configuration that the study file's space gave it."""

import json
import os
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

import optuna
from optuna import distributions
from optuna.distributions import BaseDistribution  # in a class that has `distributions` itself

from . import snapshots, studies, values

PREFIX = "search:"  # of attributes of a trial that are the search's own
KEY_CHARACTERS = 512  # what Optuna's column of attribute names holds
NAME_CHARACTERS = 200  # of an artifact


class Owner(Protocol):
    """What a trial speaks to."""

    space: dict[str, distributions.BaseDistribution]
    study: studies.View

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """See `objectives.Objective`."""


class View(optuna.trial.FixedTrial):
    """The trial.

    Args:
        order: the worker's, to train it (`messages`).

    Attributes:
        seed: of its training: the study's own, or another for each repeat; below 2**32.
        dir: a folder of its own on this machine; what is in it at the end stays there.
        reason: why the study's pruner would end it, where that was asked for.
        last: the last reported value.
        restored_step: what `restore` has given is after this step; 0 where it gave nothing.
    """

    def __init__(self, owner: Owner, order: dict[str, Any]) -> None:
        params: dict[str, Any] = order["params"]
        super().__init__(params, number=order["number"])
        self.seed: int = order["seed"]
        for name, value in order["attrs"].items():
            super().set_user_attr(name, value)
        self.reason: str | None = None
        self.last: float | None = None
        self.dir = pathlib.Path(order["folder"])
        self._saved, self._kept, self.restored_step = order["saved"], 0, 0
        self._given, self._owner = params, owner
        self._attrs: dict[str, Any] = {}
        self._trial_id = self.number  # a callback of PyTorch Lightning's asks for it, and then does nothing with it
        self._steps: set[int] = set()

    @property
    def params(self) -> dict[str, Any]:
        """The configuration."""
        return dict(self._given)

    @property
    def relative_params(self) -> dict[str, Any]:
        """The same: all of it was sampled before the objective began."""
        return self.params

    @property
    def study(self) -> studies.View:
        """What callbacks of other frameworks ask for: name and direction."""
        return self._owner.study

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        studies.refuse("trial", name)

    def set_constraint(self, key: str, value: float) -> None:
        """Constraints bind no sampler here: that is said, and not passed over."""
        raise ValueError(
            f"set_constraint({key!r}): no sampler here keeps to constraints; a value of nan prunes a trial"
        )

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """The sampled value, where the study file says the same of the parameter."""
        self._expect(name, distributions.FloatDistribution(low, high, log=log, step=step))
        return super().suggest_float(name, low, high, step=step, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """See `suggest_float`."""
        self._expect(name, distributions.IntDistribution(low, high, log=log, step=step))
        return super().suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """See `suggest_float`."""
        self._expect(name, distributions.CategoricalDistribution(choices))
        return super().suggest_categorical(name, choices)

    def report(self, value: float, step: int) -> None:
        """Stores the value of a step; raises where the trial must end."""
        step = _step(step)
        value = number(value, f"what it reports at step {step}")
        if step in self._steps:  # as Optuna does: the first value of a step stays
            warnings.warn(f"a second value of step {step} is ignored, as Optuna does", stacklevel=2)
            return
        self._steps.add(step)
        self.last = value
        self._owner.ask({"is": "report", "step": step, "value": self.last, "attrs": self.take_attrs()})

    def should_prune(self) -> bool:
        """Whether the study's pruner would end the trial after its last report."""
        self.reason = self._owner.ask({"is": "prune?"})["reason"]
        return self.reason is not None

    def artifact(self, path: Any, name: str | None = None) -> str:
        """Keeps a file with the trial, as it is now, and returns its id; it takes the place of one of the same name.

        Args:
            name: the file's own where none is given; it may have slashes within it.
        """
        whole = os.path.abspath(os.fspath(path))  # noqa: PTH100  # a link of the user's keeps its name
        name = _name(os.path.basename(whole) if name is None else name)  # noqa: PTH119
        if not os.path.isfile(whole):  # noqa: PTH113
            more = ": pack a folder first, as shutil.make_archive does" if os.path.isdir(whole) else ""  # noqa: PTH112
            raise FileNotFoundError(f"artifact: there is no file {whole}{more}")
        answer = self._owner.ask({"is": "artifact", "path": whole, "name": name})
        if answer["do"] == "refused":
            raise ValueError(f"artifact: {answer['reason']}")
        kept: str = answer["id"]
        return kept

    def checkpoint(self, state: bytes | str | os.PathLike[str], step: int | None = None) -> None:
        """Keeps what the training can go on from, should it be interrupted: see `restore`.

        Args:
            state: bytes, or a file or folder, which is copied.
            step: the step that it is after; None for the last one that was reported. Of a step that is yet to be
                reported it is stored together with that report.

        Raises:
            TypeError: it is something else.
            OSError: the file cannot be read.
        """
        self._kept += 1
        target = self.dir / snapshots.SCRATCH / f"checkpoint-{self._kept}"
        kind = snapshots.keep(state, target)
        step = None if step is None else _step(step)
        self._owner.ask({"is": "checkpoint", "path": str(target), "kind": kind, "step": step})

    def restore(self) -> Any:
        """What was given to `checkpoint` last, by whoever trained this trial before: bytes, or a path of a copy.

        None for a training that starts at its beginning.
        """
        if self._saved is None:
            return None
        self.restored_step, self.last = self._saved["step"], self._saved["value"]
        return snapshots.give_back(pathlib.Path(self._saved["path"]), self._saved["kind"], self.dir / snapshots.SCRATCH)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Stores an attribute with the next report, or with the end of the trial, whatever it is."""
        if str(key).startswith(PREFIX):
            raise ValueError(f"attribute {key!r}: names that begin with {PREFIX!r} are the search's own")
        self._attrs[key] = value = _plain(key, value)
        super().set_user_attr(key, value)

    def take_attrs(self) -> dict[str, Any]:
        """User attributes that the worker does not know yet."""
        attrs, self._attrs = self._attrs, {}
        return attrs

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """What each value of the configuration was chosen from."""
        return {name: self._owner.space[name] for name in self._given}

    def _expect(self, name: str, suggested: BaseDistribution) -> None:
        if name not in self._owner.space:
            raise ValueError(f"the objective suggests {name}, which is not in the study file's [space]")
        if self._owner.space[name] != suggested:
            raise ValueError(f"space.{name} is {self._owner.space[name]}, the objective suggests {suggested}")
        if name not in self._given:
            raise ValueError(f"the objective suggests {name}, which does not exist beside {self._given}")


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


def _name(name: Any) -> str:
    """The name of an artifact, which may be a path below the trial's."""
    parts = name.split("/") if isinstance(name, str) else []
    if not 0 < len("/".join(parts)) <= NAME_CHARACTERS or not name.isprintable() or {"", ".", ".."} & set(parts):
        raise ValueError(
            f"artifact: a name must be 1 to {NAME_CHARACTERS} printable characters, and a path within, got {name!r}"
        )
    return str(name)


def _as_list(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _step(step: Any) -> int:
    if int(step) != step or not 0 <= int(step) <= values.LARGEST_STEP:
        raise ValueError(f"a step must be an integer from 0 to {values.LARGEST_STEP}, got {step!r}")
    return int(step)


def number(value: Any, what: str) -> float:
    """A value as a float.

    Raises:
        ValueError: it is none; the message begins with `what`.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{what} must be a number, got {value!r}") from None
