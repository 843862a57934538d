"""Sentences about a study: why its trials ended, who works on it, what it has cost, which trial is best."""

import math
from collections.abc import Iterable, Mapping

from optuna.trial import FrozenTrial, TrialState

from search import screens, words
from search.ledger import abilities, efficiencies, forecasts, goals, orders, rosters, summaries
from search.lines import LINE_LONGEST, said
from search.training import records

SHORT = 300  # characters of what is said within a sentence


def reasons(summary: summaries.Summary, shown: Iterable[FrozenTrial], limit: int = LINE_LONGEST) -> list[str]:
    """Why trials were pruned or failed, a line each, with so many characters of the reason."""
    again = {number: f"; put back as trial {new}" for number, new in summary.put_back.items()}
    return [
        f"trial {trial.number} {words.STATES[trial.state]}: {said(reason, limit)}{again.get(trial.number, '')}"
        for trial in shown
        if (reason := records.REASON.find(trial)) is not None
    ]


def state_counts(summary: summaries.Summary) -> str:
    """How many trials are in each state, in a phrase: of the budget, then those that were added with their result.

    Failed ones that were put back have failed no longer.
    """
    found = {word: summary.own.get(state, 0) for state, word in words.STATES.items()}
    failed, again = words.STATES[TrialState.FAIL], len(summary.put_back)
    found[failed] -= again
    asleep = {words.STATES[TrialState.WAITING]: f" ({summary.paused} paused)"} if summary.paused else {}
    shown = [f"{count} {word}{asleep.get(word, '')}" for word, count in found.items() if count]
    brought = {"imported": summary.imported, "added": summary.added - summary.imported}
    known = [f"{count} {word}" for word, count in brought.items() if count]
    return ", ".join([*shown, *known, *([f"{again} put back"] if again else [])]) or "no trial yet"


def situation(summary: summaries.Summary, crew: rosters.Roster, causes: Mapping[str, int]) -> list[str]:
    """Who works on a study, what it has cost and what is to come: a line each.

    Args:
        causes: how many trials have ended early, by reason.
    """
    lines = [note] if (note := state_note(summary)) else []
    lines += foreign(summary)
    if summary.done < summary.budget:
        if summary.is_exhausted:
            lines.append(exhausted(summary))
        if summary.is_out_of_hours:
            lines.append(
                f"budget.hours is used up: `search extend {words.typed(summary.study.name)} --hours H` adds to it"
            )
    lines += goals.lines(summary)
    if summary.pauses:
        lines.append(paused(summary))
    lines += [f"{count} {said(reason, SHORT)}" for reason, count in causes.items()]
    steps = {trial.number: len(trial.intermediate_values) for trial in summary.running}
    lines.append(f"workers alive: {len(crew.members)}")
    for member in crew.members:
        done = {number: words.plural(steps.get(number, 0), summary.study.spec.step) for number in member.trials}
        busy = ", ".join(f"trial {number}, {many} done" for number, many in done.items())
        who = said(f"{member.name} on {member.device}", SHORT)
        lines.append(f"  {who}: {busy or 'idle'}, seen {member.seen_seconds_ago:.0f} s ago")
    for number, owner in crew.orphans.items():
        name = said(owner, SHORT)
        how = f"it was left by {name}, whose device failed" if number in crew.left else f"{name} is gone"
        lines.append(f"trial {number} is an orphan: {how}, the next free worker goes on with it")
    lines += lacked(crew)
    spent = f"training time: {words.duration(summary.seconds)}"
    if summary.order.hours is not None:
        spent += f" of {summary.order.hours:g} h"
    left = forecasts.seconds_left(summary, len(crew.members))
    if left is not None and summary.done < summary.budget and summary.order.state is orders.StudyState.ACTIVE:
        spent += f"; about {words.duration(left)} left with {words.plural(len(crew.members), 'worker')}"
    return [*lines, spent]


def lacked(crew: rosters.Roster) -> list[str]:
    """Which trials were begun with an engine that none of those who are there has, a line for each engine."""
    if not crew.members:
        return []
    return [
        f"{words.plural(count, 'trial')} of {said(abilities.label(backend), SHORT)}, which no living worker has: "
        f"{'it waits' if count == 1 else 'they wait'} for one; a worker that idles for its grace begins "
        f"{'it' if count == 1 else 'them'} anew"
        for backend, count in crew.lacked.items()
    ]


def paused(summary: summaries.Summary) -> str:
    """Where trials have paused, and what becomes of them."""
    after = ", ".join(f"{count} after {summary.study.spec.step} {epoch}" for epoch, count in summary.pauses.items())
    return f"paused: {after}; one goes on where it is among the best there, the others are told pruned at the end"


