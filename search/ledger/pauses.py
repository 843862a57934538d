"""Trials that have paused, and which of them goes on: by the rule of successive halving, or as a sampler wishes."""

import dataclasses
from collections.abc import Mapping

import sqlalchemy

from search.space import spaces


@dataclasses.dataclass(frozen=True)
class Paused:
    """A trial that waits after an epoch, as a sampler sees it; or one that has reached a rung and asks to go on.

    Attributes:
        epoch: after which it paused.
        value: its last one.
        values: all of them, by step.
        seconds: training time over all owners so far.
    """

    trial_id: int
    number: int
    epoch: int
    value: float
    values: Mapping[int, float]
    seconds: float
    params: spaces.Params


@dataclasses.dataclass(frozen=True)
class Wish:
    """Which paused trials a sampler would go on with, by number, the best first.

    Attributes:
        first: before a new configuration is begun.
        rest: where there is no room for a new one any more; without any the study is finished.
    """

    first: tuple[int, ...] = ()
    rest: tuple[int, ...] = ()


def paused(connection: sqlalchemy.Connection, study_id: int, known: Mapping[int, Paused] = {}) -> list[Paused]:
    """All that have paused and wait, by number.

    Args:
        known: by id; what has not changed since is not read again.
    """
    raise NotImplementedError
