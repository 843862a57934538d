"""Creates or resumes a study and works it off with local workers, under a live display."""

import contextlib
import dataclasses
import logging
import os
import pathlib
import threading

import tqdm
from rich import console
from rich.logging import RichHandler

from search import errors
from search.ledger import orders, presence, study
from search.storage import histories, store
from search.study import study_file
from search.training import objectives
from search.worker import display, local, signals

POLL_SECONDS = 0.5
STOP_SECONDS = 15.0
LAST_LOOK_SECONDS = 10.0

err = console.Console(stderr=True)


@dataclasses.dataclass(frozen=True)
class Workforce:
    """How the workers of this machine train.

    Attributes:
        workers: processes; None for as many as fill the cores.
        slots: trials at once in each process.
        grace_seconds: see `presence`; `patience_seconds`: see `store`; `save_seconds`: see `checkpoint`.
    """

    workers: int | None = None
    data_dir: pathlib.Path = pathlib.Path("data")
    device: str = "cpu"
    engine: str | None = None
    grace_seconds: float = presence.GRACE_SECONDS
    patience_seconds: float = store.PATIENCE_SECONDS
    save_seconds: float = objectives.SAVE_SECONDS
    slots: int = 1

    @property
    def count(self) -> int:
        """How many there will be."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.workers or max(1, cores // self.slots)

    def arguments(self, name: str) -> list[str]:
        """What follows `search work`."""
        found = [name, "--data-dir", str(self.data_dir), "--device", self.device, "--grace", str(self.grace_seconds)]
        found += ["--patience", str(self.patience_seconds), "--checkpoint-seconds", str(self.save_seconds)]
        found += ["--slots", str(self.slots)]
        return [*found, "--engine", self.engine] if self.engine else found


def create_or_resume(here: store.Store, spec: study_file.StudySpec) -> study.Study:
    """The study of a file: a new one, or the one that is there already.

    Raises:
        errors.StudyExists: the one that is there has another space or training.
    """
    found = find_same(here, spec)
    if found is None:
        try:
            print_notes(spec)
            return study.create(here, spec)
        except errors.StudyExists:  # another run made it just now
            return create_or_resume(here, spec)
    order = here.read(lambda connection: orders.read(connection, found.study_id))
    if order.state is orders.State.STOPPED:
        orders.set_state(here, found.study_id, orders.State.ACTIVE)
        _note(f"study {spec.name!r} was stopped; it goes on now")
    return found


def find_same(here: store.Store, spec: study_file.StudySpec) -> study.Study | None:
    """The study of a file where it is there already, or None; notes what it keeps of its own.

    Raises:
        errors.StudyExists: it is there with another space or training.
    """
    found = study.find(here, spec.name)
    if found is None:
        return None
    if different := study_file.differences(found.spec, spec):
        raise errors.StudyExists(
            f"study {spec.name!r} exists with other settings: {'; '.join(different)}. "
            "Give the file another [study] name, or take its old settings back"
        )
    for section in ("sampler", "pruning"):
        if getattr(found.spec, section) != getattr(spec, section):
            _note(f"[{section}] of the file differs; the study keeps {getattr(found.spec, section)}")
    return found


def check_training(spec: study_file.StudySpec, force: Workforce) -> None:
    """What all workers need is looked for once, before any of them starts."""
    check_slots(spec, force.slots, force.device)
    if spec.training is None:
        from search.training import own_objective

        own_objective.load(spec.objective or "")
        return
    if spec.training.dataset == "fashion-mnist":
        from models import sources

        # in a notebook a spinner would need a package of widgets
        with contextlib.nullcontext() if err.is_jupyter else err.status("looking for FashionMNIST ..."):
            for name, path in sources.find(force.data_dir).items():
                sources.load(path, name)
    engine = force.engine or spec.training.engine
    if force.device != "cpu" or engine != "auto":
        from models import engines  # imports torch

        engines.load(engine, force.device)


def check_slots(spec: study_file.StudySpec, slots: int, device: str) -> None:
    """Where several trials can train in one process.

    Raises:
        errors.InputError: not here.
    """
    if slots > 1 and spec.training is None:
        raise errors.InputError(
            f"--slots must be 1 for the objective of study {spec.name!r}, got {slots}: code of your own is interrupted "
            "by a signal, which only one trial of a process can have; start more workers instead"
        )
    if slots > 1 and device != "cpu":
        raise errors.InputError(f"--slots must be 1 on device {device!r}, got {slots}: only the CPU has slots so far")


def supervise(here: store.Store, of: study.Study, force: Workforce, label: str = "") -> int:
    """Runs local workers until the study is finished; returns the exit code.

    Args:
        label: shown behind the study's name.
    """
    here.patience_seconds = force.patience_seconds
    history = here.history(of.study_id)
    summary = study.summary(here, of, history)
    if summary.done >= summary.budget and not any(not t.state.is_finished() for t in summary.trials):
        return 0
    view, log_file = _screen(of, label)
    stop = threading.Event()
    here.stop = stop
    workers = local.LocalWorkers(force.arguments(of.name), {"SEARCH_STORAGE": here.url}, log_file)
    with signals.stopping(stop, then=workers.kill) as interrupted:
        summary = _work(here, of, force, view, workers, stop, history)
    if stop.is_set():
        err.print(f"stopped; `search run {of.name}` goes on", highlight=False)
        return 130 if interrupted.is_set() else 0
    if workers.exit_code and log_file:
        err.print(workers.last_words(), highlight=False, markup=False)
    if summary.order.state is orders.State.STOPPED:
        err.print(f"study {of.name!r} was stopped; `search run {of.name}` goes on", highlight=False)
    # a worker may have failed, and the others have done its share
    return 0 if summary.done >= summary.budget else workers.exit_code


def _work(
    here: store.Store,
    of: study.Study,
    force: Workforce,
    view: "display.Live | _Quiet",
    workers: local.LocalWorkers,
    stop: threading.Event,
    history: histories.History,
) -> study.Summary:
    """Starts the workers and looks at them until they have ended, or are to stop; returns what there is then."""
    summary = study.summary(here, of, history)
    try:
        workers.start(force.count)
        with view as screen:
            while workers.alive and not stop.is_set():
                workers.look()
                summary = study.summary(here, of, history)
                note = "compiling the CPU engine for this machine: once, half a minute" if workers.are_compiling else ""
                screen.update(summary, workers.alive, note)
                stop.wait(POLL_SECONDS)
            if stop.is_set():
                screen.update(summary, 0, "stopping: running trials are handed over (Ctrl-C again: at once)")
                workers.stop()
                workers.wait(STOP_SECONDS)
            here.stop, here.patience_seconds = threading.Event(), LAST_LOOK_SECONDS
            summary = study.summary(here, of, history)
            screen.update(summary, 0)
    except errors.Interrupted:
        pass
    finally:
        workers.stop()
        workers.wait(STOP_SECONDS)
        workers.kill()
    return summary


def _screen(of: study.Study, label: str) -> tuple["display.Live | _Quiet", pathlib.Path | None]:
    """What shows the progress here, and where the workers' log goes meanwhile; None: to stderr."""
    if not (err.is_terminal or err.is_jupyter):
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
        return _Quiet(notebook=False), None
    log_file = pathlib.Path("runs", f"{of.name}.log")
    log_file.parent.mkdir(exist_ok=True)
    if err.is_jupyter:
        return _Quiet(notebook=True), log_file
    handler = RichHandler(console=err, show_path=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])
    return display.Live(err, label), log_file


class _Quiet:
    """Where stderr is no terminal: in a notebook a bar; else the workers' log lines are the progress."""

    def __init__(self, notebook: bool) -> None:
        self._bar = tqdm.tqdm(unit="trial", disable=not notebook)

    def __enter__(self) -> "_Quiet":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, summary: study.Summary, workers: int, note: str = "") -> None:
        """Takes in the study as it is now."""
        best = summary.best
        self._bar.total, self._bar.n = summary.budget, summary.done
        self._bar.set_description(summary.study.name, refresh=False)
        self._bar.set_postfix_str(note or (f"best {best.value:.4f}" if best else ""))


def print_notes(spec: study_file.StudySpec) -> None:
    """What reading the file has dropped."""
    for note in spec.notes:
        _note(note)


def _note(text: str) -> None:
    err.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)
