"""Creates or resumes a study and works it off with local workers, under a live display."""

import threading

from search import errors, lines, screens, words
from search.ledger import orders, studies, summaries
from search.storage import databases, histories
from search.study import specs
from search.worker import processes, progress, signals
from search.worker.settings import Settings

POLL_SECONDS = 0.5
STOP_SECONDS = 15.0
LAST_LOOK_SECONDS = 10.0


def begin(database: databases.Database, spec: specs.StudySpec) -> studies.Study:
    """The study of a file, a new one or the one that is there, with notes for its user.

    Raises:
        errors.StudyExists: the one that is there has another space or training.
    """
    found, notes = studies.create_or_resume(database, spec)
    for note in notes:
        progress.note(note)
    return found


def supervise(database: databases.Database, study: studies.Study, settings: Settings, label: str = "") -> int:
    """Runs local workers until the study is finished; returns the exit code.

    Args:
        label: shown behind the study's name.
    """
    stop = threading.Event()
    database = database.patient(settings.patience_seconds, stop)
    history = database.history(study.study_id)
    summary = summaries.summary(database, study, history)
    if summary.done >= summary.budget and not any(not t.state.is_finished() for t in summary.trials):
        return 0
    view, log_file = progress.screen(study, label)
    workers = processes.Processes(settings.arguments(study.name), {"SEARCH_STORAGE": database.url}, log_file)
    with signals.stopping(stop, then=workers.kill) as interrupted:
        summary = _work(database, study, settings, view, workers, stop, history)
    if stop.is_set():
        screens.say(f"stopped; `search run {words.typed(study.name)}` goes on", where=screens.err)
        return 130 if interrupted.is_set() else 0
    if workers.exit_code and log_file:
        for line in lines.block(workers.last_words()).split("\n"):
            screens.say(line, where=screens.err)
    if summary.order.state is orders.StudyState.STOPPED and summary.order.reason is None:
        name = words.typed(study.name)
        screens.say(f"study {study.name!r} was stopped; `search run {name}` goes on", where=screens.err)
    # a worker may have failed, and the others have done its share
    return 0 if summary.done >= summary.budget else workers.exit_code


def _work(
    database: databases.Database,
    study: studies.Study,
    settings: Settings,
    view: progress.Live | progress.Quiet,
    workers: processes.Processes,
    stop: threading.Event,
    history: histories.History,
) -> summaries.Summary:
    """Starts the workers and looks at them until they have ended, or are to stop; returns what there is then."""
    summary = summaries.summary(database, study, history)
    try:
        workers.start(settings.count)
        with view as screen:
            while workers.alive and not stop.is_set():
                workers.look()
                summary = summaries.summary(database, study, history)
                note = "compiling the CPU engine for this machine: once, half a minute" if workers.are_compiling else ""
                screen.update(summary, workers.alive, note)
                stop.wait(POLL_SECONDS)
            if stop.is_set():
                screen.update(summary, 0, "stopping: running trials are handed over (Ctrl-C again: at once)")
                workers.stop()
                workers.wait(STOP_SECONDS)
            summary = summaries.summary(database.patient(LAST_LOOK_SECONDS), study, history)
            screen.update(summary, 0)
    except errors.Interrupted:
        pass
    finally:
        workers.stop()
        workers.wait(STOP_SECONDS)
        workers.kill()
    return summary
