"""Which trials a sampler is shown where there are too many for it: those that decide, and a sample of the others.

A view is a function of the index of a study's trials alone, so that all workers see the same; and it changes little
from one ask to the next, so that few trials are read anew.
"""

import numpy
from optuna.trial import TrialState

from search.storage.histories import Index

TPE_TRIALS = 500
TPE_BELOW = 25  # the most that Optuna's gamma lets be the good ones, from 241 trials on
GP_TRIALS = 300  # its time grows with their cube
GP_BEST = 100
SCATTER = 2_654_435_769  # 2^32 / golden ratio: multiples of it, modulo 2^32, lie evenly


def tpe(index: Index, maximize: bool, limit: int = TPE_TRIALS) -> numpy.ndarray:
    """For Optuna's TPE: up to `limit` ended trials, and the running ones, which it takes for bad.

    The 25 best are those of the whole history. Of the others a sample, even over the whole time, stands for all.
    """
    ended = index.numbers(TrialState.COMPLETE, TrialState.PRUNED)
    return _with_running(index, chosen(index, ended, maximize, limit, TPE_BELOW))


def gp(index: Index, maximize: bool, limit: int = GP_TRIALS, best: int = GP_BEST) -> numpy.ndarray:
    """For a Gaussian process: up to `limit` ended trials, a third of them the best, and the running ones."""
    ended = index.numbers(TrialState.COMPLETE, TrialState.PRUNED)
    return _with_running(index, chosen(index, ended, maximize, limit, best))


def chosen(index: Index, ended: numpy.ndarray, maximize: bool, limit: int, best: int) -> numpy.ndarray:
    """At most `limit` of the numbers in `ended`: the best ones, and others evenly; ascending."""
    if len(ended) <= limit:
        return ended
    first = _best(index, ended, maximize, best)
    others = ended[~numpy.isin(ended, first)]
    sample = others[numpy.argpartition(scattered(others), limit - best)[: limit - best]]
    return numpy.sort(numpy.concatenate([first, sample]))


def scattered(numbers: numpy.ndarray) -> numpy.ndarray:
    """A place for each number of a trial, evenly over all that there are, whatever comes later."""
    return numpy.asarray(numbers).astype(numpy.uint64) * numpy.uint64(SCATTER) % numpy.uint64(2**32)


def _best(index: Index, ended: numpy.ndarray, maximize: bool, count: int) -> numpy.ndarray:
    """The best of the numbers in `ended`, as Optuna's TPE ranks them (`_split_trials` in its sampler).

    Complete ones come first, by value; then pruned ones, the longest first, by their last value, nan the last, and
    after them those that reported nothing. Of equals the first.
    """
    is_complete = index.states[ended] == TrialState.COMPLETE.value
    complete: numpy.ndarray = ended[is_complete]
    pruned = ended[~is_complete]
    sign = -1.0 if maximize else 1.0
    values = sign * index.values[complete]
    if len(complete) > count:  # sorting all of them would take longer than the sampler
        among = values <= numpy.partition(values, count)[count]
        complete, values = complete[among], values[among]
    complete = complete[numpy.argsort(values, kind="stable")][:count]
    if len(complete) == count:
        return complete
    steps, last = index.last_steps[pruned], sign * index.last_values[pruned]
    last = numpy.where(steps >= 0, numpy.where(numpy.isnan(last), numpy.inf, last), 0.0)
    longest: numpy.ndarray = pruned[numpy.lexsort((last, -steps))][: count - len(complete)]
    return numpy.concatenate([complete, longest])


def _with_running(index: Index, ended: numpy.ndarray) -> numpy.ndarray:
    return numpy.sort(numpy.concatenate([ended, index.numbers(TrialState.RUNNING)]))
