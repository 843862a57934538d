"""What one simulated search did: when each trial ended, with what, and what the time went into."""

import dataclasses

from search.space import surfaces


@dataclasses.dataclass(frozen=True)
class End:
    """A trial's end.

    Attributes:
        now: simulated seconds since the start, and `spent`, CPU seconds of all workers until then.
        epochs: that it was trained.
        state: complete, pruned or failed.
        value: the last that it reported; None where there is none.
        expected: the last value of its configuration without the luck of one training.
    """

    now: float
    spent: float
    epochs: int
    state: str
    value: float | None
    expected: float


@dataclasses.dataclass
class Run:
    """One search.

    Attributes:
        ends: in their order.
        begun: numbers of the trials that were begun.
        asks: CPU seconds of the sampler.
        seconds: CPU seconds of trainings by the key of the configuration.
        expected: their last values without the luck of one training, by the key.
    """

    ends: list[End] = dataclasses.field(default_factory=list)
    begun: set[int] = dataclasses.field(default_factory=set)
    asks: float = 0.0
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    expected: dict[str, float] = dataclasses.field(default_factory=dict)

    def spend(self, training: surfaces.Training, seconds: float) -> float:
        """Notes seconds of a training, and gives them back."""
        self.seconds[training.key] = self.seconds.get(training.key, 0.0) + seconds
        self.expected[training.key] = training.expected
        return seconds

    def share_below(self, bar: float, sign: float) -> float:
        """Of the time of trainings, what went into configurations that are expected to come to less than `bar`.

        Args:
            sign: 1 where the metric is maximized, else -1; `bar` has it, too.
        """
        whole = sum(self.seconds.values())
        poor = sum(spent for key, spent in self.seconds.items() if sign * self.expected[key] < bar)
        return poor / whole if whole else 0.0
