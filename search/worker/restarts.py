"""Keeps one worker alive: what `search work --restart` becomes, a process of 15 MB that starts its worker again.

It imports nothing that trains or knows a database, so that whoever runs out of memory is the worker, not its keeper.
"""

import itertools
import logging
import os
import sys
import threading
from typing import NoReturn

from search import errors, events
from search.worker import processes, signals, starts

log = logging.getLogger("search")

LOOK_SECONDS = 0.5
# what counts as quick: loading torch on a busy machine, and compiling the engine, come before the first trial
QUICK_SECONDS = 60.0


def become(arguments: list[str], environment: dict[str, str]) -> NoReturn:
    """Puts the keeper of a worker in the place of this process, which has loaded too much to be one.

    Args:
        arguments: what follows `search work`.
        environment: added to this process's own.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [*starts.BEGIN, "--keep", *arguments], {**os.environ, **environment})  # noqa: S606


def keep(worker: processes.Processes, stop: threading.Event, reaps: bool = False) -> int:
    """Starts a worker, and again where it was killed or failed, until it ends well, `stop` is set, or it is given up.

    Args:
        reaps: processes that become this one's, whose parents were killed, are heard of: it is to start no others.

    Returns:
        The worker's exit code, with 128 and the number of the signal where it was killed.
    """
    worker.start(1)
    try:
        while worker.alive and not stop.is_set():
            worker.look()
            if reaps:
                worker.reap_others()
            stop.wait(LOOK_SECONDS)
    except errors.WorkFailed as given_up:
        log.error("event=given-up reason=%r", str(given_up))
        return given_up.exit_code
    worker.stop()
    while worker.alive:  # it hands its trial over; whoever cannot wait kills us, and it ends with its parent
        worker.wait(LOOK_SECONDS)
    code = worker.exit_code
    return code if code >= 0 else 128 - code


def main(arguments: list[str]) -> int:
    """The keeper's whole life; SIGTERM and Ctrl-C reach its worker, a second Ctrl-C kills it."""
    if ("--log-format", events.JSON) in itertools.pairwise(arguments):
        events.turn_on(logging.INFO)
    else:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = threading.Event()
    worker = processes.Processes(arguments, {}, None, after_errors=True, quick_seconds=QUICK_SECONDS)
    interrupted = signals.stop_on(stop, then=worker.kill)
    code = keep(worker, stop, reaps=True)
    return 130 if interrupted.is_set() else code
