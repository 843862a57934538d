"""Objectives of the chaos suite's own, in the folder where its workers start: one waits, one holds the interpreter."""

import ctypes
import math
import os
import time
from collections.abc import Iterator
from typing import Any

# seconds; neither where a trial is only trained again
PACE_SECONDS = float(os.environ.get("CHAOS_PACE_SECONDS", "0"))
HOLD_SECONDS = int(os.environ.get("CHAOS_HOLD_SECONDS", "0"))
EPOCHS = 4
HOLDS_EVERY = 4  # so many trials, about


def waits(trial: Any) -> Iterator[float]:
    """A curve over `x`, an epoch now and then."""
    for epoch in range(1, EPOCHS + 1):
        time.sleep(PACE_SECONDS)
        yield _value(trial.params["x"], epoch)


def holds(trial: Any) -> Iterator[float]:
    """The same, but for some configurations one epoch is a call into C that lets nothing else of the process run."""
    for epoch in range(1, EPOCHS + 1):
        time.sleep(PACE_SECONDS)
        if epoch == EPOCHS // 2 and int(1e6 * trial.params["x"]) % HOLDS_EVERY == 0:
            ctypes.PyDLL(None).sleep(HOLD_SECONDS)
        yield _value(trial.params["x"], epoch)


def _value(x: float, epoch: int) -> float:
    return math.sin(3 * x) * (1 - 2.0**-epoch) - 0.01 * math.cos(90 * x)
