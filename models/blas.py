"""How many threads the products of NumPy's matrices take."""

import functools

import threadpoolctl  # type: ignore[import-untyped]


@functools.cache
def use_one_thread() -> None:
    """From now on, in the whole process: workers are one a core."""
    threadpoolctl.threadpool_limits(1, "blas")
