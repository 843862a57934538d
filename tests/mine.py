"""Studies with an objective of the user's own, as files in a folder."""

import pathlib

TEXT = """
objective = "{objective}"
[study]
name = "own"
[space]
{space}
[sampler]
name = "random"
[budget]
trials = {trials}
max_failures = {failures}
"""


def text(objective: str = "mine:objective", *, trials: int = 2, failures: int = 10, space: str = "") -> str:
    """A study file; `x` lies between 0 and 1 where no space is given."""
    space = space or "x = { low = 0.0, high = 1.0 }"
    return TEXT.format(objective=objective, trials=trials, failures=failures, space=space)


def write(folder: pathlib.Path, code: str, function: str = "objective", **settings: int) -> None:
    """`own.toml` and, beside it, `mine.py`."""
    (folder / "mine.py").write_text(code)
    (folder / "own.toml").write_text(text(f"mine:{function}", **settings))  # type: ignore[arg-type]
