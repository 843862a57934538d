"""Training seeds: one for all configurations of a study while it searches, others to repeat them with."""

import itertools
from collections.abc import Iterable, Iterator

import numpy


def of(study_seed: int, repeat: int) -> int:
    """What the training of a repeat is seeded with: 0 is the study's own seed, others have one of 32 bits."""
    return int(numpy.random.SeedSequence((study_seed, repeat)).generate_state(1)[0]) if repeat else study_seed


def fresh(study_seed: int, used: Iterable[int], count: int) -> list[int]:
    """Repeats whose seeds nothing was trained with: never the study's own, and none of a repeat that was used."""
    used = {0, *used}
    taken = {of(study_seed, repeat) for repeat in used}
    return list(itertools.islice(_others(study_seed, max(used), taken), count))


def _others(study_seed: int, last: int, taken: set[int]) -> Iterator[int]:
    """Repeats behind the last; two may have the same seed of 32 bits."""
    for repeat in itertools.count(last + 1):
        if (seed := of(study_seed, repeat)) not in taken:
            taken.add(seed)
            yield repeat
