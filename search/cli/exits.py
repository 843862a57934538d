"""Ends the process without taking the interpreter apart, which lasts a second once torch is loaded."""

import atexit
import contextlib
import gc
import io
import os
import threading
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """Ends the process with this exit code, once all is done that a user could miss.

    As at any end of Python: threads that are no daemons are waited for, exit handlers run (connections are closed,
    children of multiprocessing ended), what was written is flushed. Only destructors are not called.
    """
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for each in gc.get_objects():
        # by its type: an instance may answer for a class that it has not
        if issubclass(type(each), io.IOBase) and not each.closed:
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more, or it is for reading
                each.flush()
    os._exit(code)
