"""The rows of a comparison, for a page and for a terminal: what was found, what it cost, how the files differ."""

from collections.abc import Callable
from typing import NamedTuple

from optuna.trial import TrialState

from search import words
from search.reports.comparisons import Comparison
from search.reports.entrants import Entrant
from search.reports.trajectories import Stairs, Trajectory

NOTHING, IMPORTED = "-", "imported"
SHORT_SECONDS = 10.0


class Rows(NamedTuple):
    """A table: its headings, and a row for each study, or each key."""

    headings: list[str]
    rows: list[list[str]]


def found(compared: Comparison) -> Rows:
    """The best of each, what its images make sure of, what fresh seeds have made of it, and how much was tried."""
    return Rows(
        ["study", "best", "trial", "95 %", "confirmed", "seeds", "of space"],
        [
            [
                each.label,
                words.metric(each.best),
                _number(each),
                _images(each),
                *_confirmed(each),
                _share(each),
            ]
            for each in compared.entries
        ],
    )


def _number(each: Entrant) -> str:
    if each.contender.best is None:
        return NOTHING
    return f"{each.contender.best.number}{' (imported)' if each.contender.is_best_imported else ''}"


def _images(each: Entrant) -> str:
    return NOTHING if each.interval is None else " to ".join(map(words.metric, each.interval))


def _confirmed(each: Entrant) -> tuple[str, str]:
    if each.confirmation is None:
        return NOTHING, NOTHING
    return each.confirmation.quoted.show(), str(each.confirmation.best.runs.value.count)


def spent(compared: Comparison) -> Rows:
    """How many trials there are, what they have cost, and how soon the best and a value of all of them came."""
    shared = compared.shared
    headings = [
        "study",
        "complete",
        "pruned",
        "failed",
        "paused",
        "CPU time" if compared.has_cpu_seconds else "time",
        "best after",
        "best in",
    ]
    several = shared is not None and len(compared.ranked) > 1
    headings += [f"{words.metric(shared)} after", f"{words.metric(shared)} in"] if several else []
    rows = []
    for each, own in zip(compared.entries, compared.trajectories, strict=True):
        states = each.contender.states
        counts = [states.get(state, 0) for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)]
        row = [each.label, *map(str, [*counts, each.contender.paused]), _time(own.by_cost.end)]
        row[1] += f" ({each.contender.imported} imported)" if each.contender.imported else ""
        for value in (each.best, shared) if several else (each.best,):
            if _came(each, own, value, compared.sign):
                row += [IMPORTED, NOTHING]
                continue
            row.append(_reached(own.by_trial, value, compared.sign, lambda x: f"{x:.0f}"))
            row.append(_reached(own.by_cost, value, compared.sign, _time))
        rows.append(row)
    return Rows(headings, rows)


def _came(each: Entrant, own: Trajectory, value: float | None, sign: int) -> bool:
    """Whether a value was there before any trial that found it, with what was imported."""
    if value is None:
        return False
    begins = own.by_trial.reached(value, sign) == 0  # no trial of its own has this number
    return begins or (value == each.best and each.contender.is_best_imported)


def _reached(stairs: Stairs, value: float | None, sign: int, put: Callable[[float], str]) -> str:
    there = None if value is None else stairs.reached(value, sign)
    return NOTHING if there is None else put(there)


def _share(each: Entrant) -> str:
    """Of a finite space, what was given to trials."""
    size = None if each.spec is None else each.spec.space.size
    if size is None or each.contender.configurations is None:
        return NOTHING
    return f"{100 * each.contender.configurations / size:.2g} %"


def _time(seconds: float) -> str:
    """A duration; one of a few seconds in two digits."""
    return words.duration(seconds) if seconds >= SHORT_SECONDS else f"{seconds:.2g} s"


def differing(compared: Comparison) -> Rows:
    """The keys in which the files differ."""
    return Rows(
        ["key", *(each.label for each in compared.entries)],
        [[key, *values] for key, values in compared.differences],
    )


def bests(compared: Comparison) -> list[str]:
    """The best configuration of each, a sentence each."""
    return [
        f"{words.typed(each.label)}: trial {_number(each)}, {words.metric(each.best)}"
        + (f", {shown}" if (shown := words.configuration(each.contender.best.params)) else "")
        for each in compared.entries
        if each.contender.best is not None
    ]
