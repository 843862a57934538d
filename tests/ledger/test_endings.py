"""The end of a trial."""

from optuna.trial import TrialState
from trials import Make, begin, state

from search import lines
from search.ledger import claims
from search.storage import databases
from search.training import records


def test_a_reason_is_stored_at_a_length(opened: databases.Database, make_study: Make) -> None:
    """A message of 100,000 letters is cut, and its end says so; one that fits is stored as it is."""
    study = make_study()
    for reason in ("ValueError: " + "y" * 100_000, "ValueError:\n [short]"):
        claims.tell(opened, begin(opened, study), TrialState.FAIL, None, {records.REASON.name: reason})
    long, short = (state(opened, study, number).user_attrs[records.REASON.name] for number in (0, 1))
    assert len(long) == lines.LONGEST
    assert long.endswith("yyy... (100,012 characters)")
    assert short == "ValueError:\n [short]"
