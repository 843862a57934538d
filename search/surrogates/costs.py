"""What an epoch of a configuration costs, from what the epochs of others have cost."""

import numpy

RIDGE, RIDGE_PRIOR = 0.02, 0.5
BEYOND = 0.7  # of the log of seconds, past the cheapest and the dearest that was seen
LEAST_TRIALS = 3


class Costs:
    """Log-linear in the points of an encoding, their squares and products; ridge regression.

    Args:
        at: (n, columns).
        seconds: (n,), of an epoch, > 0.
    """

    def __init__(self, at: numpy.ndarray, seconds: numpy.ndarray) -> None:
        self._known = len(seconds) >= LEAST_TRIALS
        if not self._known:
            return
        logs, terms = numpy.log(seconds), _terms(at)
        self._mean, self._low, self._high = logs.mean(), logs.min() - BEYOND, logs.max() + BEYOND
        ridge = numpy.full(terms.shape[1], RIDGE + RIDGE_PRIOR / len(seconds))
        ridge[0] = 1e-6
        self._weights = numpy.linalg.solve(terms.T @ terms + numpy.diag(ridge), terms.T @ (logs - self._mean))

    def predict(self, at: numpy.ndarray) -> numpy.ndarray:
        """Seconds of an epoch, (m,); 1 for all while too little is known."""
        if not self._known:
            return numpy.ones(len(at))
        return numpy.asarray(numpy.exp(numpy.clip(_terms(at) @ self._weights + self._mean, self._low, self._high)))


def _terms(at: numpy.ndarray) -> numpy.ndarray:
    first, second = numpy.tril_indices(at.shape[1])
    return numpy.concatenate([numpy.ones((len(at), 1)), at, at[:, first] * at[:, second]], axis=1)
