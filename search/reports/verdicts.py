"""What the trials say of one of the lab's takeaways: a verdict, and the figures that it rests on."""

import dataclasses
import enum
from collections.abc import Callable, Mapping

from search.reports.evidence import Experiment


class Verdict(enum.StrEnum):
    """What the trials say of a takeaway. NOT_CONFIRMED: they neither show it nor its opposite."""

    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"
    CONTRADICTED = "contradicted"
    NOT_TESTED = "not tested"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A verdict, and the figures it rests on."""

    verdict: Verdict
    evidence: str


@dataclasses.dataclass(frozen=True)
class Takeaway:
    """What the lab concluded of one of its experiments, the rule it is judged by, and its judge."""

    study: str
    claim: str
    rule: str
    judge: Callable[[Experiment], Finding]

    def find(self, experiments: Mapping[str, Experiment]) -> Finding:
        """What the experiment shows, where there is one."""
        experiment = experiments.get(self.study)
        if experiment is None or not experiment.runs:
            return Finding(Verdict.NOT_TESTED, f"no complete trial of study {self.study!r}")
        try:
            return self.judge(experiment)
        except Missing as missing:
            return Finding(Verdict.NOT_TESTED, str(missing))


class Missing(Exception):
    """The experiment lacks what the takeaway speaks of."""
