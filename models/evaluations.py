"""The lab's way from the losses of single images to one figure."""

import numpy


def mean_of_batches(losses: numpy.ndarray, batch_size: int) -> float:
    """Mean of the mean losses of consecutive batches: a smaller last one weighs as much as a full one.

    Args:
        losses: (n,) of the images in their order.
    """
    starts = numpy.arange(0, len(losses), batch_size)
    sizes = numpy.minimum(batch_size, len(losses) - starts)
    return float((numpy.add.reduceat(losses.astype(numpy.float64), starts) / sizes).mean())
