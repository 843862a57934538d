"""A process of `search work`, started in a session of its own."""

import os
import pathlib
import subprocess
import sys
from typing import Any

from search.worker import farewells

# by its path, and without the working folder among those that modules come from
BEGIN = (sys.executable, "-P", str(pathlib.Path(__file__).resolve().parents[2] / "optuna_search_service.py"))


def start(
    arguments: list[str], environment: dict[str, str], log_file: pathlib.Path | None, *passed: int
) -> tuple[subprocess.Popen[bytes], farewells.Ear]:
    """See `processes.Processes`.

    Args:
        passed: descriptors that it gets.
    """
    command = [*BEGIN, "work", *arguments, "--parent", str(os.getpid())]
    ear = farewells.Ear.open()
    how: dict[str, Any] = {"env": {**os.environ, **environment, **ear.environment}, "pass_fds": (ear.mouth, *passed)}
    try:
        if log_file is None:
            return subprocess.Popen(command, start_new_session=True, **how), ear
        with log_file.open("ab") as stream:
            return subprocess.Popen(command, start_new_session=True, stdout=stream, stderr=stream, **how), ear
    finally:
        ear.started()
