"""When a training has taken too long: an epoch, all of it, or since its code was heard of last."""

import contextlib
from collections.abc import Callable, Iterator

from search import errors
from search.study import sections


class Timeouts:
    """Of one trial.

    Args:
        epoch_seconds: how long an epoch may take; None for no limit.
        limits: of the study file.
        clock: seconds that training takes; of a GPU its share.
        wall: by which the code is silent; None for the same.

    Attributes:
        epoch: that is trained now, and `started`, since when.
    """

    def __init__(
        self,
        epoch_seconds: float | None,
        limits: sections.Trial,
        clock: Callable[[], float],
        wall: Callable[[], float] | None = None,
    ) -> None:
        self._epoch_seconds, self._limits, self._now, self._wall = epoch_seconds, limits, clock, wall or clock
        self.begin(1)

    def begin(self, epoch: int) -> None:
        """An epoch is trained from now on."""
        self.epoch = epoch
        self.started, self._heard = self._now(), self._wall()

    def heard(self) -> None:
        """The code has printed or done something."""
        self._heard = self._wall()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """A context in which the code waits for an answer: its epoch does not count that."""
        asked = self._now()
        yield
        now = self._now()
        self.started = min(now, self.started + now - asked)
        self.heard()

    def passed(self, seconds: float) -> errors.TrialTimeout | None:
        """What the trial fails for, which has trained for so long; or None."""
        limits, now = self._limits, self._now()
        if self._epoch_seconds is not None and now - self.started > self._epoch_seconds:
            return errors.EpochTimeout(
                f"epoch {self.epoch} took longer than budget.epoch_seconds = {self._epoch_seconds:g}"
            )
        if limits.max_seconds is not None and seconds > limits.max_seconds:
            return errors.TrialTimeout(f"it took longer than trial.max_seconds = {limits.max_seconds:g}")
        if limits.silent_seconds is not None and self._wall() - self._heard > limits.silent_seconds:
            return errors.TrialTimeout(
                f"it neither reported nor printed anything for trial.silent_seconds = {limits.silent_seconds:g}"
            )
        return None
