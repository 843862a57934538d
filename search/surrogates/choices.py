"""What to train next: a configuration that is new, or one that has paused, by what a second of it promises."""

import dataclasses
import math
from collections.abc import Collection, Sequence

import numpy

from search.space import spaces
from search.surrogates import looks, outlooks
from search.surrogates.trainings import Training

OVERHEAD = 0.2  # seconds that a trial takes beside its epochs
PLACE = 6.0  # log of how much more a new configuration must promise than a paused trial where trials are scarcest
WORTH = math.log(0.002)  # of the deviation of all values: a paused trial that promises less is not worth its end


@dataclasses.dataclass(frozen=True)
class Choice:
    """Attributes:
    new: the configuration to try; None where there is none.
    first: numbers of paused trials that promise more for their cost than it does, the best first.
    rest: of those among the others that are still worth going on with, the best first.
    """

    new: spaces.Params | None
    first: tuple[int, ...] = ()
    rest: tuple[int, ...] = ()


def choose(
    outlook: outlooks.Outlook,
    space: looks.Looks,
    paused: Sequence[Training],
    generator: numpy.random.Generator,
    fixed: spaces.Params,
    taken: Collection[str],
    thrift: float = 1.0,
    scarcity: float = 0.0,
) -> Choice:
    """The largest expected improvement per second to the power of `thrift`.

    Args:
        taken: keys of configurations that trials have.
        thrift: how much a second counts, 0 to 1.
        scarcity: how much a place in the budget counts, 0 to 1: a new configuration takes one, a paused trial has one.
    """
    best = [dict(each.params) for each in outlook.ranked[: looks.BEST]]
    found = {k: params for k, params in space.candidates(best, generator, fixed).items() if k not in taken}
    fresh = list(found.values())
    every = [*fresh, *(each.params for each in paused)]
    if not every:
        return Choice(None)
    at = outlook.points(every)
    promises, seconds = outlook.promises(at), outlook.seconds(at)
    steps = numpy.full(len(every), float(outlook.steps or 1))
    for place, each in enumerate(paused, len(fresh)):
        steps[place] = max(steps[place] - len(each.values), 1)
        if each.seconds > 0 and len(each.values):
            seconds[place] = each.seconds / len(each.values)
    scores = promises - thrift * numpy.log(seconds * steps + OVERHEAD)
    scores[: len(fresh)] -= PLACE * scarcity
    order = sorted(range(len(fresh), len(every)), key=lambda place: -scores[place])
    highest = int(numpy.argmax(scores[: len(fresh)])) if fresh else None
    ahead = [place for place in order if highest is None or scores[place] >= scores[highest]]
    later = [place for place in order if place not in ahead and promises[place] >= WORTH]
    if highest is None:
        ahead, later = [], [place for place in order if promises[place] >= WORTH]
    numbers = [each.number for each in paused]
    return Choice(
        None if highest is None else fresh[highest],
        tuple(numbers[place - len(fresh)] for place in ahead),
        tuple(numbers[place - len(fresh)] for place in (*ahead, *later) if promises[place] >= WORTH),
    )
