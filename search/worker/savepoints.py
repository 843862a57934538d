"""What the training of a trial can go on from: the last of it that is stored, and what has come since."""

from collections.abc import Callable, Mapping

from search.training import objectives
from search.worker import keepers


class Savepoints:
    """Of one trial, as its owner holds them.

    Args:
        seconds: of training after which the next one is due to be stored.
        clock: seconds that training takes.
        keeper: of files that are too large for a row.

    Attributes:
        saved: the last that is stored; `unsaved`: one that came later, to be stored when the trial is handed over.
    """

    def __init__(
        self,
        saved: objectives.Checkpoint | None,
        seconds: float,
        clock: Callable[[], float],
        keeper: keepers.Keeper,
    ) -> None:
        self._keeper = keeper
        self.saved: objectives.Checkpoint | None = saved
        self.unsaved: objectives.Checkpoint | None = None
        self._seconds, self._now, self._last = seconds, clock, clock()
        # given before the report of its step, with which it is stored
        self._ahead: tuple[int, objectives.Payload] | None = None

    def begin(self) -> float:
        """The training starts now; by the clock."""
        self._last = self._now()
        return self._last

    def go_back(self) -> objectives.Checkpoint | None:
        """The training starts there once more; None for its start."""
        self.saved, self._ahead = self.unsaved or self.saved, None
        return self.saved

    def forget(self) -> None:
        """There is nothing to go on from."""
        self.saved = self.unsaved = self._ahead = None

    def due(self, checkpoint: objectives.Checkpoint | None) -> objectives.Checkpoint | None:
        """What is to be stored at once, as a row holds it; None where that is not due, or cannot be had now."""
        if checkpoint is None or self._now() - self._last < self._seconds:
            return None
        self._last = self._now()  # where it cannot be had now, the next one is due as much later
        return self._keeper.placed(checkpoint)

    def rest(self) -> objectives.Checkpoint | None:
        """What is to be stored when the trial is given back, as a row holds it."""
        return self._keeper.placed(self.unsaved)

    def put_ahead(self, step: int, payload: objectives.Payload) -> None:
        """Keeps what is after a step that is to be reported yet."""
        if self._ahead is not None:
            self._ahead[1].discard()
        self._ahead = step, payload

    def take_ahead(self, values: Mapping[int, float]) -> objectives.Checkpoint | None:
        """What was kept so and whose step has been reported by now; None where there is none."""
        if self._ahead is None or self._ahead[0] > max(values, default=-1):
            return None
        (step, payload), self._ahead = self._ahead, None
        return after(step, payload, values)

    def hold(self, checkpoint: objectives.Checkpoint | None, is_written: bool) -> None:
        """The training goes on from it, should it fall back; the files of those before are needed no more."""
        if checkpoint is None:
            return
        for earlier in (self.saved, self.unsaved):
            if earlier is not None and earlier.payload is not None:
                earlier.payload.discard()
        self.unsaved = None if is_written else checkpoint
        if is_written:
            self._last, self.saved = self._now(), checkpoint
            self._keeper.sweep()


def after(step: int, payload: objectives.Payload, values: Mapping[int, float]) -> objectives.Checkpoint:
    """What code of the user's own has given, with what it had reported up to the step."""
    steps = sorted(each for each in values if each <= step)
    return objectives.Checkpoint(step, (), [values[each] for each in steps], {}, steps, payload)
