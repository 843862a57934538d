"""An objective of the user's own, trained in a process of its own (`search/child/`)."""

import pathlib
import signal
import threading
from typing import Any

from optuna import distributions
from optuna.trial import TrialState

from search import errors
from search.study import specs
from search.training import children, records, seeds
from search.training.objectives import Failed, Result, Trial

LOOK_SECONDS = 0.2  # between two looks whether the trial must end


class FunctionObjective:
    """Calls `objective = "package.module:function"` of a study file with an Optuna trial.

    A generator function yields the metric after each epoch; a plain function returns it at the end, and may use
    `report` and `should_prune`. As many trials at once as there are threads that call it, each in a process that is
    kept for the next one.

    Raises:
        errors.InputError: the function is not to be had.
    """

    def __init__(self, spec: specs.StudySpec) -> None:
        self._spec = spec
        self._lock = threading.Lock()
        self._idle: list[children.Child] = []
        self._idle.append(self._start())

    def __call__(self, trial: Trial) -> Result:
        """Runs the function to its end, or until a pruner ends the trial.

        Raises:
            objectives.Failed: it raised, or its process ended.
            errors.SearchError: the trial must end.
        """
        child = self._take() or self._start()
        try:
            message = self._talk(child, trial)
        except children.Gone as gone:
            child.close()
            raise Failed(f"{gone} inside the objective", "", is_memory=gone.code == -signal.SIGKILL) from None
        except BaseException:
            if child.end_trial():
                self._put_back(child)
            else:
                child.close()
            raise
        is_memory = message.get("memory", False)
        if is_memory:  # what it holds goes with it
            child.close()
        else:
            self._put_back(child)
        trial.keep(message["attrs"])  # of one that fails too
        if message["is"] == "failed":
            raise Failed(message["reason"], message["trace"], is_memory)
        if message["is"] == "pruned":
            return Result(TrialState.PRUNED, message["value"], {records.REASON.name: message["reason"]})
        return Result(TrialState.COMPLETE, message["value"], {})

    def close(self) -> None:
        """Ends the processes."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> children.Child | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _put_back(self, child: children.Child) -> None:
        with self._lock:
            self._idle.append(child)

    def _start(self) -> children.Child:
        """A process that has loaded the function.

        Raises:
            errors.InputError: the function is not to be had.
        """
        child = children.Child()
        try:
            space = {p.name: distributions.distribution_to_json(p.distribution) for p in self._spec.space.parameters}
            child.send(
                {"do": "load", "objective": self._spec.objective, "folder": str(pathlib.Path.cwd()), "space": space}
            )
            said = child.receive(None)
            if said is not None and said["is"] == "unusable":
                raise errors.InputError(said["reason"])
            child.code = (said or {}).get("code", {})
        except children.Gone as gone:
            child.close()
            raise errors.InputError(f"objective {self._spec.objective!r}: {gone} when it was imported") from None
        except BaseException:
            child.close()
            raise
        return child

    def _talk(self, child: children.Child, trial: Trial) -> dict[str, Any]:
        """Has a trial trained; returns the message that it ends with."""
        attrs = {records.REPEAT.name: trial.repeat} if trial.repeat else {}
        seed = seeds.of(self._spec.study.seed, trial.repeat)
        trial.keep({records.CODE.name: child.code, records.SEED.name: seed})
        child.send({"do": "train", "number": trial.number, "seed": seed, "params": trial.params, "attrs": attrs})
        while True:
            message = child.receive(LOOK_SECONDS)
            if message is None:
                trial.check_stop()
            elif (answer := _answer(trial, message)) is not None:
                child.send(answer)
            else:
                return message


def _answer(trial: Trial, message: dict[str, Any]) -> dict[str, Any] | None:
    """What the process is told; None where the trial has ended."""
    if message["is"] == "report":
        trial.report(message["step"], message["value"], message["attrs"])
        trial.check_stop()
        return {"do": "go on"}
    if message["is"] == "prune?":
        return {"do": "prune", "reason": trial.should_prune()}
    return None


def check(spec: specs.StudySpec) -> None:
    """Looks whether the function is to be had here.

    Raises:
        errors.InputError: it is not.
    """
    FunctionObjective(spec).close()
