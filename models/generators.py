"""PyTorch's random numbers of the CPU without PyTorch, whose import takes two seconds and 600 MB: bit for bit the same.

Both are the Mersenne Twister; what is made of its 32 bits follows ATen/native/cpu/DistributionTemplates.h.
"""

from typing import Any

import numpy

from models import caches

BLOCK = 1 << 16  # numbers at once: what they are made of takes six times their memory
FLOAT_BITS = 24  # of the 32, that a float32 in [0, 1) is made of


class Generator:
    """`torch.Generator().manual_seed(seed)`: 32 bits of the seed count."""

    def __init__(self, seed: int) -> None:
        self._bits = numpy.random.MT19937()
        state: Any = numpy.random.RandomState(seed & 0xFFFFFFFF).get_state(legacy=False)
        self._bits.state = state

    def uniform(self, n: int, low: float = 0.0, high: float = 1.0) -> numpy.ndarray:
        """`torch.empty(n).uniform_(low, high)`: (n,) float32."""
        least, size = float(numpy.float32(low)), float(numpy.float32(numpy.float32(high) - numpy.float32(low)))
        drawn = numpy.empty(n, numpy.float32)
        for first in range(0, n, BLOCK):
            part = drawn[first : first + BLOCK]
            unit = (self._raw(len(part)) & (2**FLOAT_BITS - 1)) * 2.0**-FLOAT_BITS
            # float64 holds product and sum whole, so they are rounded once, as PyTorch's fused multiply-add does
            part[:] = unit * size + least
        return drawn

    def integers(self, high: int, n: int) -> numpy.ndarray:
        """`torch.randint(high, (n,))`: (n,) int64 below `high`."""
        return (self._raw(n) % high).astype(numpy.int64)

    def permutation(self, n: int) -> numpy.ndarray:
        """`torch.randperm(n)`: (n,) int64."""
        samples = numpy.arange(n)
        _shuffle(samples, self._raw(max(0, n - 1)))
        return samples

    def _raw(self, n: int) -> numpy.ndarray:
        """The next so many, (n,) uint64 below 2**32."""
        raw: numpy.ndarray = numpy.asarray(self._bits.random_raw(n))
        return raw


@caches.compiled
def _shuffle(samples, raw):  # type: ignore[no-untyped-def]
    for i in range(len(raw)):
        j = i + numpy.int64(raw[i]) % (len(samples) - i)
        samples[i], samples[j] = samples[j], samples[i]
