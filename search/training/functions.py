"""Code of the user's own, a function or a program, trained in a process of its own (`search/child/`)."""

import contextlib
import pathlib
import signal
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from optuna import distributions
from optuna.trial import TrialState

from search import errors
from search.child import codes, mishaps
from search.study import specs
from search.training import children, folders, invocations, leavings, objectives, records, shipments
from search.training.objectives import Failed, Refused, Result, Trial

LOOK_SECONDS = 0.2  # between two looks whether the trial must end
LAST_LINES = 20  # of what a program printed, beside its failure


class FunctionObjective:
    """Calls `objective = "package.module:function"` of a study file with an Optuna trial, or runs its `command`.

    A generator function yields the metric after each epoch; a plain function returns it at the end, and may use
    `report` and `should_prune`. As many trials at once as there are threads that call it, each in a process that is
    kept for the next one.

    Args:
        root: for the folders of trials of the study's database; None for one that goes with `close`.
        save_seconds: between two checkpoints of a program.

    Raises:
        errors.InputError: the function is not to be had.
        errors.WorkFailed: its process was killed.
    """

    def __init__(
        self, spec: specs.StudySpec, root: pathlib.Path | None = None, save_seconds: float = objectives.SAVE_SECONDS
    ) -> None:
        self._spec, self._save_seconds = spec, save_seconds
        self._lock = threading.Lock()
        self._temporary = tempfile.TemporaryDirectory(prefix="search-") if root is None else None
        self._folders = folders.Folders(
            root or pathlib.Path(self._temporary.name if self._temporary else ""), spec.name
        )
        self._idle: list[children.Child] = []
        self._is_closed = False
        try:
            self._idle.append(self._start())
        except children.Gone as gone:
            raise errors.WorkFailed(f"{self._named}: {gone} when it was started; is there enough memory?") from None

    def __call__(self, trial: Trial) -> Result:
        """Runs the code to its end, or until a pruner ends the trial.

        Raises:
            objectives.Failed: it failed, or its process ended.
            errors.SearchError: the trial must end.
        """
        if (reason := trial.should_prune() if trial.saved is not None else None) is not None:
            # what an earlier owner would have asked before it ended
            last = trial.saved.values[-1] if trial.saved and trial.saved.values else None
            return Result(TrialState.PRUNED, last, {records.REASON.name: reason})
        try:
            child = self._take() or self._start(trial.check_stop)
        except children.Gone as gone:
            raise Failed(f"{gone} when it was started", "", is_memory=True) from None
        folder = self._folders.begin(trial, trial.number, trial.is_new, trial.saved is not None)
        log = child.output.begin(folder, trial.heard)
        trial.watch(log, folder.finish)
        try:
            message = self._talk(child, trial, folder)
            result = self._result(trial, message, child.output.end())
            if self._spec.command is not None:
                leavings.keep_all(trial, folder.path)
            return result
        except children.Gone as gone:
            said = child.output.end()
            child.close()
            killed = gone.code == -signal.SIGKILL and not gone.by_us
            raise Failed(f"{gone} inside the objective", said, is_memory=killed) from None
        except objectives.Refused as refused:
            raise Failed(str(refused), "", is_memory=False) from None
        except Failed as failed:
            if failed.is_memory or mishaps.is_spoiled(str(failed)):  # what it holds, or has broken, goes with it
                child.close()
            raise
        except BaseException as error:
            is_over = False
            try:
                is_over = child.end_trial(lambda said: _part_with(trial, said, folder))
            finally:
                if not is_over or isinstance(error, errors.TrialTimeout):
                    child.close()
            raise
        finally:
            child.output.end()
            self._put_back(child)
            folder.end()

    @property
    def _named(self) -> str:
        return f"objective {self._spec.objective!r}" if self._spec.command is None else "command"

    def _result(self, trial: Trial, message: dict[str, Any], said: str) -> Result:
        trial.keep(message["attrs"])  # of one that fails too
        if message["is"] == "failed":
            reason, trace = message["reason"], message["trace"]
            if self._spec.command is not None:
                trace = "\n".join(said.splitlines()[-LAST_LINES:])
                reason += f": {last}" if (last := trace.rpartition("\n")[2].strip()) else ""
            told = reason if self._spec.command is None else trace
            raise Failed(reason, trace, message["memory"], mishaps.is_the_machines(told))
        if message["is"] == "pruned":
            return Result(TrialState.PRUNED, message["value"], {records.REASON.name: message["reason"]})
        return Result(TrialState.COMPLETE, message["value"], {})

    def close(self) -> None:
        """Ends the processes; of those that train, when they are put back."""
        with self._lock:
            self._is_closed = True
        while self._idle:
            self._idle.pop().close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _take(self) -> children.Child | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _put_back(self, child: children.Child) -> None:
        """Keeps a process for the next trial, where that is wanted; what a program left behind ends with it."""
        if self._spec.command is not None or self._spec.trial.process == "fresh":
            child.close()
        with self._lock:
            if not (child.is_closed or self._is_closed):
                self._idle.append(child)
                return
        child.close()

    def _start(self, check: Callable[[], None] = lambda: None) -> children.Child:
        """A process that has loaded the function.

        Args:
            check: raises where nobody waits for it any more: an import may hang.

        Raises:
            errors.InputError: the function is not to be had.
            children.Gone: it was killed.
        """
        child = children.Child()
        try:
            space = {p.name: distributions.distribution_to_json(p.distribution) for p in self._spec.space.parameters}
            study = self._spec.study
            order: dict[str, Any] = {"objective": self._spec.objective, "space": space}
            order["study"] = {"name": study.name, "direction": study.direction, "metric": study.metric}
            if self._spec.command is not None:
                order = {"program": True}
            elif (file := shipments.received(self._spec.objective or "")) is not None:
                order["function"] = str(file)
            child.send({"do": "load", "folder": str(pathlib.Path.cwd()), **order})
            while (said := child.receive(LOOK_SECONDS)) is None:
                check()
            if said["is"] == "unusable":
                raise errors.InputError(said["reason"])
            child.guard = said["guard"]
            child.code = (said or {}).get("code") or codes.of_program(self._spec.command or (), pathlib.Path.cwd())
        except children.Gone as gone:
            child.close()
            if gone.code == -signal.SIGKILL:  # by a machine without memory: nothing that the code did
                raise
            raise errors.InputError(f"{self._named}: {gone} when it was imported") from None
        except BaseException:
            child.close()
            raise
        return child

    def _talk(self, child: children.Child, trial: Trial, folder: folders.Folder) -> dict[str, Any]:
        """Has a trial trained; returns the message that it ends with."""
        order = invocations.order(self._spec, trial, folder, self._save_seconds)
        trial.keep({records.CODE.name: child.code, records.SEED.name: order["seed"]})
        child.send(order)
        while True:
            if (message := child.receive(LOOK_SECONDS)) is None:
                trial.check_stop()
                continue
            with trial.answering():
                answer = _answer(trial, message, folder)
            if answer is not None:
                child.send(answer)
            else:
                if message["is"] == "failed":  # by a signal that all processes were sent, perhaps
                    trial.check_stop()
                return message


