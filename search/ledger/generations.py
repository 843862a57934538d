"""A CMA-ES that is told the complete trials of a study, and remembers how it stood after its last generations.

So an ask costs what is new. A trial that ends after later ones did goes into its place: what followed is told again.
"""

import collections
import typing
from collections.abc import Callable, Iterable

import numpy
from optuna.trial import FrozenTrial, TrialState

from search.storage.histories import Index

if typing.TYPE_CHECKING:  # a worker with another sampler need not load it
    import cmaes

Told = tuple[numpy.ndarray, float]

STANDS = 64  # generations back: further than trials overtake one another


class Generations:
    """How the optimizer stood after each of its last generations, in one worker's memory."""

    def __init__(self) -> None:
        self._known = numpy.empty(0, numpy.int64)
        # the number of the last trial that it was told, and the optimizer
        self._stands: collections.deque[tuple[int, cmaes.CMA]] = collections.deque(maxlen=STANDS)

    def rest(self, index: Index) -> numpy.ndarray:
        """The numbers of complete trials that it has still to be told, ascending; forgets what is no longer true."""
        complete = index.numbers(TrialState.COMPLETE)
        shorter = min(len(complete), len(self._known))
        differs = numpy.flatnonzero(complete[:shorter] != self._known[:shorter])
        same = int(differs[0]) if len(differs) else shorter
        while self._stands and numpy.searchsorted(self._known, self._stands[-1][0], "right") > same:
            self._stands.pop()
        self._known = complete
        return complete[complete > self._last]

    def tell(
        self,
        make: Callable[[], "cmaes.CMA"],
        trials: Iterable[FrozenTrial],
        told: Callable[[FrozenTrial], Told | None],
        seed: int,
    ) -> "cmaes.CMA":
        """An optimizer that knows all whole generations of the trials so far.

        Args:
            make: the optimizer before the first.
            trials: complete ones, by number; those that it knows are passed over.
            told: a trial's point and value; None for one that is left out.
            seed: of what the optimizer draws next.
        """
        optimizer = self._stands[-1][1] if self._stands else make()
        size, last, generation = optimizer.population_size, self._last, []
        for trial in trials:
            if trial.number <= last or (one := told(trial)) is None:
                continue
            generation.append(one)
            if len(generation) == size:
                optimizer = _twin(optimizer)
                optimizer.tell(generation)
                self._stands.append((trial.number, optimizer))
                generation = []
        optimizer = _twin(optimizer)
        optimizer.reseed_rng(seed)
        return optimizer

    @property
    def _last(self) -> int:
        return self._stands[-1][0] if self._stands else -1


def _twin(optimizer: "cmaes.CMA") -> "cmaes.CMA":
    """The same to the last bit; `copy` would round the covariance, which cmaes pickles as a triangle."""
    twin: cmaes.CMA = object.__new__(type(optimizer))
    for name, value in vars(optimizer).items():
        setattr(twin, name, value.copy() if isinstance(value, numpy.ndarray) else value)
    return twin
