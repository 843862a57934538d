"""Whether a study on which nobody works any more came to what its file asks for: what exit codes say of it."""

from optuna.trial import TrialState

from search import words
from search.ledger import counts, orders, sentences, studies, summaries
from search.storage.databases import Database


def shortfall(summary: summaries.Summary) -> str | None:
    """Why a study that has ended did less than was asked for, in a phrase with what to type; None where it did all.

    It did where a trial of its space is complete, and its trials or its hours are used up, or its target,
    patience, regret or deadline has ended it, or no configuration of its space is left without a result.
    """
    name = words.typed(summary.study.name)
    if summary.done < summary.budget:
        if summary.has_failed or summary.order.reason is not None:
            return sentences.state_note(summary)
        if not summary.is_out_of_hours and summary.stop is None and not summary.is_answered:
            return _unfinished(summary, name)
    if summary.best is None:
        return f"no trial is complete, so there is no best one; {_instead(summary, name)}"
    return None


def _unfinished(summary: summaries.Summary, name: str) -> str:
    if summary.order.state is orders.StudyState.STOPPED:
        return f"it was stopped; {summary.study.spec.again} goes on"
    if summary.is_exhausted:
        return (
            f"{sentences.exhausted(summary)}, and not all have a result; `search retry {name}` puts failed trials back"
        )
    return f"its workers have ended; {summary.study.spec.again} goes on"


def _instead(summary: summaries.Summary, name: str) -> str:
    if summary.count(TrialState.FAIL):
        return f"`search status {name}` shows why, `search retry {name}` puts failed trials back"
    return f"`search status {name}` shows why"


def line(summary: summaries.Summary, why: str) -> str:
    """The one line of an exit code other than 0."""
    done = f"{summary.done} of {summary.budget} trials done ({sentences.state_counts(summary)})"
    return f"study {summary.study.name!r}: {done}: {why}"


def is_well(database: Database, study: studies.Study) -> bool:
    """Whether a study whose trials are used up has a complete one. Its trials, thousands maybe, are not read."""
    return bool(database.read(lambda connection: counts.complete(connection, study.study_id)))
