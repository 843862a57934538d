"""Waits for real processes, and for what they do."""

import signal
import subprocess
import time
import warnings
from collections.abc import Callable

PATIENCE_SECONDS = 150
EXPECTED_CODES = (0, 130, -signal.SIGKILL)


def until(what: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for something to become true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def ends(processes: list[subprocess.Popen[str]], seconds: float = PATIENCE_SECONDS) -> list[int]:
    """Exit codes; negative for a signal. What a worker said that crashed is shown."""
    deadline = time.monotonic() + seconds
    codes = [process.wait(max(1, deadline - time.monotonic())) for process in processes]
    for process, code in zip(processes, codes, strict=True):
        if code not in EXPECTED_CODES and process.stdout:
            warnings.warn(f"process {process.pid} ended with {code}: {process.stdout.read()}", stacklevel=2)
    return codes
