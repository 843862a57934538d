"""Files that a program has left for its trial, in a folder of the name that it was given: kept as artifacts."""

import os
import pathlib

from search.training import objectives

FOLDER = "artifacts"  # of the trial's own folder


def keep_all(trial: objectives.Trial, folder: pathlib.Path) -> list[str]:
    """Keeps every file below `artifacts/` of a trial's folder, by its path there; returns their names.

    Links that lead out of the folder are left out, as what is no file is.

    Args:
        folder: the trial's own; one without `artifacts/` is fine.

    Raises:
        objectives.Refused: one cannot be read, or there are too many.
    """
    root = folder / FOLDER
    found = sorted(pathlib.Path(place, name) for place, _, names in os.walk(root) for name in names)
    inside = [path for path in found if path.is_file() and path.resolve().is_relative_to(root.resolve())]
    names = [path.relative_to(root).as_posix() for path in inside]
    for path, name in zip(inside, names, strict=True):
        trial.artifact(path, name)
    return names
