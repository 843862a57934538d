"""Messages of a study, sent by a person: a test of each address, or what could not be delivered."""

import dataclasses
import datetime
import pathlib
import uuid

from search import errors, words
from search.api import access
from search.api.access import Storage
from search.ledger import dispatches, notices, studies
from search.study import specs
from search.worker import addressees, deliveries, notifiers


@dataclasses.dataclass(frozen=True)
class Trial:
    """A message that was tried on an address: by its place in the file, and why it did not go out, or None."""

    address: str
    reason: str | None


def notify(
    name: str, *, test: bool = False, urls_file: pathlib.Path | None = None, storage: Storage = None
) -> notices.Standing | list[Trial]:
    """Sends what is not delivered of a study's messages, or a test to each address of its file.

    Args:
        test: a study that is not created yet will do, by its file.
        urls_file: where the file of addresses is here, if not where the environment or the study says.

    Returns:
        What has become of all messages; with `test` what of each address.

    Raises:
        errors.InputError: nobody is to be told of the study, or its file of addresses has a mistake.
    """
    return try_addresses(name, storage, urls_file) if test else deliver(name, storage, urls_file)


def try_addresses(name: str, storage: Storage, urls_file: pathlib.Path | None = None) -> list[Trial]:
    """Sends a test to each address.

    Raises:
        errors.InputError: see `notify`.
    """
    spec = _spec(name, storage)
    people = addressees.load(spec.notify, urls_file)
    body = {
        "id": uuid.uuid4().hex,
        "event": "test",
        "study": spec.name,
        "text": f"{spec.name}: a test: messages of this study come here",
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "metric": spec.study.metric,
        **dict.fromkeys(notices.FACTS),
    }
    refusals = [(each.place, deliveries.send(each, body)) for each in people]
    return [Trial(place, None if refusal is None else refusal.reason) for place, refusal in refusals]


def deliver(name: str, storage: Storage, urls_file: pathlib.Path | None = None) -> notices.Standing:
    """Sends what waits and what was given up.

    Raises:
        errors.InputError: see `notify`.
    """
    database = access.open_existing(storage)
    study = studies.load(database, name)
    people = addressees.load(_told(study.spec).notify, urls_file)
    dispatches.renew(database, study)
    notifier = notifiers.Notifier(database, study.study_id)
    for _ in range(notices.read(database, study).pending):
        notifier.send(study, people)
    return notices.read(database, study)


def _spec(name: str, storage: Storage) -> specs.StudySpec:
    """Of a study that is there, or of a file."""
    try:
        return _told(studies.load(access.open_to_read(storage), name).spec)
    except errors.StudyNotFound:
        if not name.endswith(".toml") and not _is_file(name):
            raise
        return _told(specs.load(specs.path_of(name)))


def _is_file(name: str) -> bool:
    try:
        return pathlib.Path(specs.path_of(name)).is_file()
    except errors.StudyNotFound:
        return False


def _told(spec: specs.StudySpec) -> specs.StudySpec:
    if not spec.notify.is_on:
        raise errors.InputError(
            f"study {spec.name!r} tells nobody anything: its file has no notify.urls_file; add it, then "
            f"`search amend {words.typed(spec.name)}`"
        )
    return spec
