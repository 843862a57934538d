"""Where such a process begins: `python -P .../search/child/__main__.py INCOMING OUTGOING LIFE`, three descriptors.

It is told what to load, a function or that it is to run programs, and then trains one trial after another (`messages`
has the words).
All of its process group ends with whoever holds the other end of LIFE, whatever the objective does meanwhile.
"""

import contextlib
import importlib.machinery
import importlib.util
import os
import pathlib
import signal
import sys
from collections.abc import Sequence
from types import ModuleType

HERE = pathlib.Path(__file__).resolve().parent
PRIVATE = "_search_child"
OURS = ("search", "models", "optuna_search_service")  # what a wheel of ours puts beside all other packages


class TheirsFirst:
    """Finds what is called as a package of ours in the user's folders; a folder without `__init__.py` counts too.

    Python alone would prefer any regular package to such a folder, wherever it lies.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = [folder for folder in folders if pathlib.Path(folder).resolve() != HERE.parents[1]]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if path is not None or name not in OURS:
            return None
        return importlib.machinery.PathFinder.find_spec(name, self._folders, target)


def put_first(folder: str) -> None:
    """Imports look into the user's folder before any other."""
    theirs = [folder, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.path.insert(0, folder)
    sys.meta_path.insert(0, TheirsFirst(theirs))


def guard(life: int, *others: int) -> int:
    """Leaves a small process behind that kills this one's group when nothing holds the other end of the pipe.

    Returns its number.

    It runs nothing of the user's: an objective may hold the interpreter for minutes.
    """
    group = os.getpid()
    if (number := os.fork()) != 0:
        os.close(life)
        return number
    with contextlib.suppress(OSError):
        os.setsid()  # out of the group, and of reach of Ctrl-C
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        for descriptor in others:
            os.close(descriptor)
        os.read(life, 1)
        os.killpg(group, signal.SIGKILL)
    os._exit(0)


def main(incoming: int, outgoing: int, life: int) -> None:
    """The whole life of the process."""
    number = guard(life, incoming, outgoing)
    for descriptor in (incoming, outgoing):
        os.set_inheritable(descriptor, False)
    spec = importlib.util.spec_from_file_location(PRIVATE, HERE / "__init__.py", submodule_search_locations=[str(HERE)])
    assert spec is not None
    sys.modules[PRIVATE] = importlib.util.module_from_spec(spec)
    sys.argv = [sys.argv[0]]  # a module of the user's may read it
    messages = importlib.import_module(f"{PRIVATE}.messages")
    channel = messages.Channel(incoming, outgoing)
    try:
        order = channel.receive()
        if order.get("program"):  # it needs nothing that takes long to load
            importlib.import_module(f"{PRIVATE}.programs").serve(channel, order["folder"], number)
        else:
            objectives = importlib.import_module(f"{PRIVATE}.objectives")
            put_first(order["folder"])
            objectives.serve(channel, order, number)
    except messages.Lost:  # the worker is gone
        return


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
elif __name__ == "__mp_main__":  # a process that multiprocessing starts for the objective
    put_first(str(pathlib.Path.cwd()))
