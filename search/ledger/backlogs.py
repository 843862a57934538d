"""How many trials a study has left for its workers: what a pool of them is scaled by."""

from optuna.trial import TrialState

from search.ledger import counts, orders, summaries
from search.storage.databases import Database


def configurations(database: Database) -> dict[int, int]:
    """How many configurations are reserved, by study.

    Raises:
        errors.StorageError: the database is away.
    """
    return {study_id: found.configs for study_id, found in database.read(counts.all_of).items()}


def todo(summary: summaries.Summary, reserved: int) -> int:
    """Trials that run, and those that may begin: 0 where a worker would find nothing to do, now or later.

    Those that are to finish, so one that runs is counted until it has ended. Where a study is paused, stopped, has
    failed too often or is ended by a limit, only what runs is left.

    Args:
        reserved: how many configurations of the space are.
    """
    running = summary.count(TrialState.RUNNING)
    if is_closed(summary):
        return running
    left = max(summary.budget - summary.done, running)
    size = summary.study.spec.space.size
    if size is not None:
        left = min(left, running + summary.count(TrialState.WAITING) + max(0, size - reserved))
    return left


def is_closed(summary: summaries.Summary) -> bool:
    """Whether no trial begins: it is paused, stopped, has failed too often or is ended by a limit."""
    stands = summary.order.state is not orders.StudyState.ACTIVE or summary.reason is not None
    return stands or summary.is_out_of_hours or summary.stop is not None
