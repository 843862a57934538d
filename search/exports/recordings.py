"""A study's trials as a table of recorded trainings, on which `search simulate` compares samplers and pruners."""

import collections
import dataclasses
import gzip
import json
import math
import pathlib
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search import errors, files, words
from search.ledger import studies, summaries
from search.storage import databases
from search.training import records

ENDINGS = (".jsonl", ".jsonl.gz")


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A table that was written.

    Attributes:
        left_out: how many trials of each state have no row: nobody knows what they would have come to.
    """

    study: str
    path: pathlib.Path
    rows: int
    steps: int
    left_out: dict[TrialState, int]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        left = {words.STATES[state]: count for state, count in self.left_out.items()}
        return {"study": self.study, "table": str(self.path), "rows": self.rows, "steps": self.steps, "left_out": left}


def check_path(path: pathlib.Path, force: bool) -> None:
    """Passes a place where a table can be written.

    Raises:
        errors.InputError: another ending, a file that is there already, or no such folder.
    """
    if not path.name.endswith(ENDINGS):
        raise errors.InputError(f"--table must end in {' or '.join(ENDINGS)}, got {path}")
    if not path.parent.is_dir():
        raise errors.InputError(f"--table {path} must lie in a folder that exists, got {path.parent}")
    if path.is_dir() or (path.exists() and not force):
        raise errors.InputError(f"--table {path} exists already; --force replaces it")


def write(database: databases.Database, study: studies.Study, path: pathlib.Path) -> Recorded:
    """Writes the complete trials of a study, a line each; `check_path` has passed the path.

    Raises:
        errors.InputError: none is complete, or the file cannot be written.
    """
    trials = summaries.whole(database, study).trials
    rows = [row(trial) for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    if not rows:
        raise errors.InputError(f"study {study.name!r} has no complete trial yet: there is nothing to write")
    spec, steps = study.spec, max(len(each["values"]) for each in rows)
    header = {
        "table": f"the complete trials of study {study.name}",
        "steps": steps,
        "direction": spec.study.direction,
        "metric": spec.study.metric,
        "code": spec.code,
        "study_seed": spec.study.seed,
    }
    content = "".join(f"{json.dumps(each, ensure_ascii=False)}\n" for each in (header, *rows)).encode()
    try:
        # mtime: the same trials give the same bytes
        files.write(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    except OSError as error:
        raise errors.InputError(f"--table {path} cannot be written: {error.strerror}") from error
    left: collections.Counter[TrialState] = collections.Counter(
        trial.state for trial in trials if trial.state != TrialState.COMPLETE
    )
    return Recorded(study.name, path, len(rows), steps, dict(left))


def row(trial: FrozenTrial) -> dict[str, Any]:
    """A complete trial: its values by step, the last of them the trial's own, and its time in equal parts.

    How long a step took is not stored. The seed is the repeat: 0 for the study's own, as a simulation asks for it.
    """
    curve = trial.intermediate_values
    values = [*[curve[step] for step in sorted(curve)][:-1], float(trial.value or 0.0)]
    spent = records.CPU_SECONDS.find(trial)
    seconds = records.SECONDS.read(trial, 0.0) if spent is None else spent
    return {
        "number": trial.number,
        "params": trial.params,
        "seed": records.repeat_of(trial),
        "values": [None if math.isnan(value) else value for value in values],
        "seconds": [round(seconds / len(values), 6)] * len(values),
    }
