"""How much longer a study takes: each running trial at its own pace, each one to come at the mean of the finished."""

import statistics

from optuna.trial import FrozenTrial, TrialState

from search.ledger import summaries


def seconds_left(summary: summaries.Summary, workers: int) -> float | None:
    """Wall seconds until the budget is used up with so many workers; None while nothing is known of it.

    Running trials take `seconds / epochs` for each epoch that is left; trials to come take the mean of those that are
    complete or pruned. It can be no less than the longest of the running ones. Where `budget.hours` ends the study
    first, that is the answer.
    """
    running = summary.running
    if not workers or not (summary.done or any(t.intermediate_values for t in running)):
        return None
    workers = max(workers, len(running))  # one with slots runs several
    epochs = steps(summary)
    mean = summary.done_seconds / summary.done if summary.done else None

    def left(trial: FrozenTrial) -> float:
        spent, finished = summary.running_seconds.get(trial.number, 0.0), len(trial.intermediate_values)
        return spent / finished * max(0, (epochs or 0) - finished) if finished else max(0.0, (mean or 0.0) - spent)

    if mean is None and epochs is None:
        return None
    if mean is None:  # the first trials run: the others will take as long
        begun = [t for t in running if t.intermediate_values]
        mean = statistics.fmean(summary.running_seconds.get(t.number, 0.0) + left(t) for t in begun)
    rest = [left(trial) for trial in running]
    to_come = max(0, summary.budget - summary.done - len(running) - summary.paused)  # few of these go on
    if summary.order.hours is not None:
        unspent = max(0.0, 3600 * summary.order.hours - summary.seconds)
        to_come = min(to_come, int((unspent - sum(rest)) / mean) + 1) if mean and unspent > sum(rest) else 0
    return max([(sum(rest) + to_come * mean) / workers, *rest])


def steps(summary: summaries.Summary) -> int | None:
    """Steps of a whole trial; None where an objective of the user's own has not shown it yet."""
    if summary.study.spec.training is not None:
        return summary.study.spec.training.epochs
    complete = [t for t in (*summary.latest, summary.best) if t is not None and t.state == TrialState.COMPLETE]
    return max((len(trial.intermediate_values) for trial in complete), default=0) or None
