"""Creates or resumes a study and works it off with local workers, under a live display."""

import dataclasses
import signal
import threading
import time

from search import errors, lines, screens
from search.ledger import news, outcomes, resumptions, studies, summaries
from search.storage import databases
from search.study import specs
from search.worker import gates, notifiers, processes, progress, publishers, signals
from search.worker.settings import Settings

POLL_SECONDS = 0.5
LOOKING = 9  # times as long as a look takes, none follows
STOP_SECONDS = 15.0
LAST_LOOK_SECONDS = 10.0
# what a worker ended with that says more than 1
TELLING_CODES = (errors.InputError.exit_code, errors.TookItselfOut.exit_code)


@dataclasses.dataclass(frozen=True)
class End:
    """How local work on a study ended.

    Attributes:
        summary: the study then.
        interrupted: the signal that ended it, or None.
        code: the worst exit code of its workers.
    """

    summary: summaries.Summary
    interrupted: signal.Signals | None = None
    code: int = 0

    @property
    def is_well(self) -> bool:
        """Whether the study came to what its file asks for."""
        return outcomes.shortfall(self.summary) is None

    def check(self) -> None:
        """Passes what ended well: a worker may have failed, and the others have done its share.

        Raises:
            errors.WorkFailed: less was done than was asked for, and why.
            KeyboardInterrupt: Ctrl-C ended it; `errors.Interrupted`: another signal did.
        """
        why = outcomes.shortfall(self.summary)
        if why is None:
            return
        if self.interrupted is signal.SIGINT:
            raise KeyboardInterrupt
        name = self.summary.study.name
        if self.interrupted is not None:
            raise errors.Interrupted(
                f"study {name!r}: ended by {self.interrupted.name}, running trials were handed over; "
                f"{self.summary.study.spec.again} goes on",
                128 + self.interrupted,
            )
        failed = f"a worker failed with exit code {self.code}, see its log above; " if self.code > 1 else ""
        line = outcomes.line(self.summary, f"{failed}{why}")
        raise errors.WorkFailed(line, self.code if self.code in TELLING_CODES else 1)


def begin(database: databases.Database, spec: specs.StudySpec) -> studies.Study:
    """The study of a file, a new one or the one that is there, with notes for its user.

    Raises:
        errors.StudyExists: the one that is there has another space or training.
    """
    found, notes = resumptions.begin(database, spec)
    for note in notes:
        progress.note(note)
    return found


def ready(spec: specs.StudySpec, url: str, settings: Settings) -> gates.Ready:
    """Workers of a study that is yet to be made or found, for `supervise`: they load what they need meanwhile."""
    found = gates.Ready(*_words(spec.name, url, settings), spec.training is not None)
    found.start(settings.count)
    return found


def _words(name: str, url: str, settings: Settings) -> tuple[list[str], dict[str, str]]:
    """What a worker is told: arguments, and what is added to its environment."""
    return [*settings.arguments(name), "--judged"], {"SEARCH_STORAGE": url}


def supervise(
    database: databases.Database,
    study: studies.Study,
    settings: Settings,
    label: str = "",
    ready: gates.Ready | None = None,
) -> End:
    """Runs local workers until the study is finished; returns how that ended.

    Args:
        label: shown behind the study's name.
        ready: workers that were started before.
    """
    stop = threading.Event()
    database = database.patient(settings.patience_seconds, stop)
    summary = summaries.summary(database, study)
    if summary.done >= summary.budget and summary.is_at_rest:
        notifiers.Notifier(database, study.study_id, stop).part(LAST_LOOK_SECONDS)
        return End(summary)
    view, log_file = progress.screen(study, label, settings.log_format)
    workers = processes.Processes(*_words(study.name, database.url, settings), log_file, ready=ready)
    publisher = publishers.Publisher(study, database.url, settings.gpu_locks, log_file, settings.log_format)
    with publisher, signals.stopping(stop, then=workers.kill) as interrupted:
        summary = _work(database, study, settings, view, workers, stop)
    end = End(summary, interrupted.number if stop.is_set() else None, workers.exit_code)
    if end.interrupted is signal.SIGINT and not end.is_well:
        screens.say(f"stopped; {study.spec.again} goes on", where=screens.err)
    if end.interrupted is None and workers.exit_code and log_file:
        for line in lines.block(workers.last_words()).split("\n"):
            screens.say(line, where=screens.err)
    return end


def _work(
    database: databases.Database,
    study: studies.Study,
    settings: Settings,
    view: progress.Live | progress.Quiet,
    workers: processes.Processes,
    stop: threading.Event,
) -> summaries.Summary:
    """Starts the workers and looks at them until they have ended, or are to stop; returns what there is then."""
    summary, told = summaries.summary(database, study), news.News(database, study)
    try:
        workers.start(settings.count)
        with view as screen:
            while workers.alive and not stop.is_set():
                workers.look()
                began = time.monotonic()
                summary = summaries.summary(database, study)
                note = "compiling the CPU engine for this machine: once, half a minute" if workers.are_compiling else ""
                screen.update(summary, told.read(database), workers.alive, note)
                # a large study, or one far away, is not to be kept busy by being looked at
                workers.rest(max(POLL_SECONDS, LOOKING * (time.monotonic() - began)), stop)
            if stop.is_set():
                stopping = "stopping: running trials are handed over (Ctrl-C again: at once)"
                screen.update(summary, (), 0, stopping)
                workers.stop()
                workers.wait(STOP_SECONDS)
            last = database.patient(LAST_LOOK_SECONDS)
            if not stop.is_set():  # the last of the workers may have been killed before it told of the end
                notifiers.Notifier(last, study.study_id, stop).part(LAST_LOOK_SECONDS)
            summary = summaries.summary(last, study)
            screen.update(summary, told.read(last), 0)
    except errors.Interrupted:
        pass
    finally:
        workers.stop()
        workers.wait(STOP_SECONDS)
        workers.kill()
    return summary
