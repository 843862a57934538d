"""The whole lab: its experiments one after the other, each over several seeds, taken up again where it was left."""

import dataclasses
import time
from collections.abc import Iterator

from search.cli import options
from search.ledger import orders, study, waiting
from search.reports import lab
from search.storage import store
from search.study import study_file
from search.worker import supervisor

SEEDS = 5
LAB_TITLE = "The lab, reproduced"


@dataclasses.dataclass(frozen=True)
class Step:
    """One study of the lab, worked off.

    Attributes:
        seconds: wall time of this step, now; a study that was finished before takes none.
        code: exit code of its work.
    """

    of: study.Study
    seconds: float
    code: int


def run(here: store.Store, force: supervisor.Workforce, seeds: int = SEEDS, trials: int = 10) -> Iterator[Step]:
    """Works off the lab's studies in its order; ends early where one does not end well.

    Args:
        seeds: of each setting of the baseline and the one-factor studies.
        trials: budget of the search, at least; a study that has more keeps them.
    """
    specs = [study_file.load(options.study_path(name)) for name in lab.STUDIES]
    for spec in specs:
        supervisor.check_training(spec, force)
    for number, spec in enumerate(specs, 1):
        started = time.monotonic()
        of = supervisor.create_or_resume(here, spec)
        if spec.name in (lab.BASELINE, *lab.FACTORS):
            settings = list(of.spec.space.configurations())
            waiting.fill(here, of, [(params, seed) for seed in range(seeds) for params in settings])
        elif spec.name == lab.SEARCH and study.summary(here, of).budget < trials:
            orders.extend(here, of.study_id, to=trials)
        code = supervisor.supervise(here, of, force, f"({number} of {len(specs)})")
        yield Step(of, time.monotonic() - started, code)
        if code:
            return
