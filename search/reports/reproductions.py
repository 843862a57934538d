"""The whole lab: its experiments one after the other, each over several seeds, taken up again where it was left."""

import dataclasses
import time
from collections.abc import Callable, Iterator

from search.ledger import orders, queues, studies, summaries
from search.reports import lab
from search.storage import databases
from search.study import specs

SEEDS = 5
LAB_TITLE = "The lab, reproduced"


@dataclasses.dataclass(frozen=True)
class Step:
    """One study of the lab, worked off.

    Attributes:
        seconds: wall time of this step, now; a study that was finished before takes none.
    """

    study: studies.Study
    seconds: float


def lab_specs() -> list[specs.StudySpec]:
    """The lab's study files, in its order."""
    return [specs.load(specs.path_of(name)) for name in lab.STUDIES]


def run(
    database: databases.Database,
    begin: Callable[[specs.StudySpec], studies.Study],
    work: Callable[[studies.Study, str], None],
    seeds: int = SEEDS,
    trials: int = 10,
) -> Iterator[Step]:
    """Works off the lab's studies in its order.

    Args:
        begin: creates or resumes the study of a file.
        work: trains what is left of it, under a label; what it raises ends all.
        seeds: of each setting of the baseline and the one-factor studies.
        trials: budget of the search, at least; a study that has more keeps them.
    """
    for number, spec in enumerate(lab_specs(), 1):
        started = time.monotonic()
        study = begin(spec)
        if spec.name in (lab.BASELINE, *lab.FACTORS):
            settings = list(study.spec.space.configurations())
            queues.fill(database, study, [(params, seed) for seed in range(seeds) for params in settings])
        elif spec.name == lab.SEARCH and summaries.summary(database, study).budget < trials:
            orders.extend(database, study, to=trials)
        work(study, f"({number} of {len(lab.STUDIES)})")
        yield Step(study, time.monotonic() - started)
