"""Whether this system has what worker processes are made of: Windows has not."""

import os
import platform
import signal

from search import errors

# sessions that are killed as a whole, and signals that ask a worker to hand its trials over or nudge an objective
NEEDED = ((os, ("fork", "killpg", "register_at_fork")), (signal, ("SIGHUP", "SIGKILL", "SIGUSR1", "pthread_kill")))


def has_workers() -> bool:
    """Whether worker processes can run on this system."""
    return all(hasattr(module, name) for module, names in NEEDED for name in names)


def check(verb: str) -> None:
    """Passes a system that worker processes can run on.

    Args:
        verb: what was asked for, as the command line calls it.

    Raises:
        errors.InputError: they cannot.
    """
    if has_workers():
        return
    raise errors.InputError(
        f"{verb} starts workers, which need signals and sessions of processes, and {platform.system()} has none: run "
        "it on Linux, on macOS, in WSL 2 or in a container; to look at studies and to steer them works here"
    )
