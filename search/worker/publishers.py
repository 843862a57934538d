"""Has a study published while it is worked on, by a process beside: a place that is silent holds no trial up."""

import logging
import os
import pathlib
import subprocess
import threading
import time
from typing import Any

import filelock

from search import errors, events, words
from search.ledger import studies
from search.worker import leases, starts

log = logging.getLogger("search")

END_SECONDS = 15.0  # that a worker's end waits for what is left to send
LOOK_SECONDS = 0.5
TURN_SECONDS = 2.0  # between two looks whether the others' process is gone
AGAIN_SECONDS = 60.0  # after one that was killed


class Publisher:
    """Keeps one process of `search publish` for a study, whatever number of workers of this machine are at it.

    Where the study's file has no [publish] it does nothing.

    Args:
        url: of the database; it goes by the environment.
        locks: folder with the lock by which workers agree; None for the user's own.
        log_file: where the process's log goes; None for this process's own stderr.
        log_format: of that log; see `events`.
    """

    def __init__(
        self,
        study: studies.Study,
        url: str,
        locks: pathlib.Path | None = None,
        log_file: pathlib.Path | None = None,
        log_format: str = events.PLAIN,
    ) -> None:
        self._study, self._url, self._locks, self._log_file = study, url, locks, log_file
        self._log_format = log_format
        self._stop, self._deadline = threading.Event(), float("inf")
        self._thread = threading.Thread(target=self._run, daemon=True, name="publisher")

    def __enter__(self) -> "Publisher":
        if self._study.spec.publish.destinations:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ask()
        self.wait()

    @property
    def is_alive(self) -> bool:
        """Whether there is something to wait for."""
        return self._thread.is_alive()

    def ask(self) -> None:
        """Sends what is left, and ends; nobody waits for it."""
        self._deadline = min(self._deadline, time.monotonic() + END_SECONDS)
        self._stop.set()

    def wait(self) -> None:
        """Waits for that, at most `END_SECONDS` since it was asked for."""
        if self._thread.is_alive():
            self._thread.join(max(0.0, self._deadline - time.monotonic()) + LOOK_SECONDS)

    def _run(self) -> None:
        try:
            path = leases.folder(self._locks) / f"publish-{self._study.token}.lock"
            while not self._turn(path):
                pass
        except (errors.InputError, OSError) as error:
            log.warning("study=%r event=publish-fails reason=%r", self._study.name, str(error))

    def _turn(self, path: pathlib.Path) -> bool:
        """Whether this worker's part is done: it kept the process, or has seen others do so to their end."""
        is_last = self._stop.is_set()
        wait = max(0.0, self._deadline - time.monotonic()) if is_last else 0.0
        try:
            with filelock.FileLock(path, timeout=wait):
                self._keep()
                return True
        except filelock.Timeout:  # another worker of this machine keeps it
            self._stop.wait(TURN_SECONDS)
            return is_last

    def _keep(self) -> None:
        """Until this worker ends: then the process sends what is left."""
        while True:
            process = self._start()
            while process.poll() is None and not self._stop.wait(LOOK_SECONDS):
                pass
            if process.poll() is None:
                self._end(process)
                return
            if process.returncode == errors.InputError.exit_code:  # it has said what is missing here
                self._stop.wait()
                return
            log.warning("study=%r event=publisher-ended code=%d", self._study.name, process.returncode)
            self._stop.wait(AGAIN_SECONDS)

    def _start(self) -> "subprocess.Popen[bytes]":
        # a session of its own: Ctrl-C is the worker's, which has something to send then
        how: dict[str, Any] = {"env": {**os.environ, "SEARCH_STORAGE": self._url}, "start_new_session": True}
        command = [*starts.BEGIN, "publish", "--attached", "--log-format", self._log_format, "--", self._study.name]
        if self._log_file is None:
            return subprocess.Popen(command, stdin=subprocess.PIPE, **how)
        with self._log_file.open("ab") as stream:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stream, stderr=stream, **how)

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        """By its stdin, which is there before it listens, and ends with this process too."""
        try:
            process.communicate(b".", max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            log.warning(
                "study=%r event=publish-unfinished note=%r",
                self._study.name,
                f"search publish {words.typed(self._study.name)} sends the rest",
            )


class Publishers:
    """Those of a worker that is at several studies; other arguments are `Publisher`'s."""

    def __init__(self, url: str, locks: pathlib.Path | None, log_format: str = events.PLAIN) -> None:
        self._url, self._locks, self._log_format = url, locks, log_format
        self._known: list[Publisher] = []

    def start(self, study: studies.Study) -> Publisher:
        """One more."""
        self._known = [each for each in self._known if each.is_alive]
        self._known.append(Publisher(study, self._url, self._locks, log_format=self._log_format).__enter__())
        return self._known[-1]

    def wait(self) -> None:
        """Until all that were asked to end have done so."""
        for each in self._known:
            each.wait()
