"""The best of several means over the same seeds, without what choosing it adds.

The largest of K noisy means is too high. Here half of the seeds chooses a configuration, and the other half, which had
no part in that, says what it is worth; the corrected figure is the mean over all ways to halve the seeds (data
splitting: Cox, Biometrika 62, 1975; choosing inside and judging outside: Varma and Simon, BMC Bioinformatics 7:91,
2006). Noise has no part in it, whatever its distribution; what is left is a little pessimism, since half of the seeds
choose worse than all. `benchmarks/selection_bias.py` has it beside other corrections.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence

from search.reports import evidence

MOST_SPLITS = 2_000  # of 20 seeds there are 184,756
METHOD = (
    "one half of the seeds chooses the configuration and the other half says what it is worth, the mean over all ways "
    "to halve the seeds"
)


def best(values: Sequence[Mapping[int, float]]) -> evidence.Interval | None:
    """What the best of some configurations is worth, with its interval.

    The interval is Student's of the best configuration over its seeds, widened by the correction itself (the root of
    the sum of both squares): it covers the truth as often as it says where that is simulated.

    Args:
        values: of each configuration by seed, the one to take among equals first.

    Returns:
        None where several configurations have fewer than two seeds in common. One alone was not chosen: its own.

    Raises:
        ValueError: no configuration, or one without a value.
    """
    raw = max((evidence.interval(list(each.values())) for each in values), key=lambda found: found.mean)
    if len(values) == 1:
        return raw
    seeds = sorted(set.intersection(*(set(each) for each in values)))
    if len(seeds) < 2:
        return None
    worth = []
    for chosen_by in _halves(seeds):
        judges = [seed for seed in seeds if seed not in chosen_by]
        choice = max(values, key=lambda each: math.fsum(each[seed] for seed in chosen_by))
        worth.append(evidence.mean([choice[seed] for seed in judges]))
    mean = evidence.mean(worth)
    return evidence.Interval(mean, math.hypot(raw.half, raw.mean - mean), len(seeds))


def _halves(seeds: Sequence[int]) -> Iterator[frozenset[int]]:
    """The larger halves of the seeds; of very many always the same ones."""
    count = math.ceil(len(seeds) / 2)
    if math.comb(len(seeds), count) <= MOST_SPLITS:
        yield from map(frozenset, itertools.combinations(seeds, count))
        return
    draw = random.Random(0)
    for _ in range(MOST_SPLITS):
        yield frozenset(draw.sample(list(seeds), count))
