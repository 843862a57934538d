"""A study that `search run` goes on with: made where it is not there, and let go on where it was stopped."""

from search import errors
from search.ledger import orders, rosters, studies, warm_starts
from search.storage.databases import Database
from search.study import specs


def begin(database: Database, spec: specs.StudySpec) -> tuple[studies.Study, list[str]]:
    """The study of a file, a new one or the one that is there already, and notes for its user.

    Raises:
        errors.StudyExists: the one that is there has another space or training.
    """
    known = studies.find_same(database, spec)
    if known is None:
        try:
            return warm_starts.create(database, spec)
        except errors.StudyExists:  # another run made it just now
            return begin(database, spec)
    study, notes = known
    order = database.read(lambda connection: orders.read(connection, study))
    if order.state is orders.StudyState.STOPPED:
        orders.set_state(database, study, orders.StudyState.ACTIVE)
        notes.append(f"study {spec.name!r} was stopped; it goes on now")
    if order.begun_at is not None and not rosters.read(database, study.study_id).members:
        orders.begin_run(database, study)
    return study, notes
