"""A study published: its trials, some at a time, each brought to what it is now in every place that is asked for."""

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from search import errors
from search.exports import entries, mlflows, targets, tensorboards, wandbs
from search.exports.targets import Outcome
from search.ledger import portions, studies, summaries
from search.storage import databases
from search.study import destinations
from search.study.destinations import Destination

TARGETS: dict[str, Callable[[str], targets.Target]] = {
    destinations.MLFLOW: mlflows.MLflow,
    destinations.TENSORBOARD: tensorboards.TensorBoard,
    destinations.WANDB: wandbs.WandB,
}
OnTrial = Callable[[int, int], None]  # is told how many trials are done, and of how many


@dataclasses.dataclass(frozen=True)
class Published:
    """What became of a study's trials in one place.

    Attributes:
        waiting: trials that have nothing to tell yet.
    """

    study: str
    destination: Destination
    new: int
    updated: int
    unchanged: int
    waiting: int

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        counts = {key: getattr(self, key) for key in ("new", "updated", "unchanged", "waiting")}
        return {"study": self.study, "to": str(self.destination), **counts}


def publish(
    database: databases.Database,
    study: studies.Study,
    places: Sequence[Destination],
    on_trial: OnTrial = lambda done, total: None,
) -> list[Published]:
    """Brings a study in these places to what it is now; what is there already is left alone.

    Raises:
        errors.StudyNotFound: it was deleted.
        errors.InputError: a library is missing, or a place does not take it.
        errors.PublishUnfinished: a place does not answer, or one of several does not take it: the others have it then.
    """
    lines = [Line(place) for place in places]
    summary = summaries.summary(database, study)
    heading, done, waiting = entries.heading(summary), 0, 0
    for line in lines:
        line.begin(heading)
    for portion in portions.every(database, study):
        if all(line.failure for line in lines):
            break
        found = entries.of(portion, heading)
        for entry in found:
            for line in lines:
                line.send(heading, entry)
            done += 1
            on_trial(done, summary.total)
        waiting += len(portion.trials) - len(found)
    for line in lines:
        line.finish(heading)
    _check(lines, [line.published(study.name, waiting) for line in lines if line.failure is None])
    return [line.published(study.name, waiting) for line in lines]


def _check(lines: Sequence["Line"], published: Sequence[Published]) -> None:
    """Passes where no place has failed; the error has what became of the others."""
    failures = [line.failure for line in lines if line.failure is not None]
    if not failures:
        return
    is_done = bool(published) or any(line.has_written for line in lines)
    if len(failures) == 1 and not is_done:
        raise failures[0]
    is_unfinished = is_done or any(isinstance(each, errors.PublishUnfinished) for each in failures)
    kind = errors.PublishUnfinished if is_unfinished else errors.PublishFailed
    error = kind("; ".join(str(each) for each in failures))
    error.published = published
    raise error from failures[0]


class Line:
    """A place to publish to, and what has become of the trials there; after a failure nothing more.

    Attributes:
        failure: why it takes nothing, once it does not.
    """

    def __init__(self, place: Destination) -> None:
        self.place = place
        self.failure: errors.InputError | None = None
        self._target: targets.Target | None = None
        self._outcomes = collections.Counter[Outcome]()

    def begin(self, heading: entries.Heading) -> None:
        """Opens it, again after a failure; see `targets.Target`."""
        self.failure = None
        with self._failing():
            target = self._target or TARGETS[self.place.kind](self.place.place)
            target.begin(heading)
            self._target = target

    def send(self, heading: entries.Heading, entry: entries.Entry) -> None:
        """See `targets.Target`."""
        with self._failing():
            if self._target is not None and self.failure is None:
                self._outcomes[self._target.send(heading, entry)] += 1

    def finish(self, heading: entries.Heading) -> None:
        """See `targets.Target`."""
        with self._failing():
            if self._target is not None and self.failure is None:
                self._target.finish(heading)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except errors.InputError as error:
            self.failure = error

    @property
    def has_written(self) -> bool:
        """Whether trials were written there."""
        return any(self._outcomes[each] for each in (Outcome.NEW, Outcome.UPDATED))

    def published(self, study: str, waiting: int = 0) -> Published:
        """What has become of them."""
        new, updated, unchanged = (self._outcomes[each] for each in Outcome)
        return Published(study, self.place, new, updated, unchanged, waiting)
