"""Runs commands of ours as if this were Windows or macOS, as far as Linux can play it.

    python other_system.py windows '[["list"], ["status", "lab"]]'

What that system lacks our modules do not get to see: functions, signals, modules, files of the kernel. Libraries see
all of it, since which system this is they have found out in ways of their own. On Windows a file that is open is
neither renamed nor deleted. Prints a line of JSON for each command: its words, exit code, stdout and stderr.
"""

import builtins
import importlib
import importlib.util
import io
import json
import os
import pathlib
import pkgutil
import platform
import re
import signal
import sys
import threading
import time
import types
import urllib.request
import warnings
from typing import Any

LACKING = {
    "windows": {
        "os": (
            *(
                "fork",
                "forkpty",
                "register_at_fork",
                "killpg",
                "getpgid",
                "setpgid",
                "getsid",
                "setsid",
                "wait3",
                "wait4",
            ),
            *(
                "getuid",
                "geteuid",
                "getgid",
                "getegid",
                "getgroups",
                "getpriority",
                "nice",
                "sysconf",
                "uname",
                "getloadavg",
            ),
            *(
                "sched_getaffinity",
                "sched_setaffinity",
                "chown",
                "fchown",
                "lchown",
                "fchmod",
                "mkfifo",
                "mknod",
                "pipe2",
            ),
            *(
                "statvfs",
                "fstatvfs",
                "pread",
                "pwrite",
                "readv",
                "writev",
                "sendfile",
                "fdatasync",
                "sync",
                "set_blocking",
            ),
            *(
                "openpty",
                "ttyname",
                "tcgetpgrp",
                "ctermid",
                "WIFSIGNALED",
                "WTERMSIG",
                "WIFEXITED",
                "WEXITSTATUS",
                "WNOHANG",
            ),
            *("O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NOCTTY", "O_SYNC", "O_DSYNC"),
        ),
        "signal": (
            *(
                "SIGHUP",
                "SIGKILL",
                "SIGUSR1",
                "SIGUSR2",
                "SIGALRM",
                "SIGCHLD",
                "SIGPIPE",
                "SIGQUIT",
                "SIGCONT",
                "SIGSTOP",
            ),
            *(
                "SIGTSTP",
                "SIGWINCH",
                "alarm",
                "setitimer",
                "pthread_kill",
                "pthread_sigmask",
                "sigwait",
                "siginterrupt",
            ),
        ),
        "modules": ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline"),
    },
    "macos": {"os": ("sched_getaffinity", "sched_setaffinity", "pipe2"), "signal": (), "modules": ()},
}
PLATFORMS = {"windows": ("win32", "Windows"), "macos": ("darwin", "Darwin")}
OURS = ("search", "models", "optuna_search_service")
# alembic runs the one; the other runs in the process of a user's function, which Windows refuses
NOT_IMPORTED = (
    "search.storage.migrations.env",
    *(f"search.child.{name}" for name in ("nudges", "objectives", "programs")),
)
THROUGH = ("pathlib", "io", "ctypes", "os", "shutil", "tempfile", "contextlib", "weakref", __name__)
KERNEL = ("/proc/", "/sys/")


def modules() -> list[str]:
    """All modules of ours but those."""
    found = list(OURS)
    for name in OURS:
        package = importlib.import_module(name)
        found += [each.name for each in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{name}.")]
    return [name for name in found if name not in NOT_IMPORTED]


class Lacking(types.ModuleType):
    """A module as another system has it."""

    def __init__(self, real: types.ModuleType, without: tuple[str, ...], **other: object) -> None:
        super().__init__(real.__name__)
        self.__dict__.update(_real=real, _without=without, **other)

    def __getattr__(self, name: str) -> Any:
        if name in self._without:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._real, name, value)


def take_away(system: str) -> None:
    """What the system lacks."""
    lacking, (sys_platform, system_name) = LACKING[system], PLATFORMS[system]
    seen = {
        "os": Lacking(os, lacking["os"], **({"altsep": "\\"} if system == "windows" else {})),
        "signal": Lacking(signal, lacking["signal"]),
        "sys": Lacking(sys, (), platform=sys_platform),
        "platform": Lacking(platform, (), system=lambda: system_name),
    }
    real = builtins.__import__

    def limited(name: str, scope: Any = None, *more: Any, **named: Any) -> types.ModuleType:
        if (scope or {}).get("__name__", "").partition(".")[0] not in OURS:
            return real(name, scope, *more, **named)
        if name in lacking["modules"]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return seen.get(name) or real(name, scope, *more, **named)

    builtins.__import__ = limited
    sys.addaudithook(lambda event, arguments: _refuse(system, event, arguments))


def _refuse(system: str, event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("open", "ctypes.dlopen", "os.rename", "os.remove") or not _is_ours():
        return
    if event == "open" and str(arguments[0]).startswith(KERNEL):
        raise FileNotFoundError(2, "No such file or directory", str(arguments[0]))
    if event == "ctypes.dlopen" and arguments[0] is None:
        raise TypeError("LoadLibrary() argument 1 must be str, not None")
    if system == "windows" and event in ("os.rename", "os.remove"):
        names = arguments[:2] if event == "os.rename" else arguments[:1]
        folder = arguments[-1] if arguments[-1] not in (-1, None) else None
        for name in names:
            path = pathlib.Path(f"/proc/self/fd/{folder}" if folder is not None else ".", os.fsdecode(name))
            if path.exists() and any(_is_open(each.name, path) for each in pathlib.Path("/proc/self/fd").iterdir()):
                raise PermissionError(13, "The process cannot access the file, it is being used", str(path))


def _is_open(number: str, path: pathlib.Path) -> bool:
    try:
        found, asked = os.fstat(int(number)), path.stat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (asked.st_dev, asked.st_ino)


def _is_ours() -> bool:
    """Whether our code does it, by way of Python's own or not."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in THROUGH:
        frame = frame.f_back
    return frame.f_globals.get("__name__", "").partition(".")[0] in OURS


def run(words: list[str]) -> dict[str, Any]:
    """One command, with streams that hold what a Windows console does."""
    from search.cli import commands

    streams = [io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="backslashreplace") for _ in range(2)]
    before, asked = (sys.stdout, sys.stderr), []
    sys.stdout, sys.stderr = streams
    if words[0] == "dashboard":
        threading.Thread(target=_ask, args=(streams[0], asked)).start()
    try:
        code = commands.main(words)
    finally:
        sys.stdout, sys.stderr = before
    out, err = map(_text, streams)
    return {"words": words, "code": code, "out": out, "err": err, "asked": asked}


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    content: bytes = stream.buffer.getvalue()  # type: ignore[attr-defined]
    return content.decode("cp1252")


def _ask(stream: io.TextIOWrapper, asked: list[int]) -> None:
    """Waits for the dashboard's address, asks for two pages, and ends it."""
    while not (found := re.search(r"http://\S+", _text(stream))):
        time.sleep(0.05)
    for page in ("/dashboard", "/healthz"):
        with urllib.request.urlopen(found[0].rstrip("/") + page) as answer:
            asked.append(answer.status)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Imports all modules of ours, then runs the commands."""
    system, commands = sys.argv[1], json.loads(sys.argv[2])
    # a text file in whatever encoding the system has: not ours
    warnings.filterwarnings("error", category=EncodingWarning, module=r"(search|models)(\.|$)")
    take_away(system)
    for name in modules():
        importlib.import_module(name)
    for words in commands:
        sys.stdout.write(f"{json.dumps(run(words))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
