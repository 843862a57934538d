"""The rows of a comparison, for a page and for a terminal: what was found, what it cost, how the files differ."""

from collections.abc import Callable
from typing import NamedTuple

from optuna.trial import TrialState

from search import words
from search.reports.comparisons import Compared, Comparison
from search.reports.trajectories import Stairs

NOTHING = "-"


class Rows(NamedTuple):
    """A table: its headings, and a row for each study, or each key."""

    headings: list[str]
    rows: list[list[str]]


def found(compared: Comparison) -> Rows:
    """The best of each, what its images make sure of, and what fresh seeds have made of it."""
    return Rows(
        ["study", f"best {compared.metric}", "trial", "95 % by its images", "confirmed", "fresh seeds"],
        [
            [
                each.label,
                words.metric(each.best),
                NOTHING if each.contender.best is None else str(each.contender.best.number),
                _images(each),
                *_confirmed(each),
            ]
            for each in compared.entries
        ],
    )


def _images(each: Compared) -> str:
    return NOTHING if each.interval is None else " to ".join(map(words.metric, each.interval))


def _confirmed(each: Compared) -> tuple[str, str]:
    if each.confirmation is None:
        return NOTHING, NOTHING
    return each.confirmation.quoted.show(), str(each.confirmation.best.runs.value.count)


def spent(compared: Comparison) -> Rows:
    """How many trials there are, what they have cost, and how soon the best and a value of all of them came."""
    shared = compared.shared
    headings = ["study", "complete", "pruned", "failed", "paused", "of the space", compared.cost]
    headings += ["trials to its best", "time to it"]
    several = shared is not None and len(compared.ranked) > 1
    headings += [f"trials to {words.metric(shared)}", "time to that"] if several else []
    rows = []
    for each, own in zip(compared.entries, compared.trajectories, strict=True):
        states = each.contender.states
        counts = [states.get(state, 0) for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)]
        row = [each.label, *map(str, [*counts, each.contender.paused]), _share(each)]
        row.append(words.duration(own.by_cost.end))
        for value in (each.best, shared) if several else (each.best,):
            row.append(_reached(own.by_trial, value, compared.sign, lambda x: f"{x:.0f}"))
            row.append(_reached(own.by_cost, value, compared.sign, words.duration))
        rows.append(row)
    return Rows(headings, rows)


def _reached(stairs: Stairs, value: float | None, sign: int, put: Callable[[float], str]) -> str:
    there = None if value is None else stairs.reached(value, sign)
    return NOTHING if there is None else put(there)


def _share(each: Compared) -> str:
    """Of a finite space, what was given to trials."""
    size = None if each.spec is None else each.spec.space.size
    if size is None or each.contender.configurations is None:
        return NOTHING
    share = each.contender.configurations / size
    return f"{share:.1%}" if share >= 0.001 or not share else f"{share:.1g}"


def differing(compared: Comparison) -> Rows:
    """The keys in which the files differ."""
    return Rows(
        ["key", *(each.label for each in compared.entries)],
        [[key, *values] for key, values in compared.differences],
    )


def bests(compared: Comparison) -> list[str]:
    """The best configuration of each, a sentence each."""
    return [
        f"{words.code(each.label)}: trial {each.contender.best.number}, {words.metric(each.best)}"
        + (f", {shown}" if (shown := words.configuration(each.contender.best.params)) else "")
        for each in compared.entries
        if each.contender.best is not None
    ]
