"""What the training of a trial can go on from: the last of it that is stored, and what has come since."""

from collections.abc import Callable, Mapping

from search.training import objectives


class Savepoints:
    """Of one trial, as its owner holds them.

    Args:
        seconds: of training after which the next one is due to be stored.
        clock: seconds that training takes.

    Attributes:
        saved: the last that is stored; `unsaved`: one that came later, to be stored when the trial is handed over.
    """

    def __init__(self, saved: objectives.Checkpoint | None, seconds: float, clock: Callable[[], float]) -> None:
        self.saved: objectives.Checkpoint | None = saved
        self.unsaved: objectives.Checkpoint | None = None
        self._seconds, self._now, self._last = seconds, clock, clock()
        # given before the report of its step, with which it is stored
        self._ahead: tuple[int, objectives.Payload] | None = None

    def begin(self) -> None:
        """The training starts now."""
        self._last = self._now()

    def go_back(self) -> objectives.Checkpoint | None:
        """The training starts there once more; None for its start."""
        self.saved, self._ahead = self.unsaved or self.saved, None
        return self.saved

    @property
    def is_due(self) -> bool:
        """Whether the next one is to be stored at once."""
        return self._now() - self._last >= self._seconds

    def put_ahead(self, step: int, payload: objectives.Payload) -> None:
        """Keeps what is after a step that is to be reported yet."""
        if self._ahead is not None:
            self._ahead[1].discard()
        self._ahead = step, payload

    def take_ahead(self, values: Mapping[int, float]) -> objectives.Checkpoint | None:
        """What was kept so and whose step has been reported by now; None where there is none."""
        if self._ahead is None or self._ahead[0] > max(values, default=0):
            return None
        (step, payload), self._ahead = self._ahead, None
        return after(step, payload, values)

    def hold(self, checkpoint: objectives.Checkpoint, is_written: bool) -> None:
        """The training goes on from it, should it fall back; the files of those before are needed no more."""
        for earlier in (self.saved, self.unsaved):
            if earlier is not None and earlier.payload is not None:
                earlier.payload.discard()
        self.unsaved = None if is_written else checkpoint
        if is_written:
            self._last, self.saved = self._now(), checkpoint


def after(step: int, payload: objectives.Payload, values: Mapping[int, float]) -> objectives.Checkpoint:
    """What code of the user's own has given, with what it had reported up to the step."""
    steps = sorted(each for each in values if each <= step)
    return objectives.Checkpoint(step, (), [values[each] for each in steps], {}, steps, payload)
