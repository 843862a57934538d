"""Studies whose trials pause, and trials of them that begin, reach a rung, and end."""

from typing import Any

from conftest import quick_text
from optuna.trial import TrialState
from trials import ME

from search.ledger import allocations, claims, configurations, pauses, presence, studies
from search.storage import databases
from search.study import specs

ASHA = '[pruning]\nhopeless = false\npruner = "asha"\n'


def text(trials: int = 9, epochs: int = 10, more: str = "", name: str = "quick") -> str:
    """A study file of trials that pause: rungs at epochs 1 and 3."""
    found = quick_text(name=name, trials=trials, epochs=epochs, hopeless="false")
    return found.replace("[pruning]\nhopeless = false\n", ASHA + more)


def create(database: databases.Database, **more: Any) -> studies.Study:
    return studies.create(database, specs.parse(text(**more), "x"))


def begin(database: databases.Database, study: studies.Study, **more: Any) -> claims.Claim:
    """The next trial, new or promoted, with its configuration."""
    claim = allocations.take(database, study, ME, presence.Watch(), **more)
    assert isinstance(claim, claims.Claim), claim
    configurations.configure(database, study, claim, database.history(study.study_id))
    return claim


def reach(database: databases.Database, study: studies.Study, claim: claims.Claim, rung: int, value: float) -> bool:
    """Whether a trial goes on that reports a rung."""
    pauses.report(database, study, claim, claims.Progress(float(rung), {rung: value}), rung, value)
    return pauses.settle(database, study, claim, claims.NOTHING, rung, value)


def complete(database: databases.Database, claim: claims.Claim, value: float) -> None:
    claims.tell(database, claim, TrialState.COMPLETE, value, {}, steps={10: value})