def best(summary: summaries.Summary, columns: int | None = None, short: bool = False) -> str:
    """The best trial with its parameters, in words; as many parameters as have room in so many columns."""
    trial = summary.best
    if trial is None or trial.value is None:
        return "no trial is complete yet"
    metric = said(summary.study.spec.study.metric)
    if columns is not None:
        most = min(screens.NAME_COLUMNS, columns // 4)
        metric = screens.shorten(metric, most, most // 2)
    known = records.IMPORTED.find(trial)
    where = "" if known is None else f" (imported from {said(known, SHORT)})"
    head = f"best: trial {trial.number}{where}, {metric} {words.metric(trial.value)}, "
    left = None if columns is None else max(screens.NARROWEST // 2, columns - len(head))
    return head + screens.configuration(trial.params, left, short)


def exhausted(summary: summaries.Summary) -> str:
    """That nothing is left to try."""
    size = summary.study.spec.space.size or 0
    if size == 1:
        return "the one configuration of the space has been tried"
    return f"all {size} configurations of the space have been tried"


def foreign(summary: summaries.Summary) -> list[str]:
    """What other tools have brought in, a line each."""
    name, lines = words.typed(summary.study.name), []
    if summary.imported:
        lines.append(f"{words.plural(summary.imported, 'result')} imported: outside the budget, and not trained again")
    if summary.added > summary.imported:
        others = words.plural(summary.added - summary.imported, "result")
        lines.append(f"{others} added by another tool: outside the budget")
    if summary.outside:
        lines.append(
            f"{words.plural(len(summary.outside), 'trial')} of another tool outside the space: not shown to the "
            "sampler, and never the best"
        )
    lines += [
        f"trial {trial.number} is run by another tool and waited for; `search retry {name} {trial.number}` puts it "
        "back where that tool has ended"
        for trial in summary.running
        if trial.number in summary.ran
    ]
    return lines


def failed_note(summary: summaries.Summary) -> str:
    """Why no trial begins after so many failures, and what to type."""
    name, last = words.typed(summary.study.name), ""
    if (failed := summary.last_failure) is not None:
        reason = said(records.REASON.read(failed, "no reason given"), SHORT)
        last = f"; the last, trial {failed.number}: {reason}"
    return (
        f"{words.plural(summary.failures, 'trial')} failed, more than max_failures = {summary.order.max_failures} "
        f"allows{last}. `search retry {name}` puts them back, `search extend {name} --failures N` bears N more"
    )


def state_note(summary: summaries.Summary) -> str:
    """What the user must know while no trial begins."""
    name = words.typed(summary.study.name)
    if summary.order.reason is not None:
        return (
            f"stopped by itself: {summary.order.reason}. `search retry {name}` puts failed trials back, "
            f"`search resume {name}` goes on without them"
        )
    if summary.has_failed and summary.done < summary.budget:
        return failed_note(summary)
    if summary.order.state is orders.StudyState.PAUSED:
        return f"paused: no trial begins until `search resume {name}`"
    if summary.order.state is orders.StudyState.STOPPED:
        return f"stopping: no trial begins until `search resume {name}` or {summary.study.spec.again}"
    return ""


def efficiency(found: efficiencies.Efficiency | None) -> list[str]:
    """What the training time went into, and what random search would have found for it: a line each."""
    if found is None:
        return []
    lines = []
    if found.random is not None:
        lines.append(against_random(found, found.random))
    if found.note is not None:
        lines.append(f"no comparison with random search: {said(found.note, SHORT)}")
    if found.seconds:
        saved = saving(found.saved, "step" if found.margin is None else "epoch")
        lines.append(
            f"{found.poor_share:.0%} of the training time went into poor trials, {poor(found)}{saved and '; '}{saved}"
        )
    return lines


def against_random(found: efficiencies.Efficiency, random: efficiencies.Random) -> str:
    """What random search would have found in the same time, and how long it needs for as much."""
    line = f"random search would have found {words.metric(random.expected)} in this training time"
    if math.isfinite(random.low):
        line += f" (half of all searches {words.metric(random.low)} to {words.metric(random.high)})"
    line += f", here {words.metric(found.best)}"
    if random.seconds_to_best is None:
        return f"{line}, which no recorded training reaches"
    return f"{line}, for which it needs {words.duration(random.seconds_to_best)} on average"


def poor(found: efficiencies.Efficiency) -> str:
    """Which trials are poor."""
    if found.margin is not None:
        return f"more than {found.margin:g} below the best"
    return f"worse than {words.metric(found.bar)}, the median"


def saving(saved: efficiencies.Saved, step: str) -> str:
    """What pausing has spared, in a phrase; nothing where no trial has paused.

    Args:
        step: what trials go on by.
    """
    if not saved.trials:
        return ""
    steps, trials = words.plural(saved.epochs, step), words.plural(saved.trials, "trial")
    return f"pausing saved {steps} of {trials}, about {words.duration(saved.seconds)}"
