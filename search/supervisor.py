"""Creates or resumes a study and works it off with local workers, under a live display."""

import logging
import pathlib
import threading

from rich import console
from rich.logging import RichHandler

from search import display, errors, local, orders, signals, store, study, study_file

POLL_SECONDS = 0.5
STOP_SECONDS = 15.0
LAST_LOOK_SECONDS = 10.0

err = console.Console(stderr=True)


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


def check_training(spec: study_file.StudySpec, data_dir: pathlib.Path, device: str, engine: str | None) -> None:
    """What all workers need is looked for once, before any of them starts."""
    if spec.training is None:
        from search import own_objective

        own_objective.load(spec.objective or "")
        return
    if spec.training.dataset == "fashion-mnist":
        from models import sources

        with err.status("looking for FashionMNIST ..."):
            for name, path in sources.find(data_dir).items():
                sources.load(path, name)
    if device != "cpu" or (engine or spec.training.engine) != "auto":
        from models import engines  # imports torch

        engines.load(engine or spec.training.engine, device)


def supervise(here: store.Store, of: study.Study, count: int, arguments: list[str]) -> int:
    """Runs local workers until the study is finished; returns the exit code."""
    history = here.history(of.study_id)
    summary = study.summary(here, of, history)
    if summary.done >= summary.budget and not any(not t.state.is_finished() for t in summary.trials):
        return 0
    live = err.is_terminal
    log_file = None
    if live:
        log_file = pathlib.Path("runs", f"{of.name}.log")
        log_file.parent.mkdir(exist_ok=True)
        logging.basicConfig(
            level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=err, show_path=False)]
        )
    else:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = threading.Event()
    here.stop = stop
    workers = local.LocalWorkers(arguments, {"SEARCH_STORAGE": here.url}, log_file)
    interrupted = signals.stop_on(stop, then=workers.kill)
    try:
        workers.start(count)
        with display.Live(err) if live else _Quiet() as screen:
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
    if stop.is_set():
        err.print(f"stopped; `search run {of.name}` goes on", highlight=False)
        return 130 if interrupted.is_set() else 0
    if workers.exit_code and log_file:
        err.print(workers.last_words(), highlight=False, markup=False)
    if summary.order.state is orders.State.STOPPED:
        err.print(f"study {of.name!r} was stopped; `search run {of.name}` goes on", highlight=False)
    # a worker may have failed, and the others have done its share
    return 0 if summary.done >= summary.budget else workers.exit_code


class _Quiet:
    """Where stderr is no terminal, the workers' log lines are the progress."""

    def __enter__(self) -> "_Quiet":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, summary: study.Summary, workers: int, note: str = "") -> None:
        """Nothing."""


def print_notes(spec: study_file.StudySpec) -> None:
    """What reading the file has dropped."""
    for note in spec.notes:
        _note(note)


def _note(text: str) -> None:
    err.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)