def _answer(trial: Trial, message: dict[str, Any], folder: folders.Folder) -> dict[str, Any] | None:
    """What the process is told; None where the trial has ended."""
    if message["is"] == "report":
        trial.report(message["step"], message["value"], message["attrs"])
        trial.check_stop()
        return {"do": "go on"}
    if message["is"] == "checkpoint":
        _keep(trial, message, folder)
        trial.check_stop()
        return {"do": "go on"}
    if message["is"] == "prune?":
        trial.check_stop()
        return {"do": "prune", "reason": trial.should_prune()}
    if message["is"] == "artifact":
        try:
            answer = {"do": "kept", "id": trial.artifact(pathlib.Path(message["path"]), message["name"])}
        except Refused as refused:
            answer = {"do": "refused", "reason": str(refused)}
        trial.heard()  # now, not when it began: it may have taken a while
        trial.check_stop()
        return answer
    return None


def _keep(trial: Trial, message: dict[str, Any], folder: folders.Folder) -> None:
    """A checkpoint that the process handed over."""
    kept = folder.keep(pathlib.Path(message["path"]))
    trial.checkpoint(objectives.Payload(message["kind"], kept), message["step"])


def _part_with(trial: Trial, message: dict[str, Any], folder: folders.Folder) -> None:
    """The same of one that must end, and may be another's already."""
    with contextlib.suppress(errors.SearchError, OSError):
        if message["is"] == "checkpoint":
            _keep(trial, message, folder)
        elif message["is"] == "report":
            trial.report(message["step"], message["value"], message["attrs"])


def check(spec: specs.StudySpec) -> None:
    """Looks whether the function is to be had here.

    Raises:
        errors.InputError: it is not.
    """
    FunctionObjective(spec).close()
