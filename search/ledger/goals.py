"""Sentences about what ends a study before its trials are used up: how far each limit is, and which has ended it."""

from collections.abc import Iterator
from typing import Any

from search import words
from search.ledger import stops, summaries
from search.lines import said
from search.study import deadlines

SHORT = 100  # characters of the metric's name


def shown(order: stops.Limits, key: str) -> str:
    """A limit as it is typed."""
    value = getattr(order, key)
    return stops.NONE if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)


def lines(summary: summaries.Summary, hints: bool = True) -> list[str]:
    """A line for each limit that is set.

    Args:
        hints: what to type, where one has ended the study.
    """
    found = {
        stops.Stop.TARGET: _target(summary),
        stops.Stop.PATIENCE: _patience(summary),
        stops.Stop.REGRET: _regret(summary),
        stops.Stop.DEADLINE: _deadline(summary),
    }
    last = f": {lifting(summary)}" if hints and summary.stop is not None else ""
    return [f"{stop}: {line}{last if stop is summary.stop else ''}" for stop, line in found.items() if line is not None]


def lifting(summary: summaries.Summary) -> str:
    """What to type where a limit has ended the study; it waits for it, whatever else is left."""
    name = words.typed(summary.study.name)
    if summary.stop is stops.Stop.DEADLINE and deadlines.duration(summary.order.deadline or "") is not None:
        return f"{summary.study.spec.again} begins another run"
    value = {stops.Stop.PATIENCE: "N", stops.Stop.DEADLINE: "WHEN", stops.Stop.TARGET: "VALUE"}
    return f"`search extend {name} --{summary.stop} {value.get(summary.stop or stops.Stop.REGRET, 'R')}` lets it go on"


def reason(summary: summaries.Summary) -> str | None:
    """What has ended the study, in a phrase; None where nothing has."""
    return next(_reasons(summary), None)


def _reasons(summary: summaries.Summary) -> Iterator[str]:
    match summary.stop:
        case stops.Stop.TARGET:
            yield f"its target is reached, {_target(summary)}"
        case stops.Stop.PATIENCE:
            yield f"its patience is used up, {_patience(summary)}"
        case stops.Stop.REGRET:
            yield f"its regret is small enough, {_regret(summary)}"
        case stops.Stop.DEADLINE:
            yield f"its deadline has passed, {_deadline(summary)}"


def _target(summary: summaries.Summary) -> str | None:
    target, best = summary.order.target, summary.standing.best
    if target is None:
        return None
    found = "no trial is complete yet"
    if best is not None:
        found = f"the best {said(summary.study.spec.study.metric, SHORT)} is {words.metric(best)}"
    return f"{found}, {words.metric(target)} is enough"


def _patience(summary: summaries.Summary) -> str | None:
    if summary.order.patience is None:
        return None
    return f"{summary.standing.unimproved} of {summary.order.patience} finished trials without improvement"


def _regret(summary: summaries.Summary) -> str | None:
    regret, bound = summary.order.regret, summary.order.bound
    if regret is None:
        return None
    found = "no model has bounded it yet" if bound is None else f"at most {bound:.4g} by the sampler's model"
    return f"{found}, {regret:.4g} is enough"


def _deadline(summary: summaries.Summary) -> str | None:
    deadline = summary.order.deadline
    if deadline is None:
        return None
    text = deadline if deadlines.duration(deadline) is None else f"{deadline} from the begin of the run"
    left = summary.seconds_left
    if left is None:
        return f"{text}, which begins with its next trial"
    return f"{text}, {words.duration(left)} left" if left > 0 else f"{text}, passed {words.duration(-left)} ago"


def as_json(summary: summaries.Summary) -> dict[str, Any]:
    """What `status --json` has of them."""
    order, left = summary.order, summary.seconds_left
    return {
        **{key: getattr(order, key) for key in stops.KEYS},
        "unimproved": None if order.patience is None else summary.standing.unimproved,
        "deadline_seconds": None if left is None else round(left, 1),
        "regret_bound": None if order.regret is None else order.bound,
        "ended_by": None if summary.stop is None else str(summary.stop),
    }
