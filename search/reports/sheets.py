"""All trials of a study as CSV, beside a page whose table shows some of them; columns are named as Optuna's are."""

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from search import files, words
from search.space import scalars
from search.training import records

FOLDER = "trials"


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A file of comma-separated values; `path` is the place below the report's folder."""

    path: str
    text: str


def of_trials(name: str, metrics: Sequence[str], parameters: Sequence[str], trials: Sequence[FrozenTrial]) -> Sheet:
    """A row for each trial, by number, with every digit of its numbers.

    Args:
        metrics: names of the objectives; a single one's column is `value`.
    """
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    values = ["value"] if len(metrics) == 1 else [f"values_{metric}" for metric in metrics]
    named = [f"params_{each}" for each in parameters]
    times = ["datetime_start", "datetime_complete"]
    rows.writerow(["number", "state", *values, *named, "steps", "seconds", "cpu_seconds", "repeat", *times, "reason"])
    rows.writerows(_rows(len(metrics), parameters, trials))
    return Sheet(f"{FOLDER}/{files.safe_name(name)}.csv", written.getvalue())


def _rows(objectives: int, parameters: Sequence[str], trials: Sequence[FrozenTrial]) -> Iterator[list[Any]]:
    for trial in trials:
        values = trial.values if trial.values and len(trial.values) == objectives else [None] * objectives
        spent = [records.SECONDS.find(trial), records.CPU_SECONDS.find(trial)]
        times = [when and when.isoformat() for when in (trial.datetime_start, trial.datetime_complete)]
        # None is a choice like others: an empty cell is a parameter that the trial does not have
        params = [scalars.shown(trial.params[name]) if name in trial.params else "" for name in parameters]
        steps = len(trial.intermediate_values)
        row = [trial.number, words.STATES[trial.state], *values, *params, steps, *spent, records.repeat_of(trial)]
        yield [*row, *times, records.REASON.find(trial)]
