"""The tables of a chapter on a search: its trials, what was pruned, and the lab's published trials beside ours."""

import itertools
import statistics
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search import words
from search.reports import lab, sheets
from search.reports.evidence import Experiment
from search.reports.pages import Table
from search.space import scalars
from search.training import origins, records

TABLE_TRIALS = 60
TABLE_REASONS = 20  # an objective's own may be as many as its trials
TABLE_LEVELS = 12  # of a parameter
TABLE_NUMBERS = 12
TABLE_PARAMETERS = 12  # whose pruned shares are shown
QUARTERS = 4
COLOUR_OF_STATE = {TrialState.COMPLETE: (0, "complete"), TrialState.PRUNED: (1, "pruned")}


def pruned(experiment: Experiment) -> Table:
    """When and why, by reason."""
    reasons: dict[str, list[FrozenTrial]] = {}
    for trial in experiment.trials:
        if trial.state == TrialState.PRUNED:
            reasons.setdefault(records.cause(trial) or "?", []).append(trial)
    is_own = experiment.summary.study.spec.training is None
    never, step = ("without a step", "step") if is_own else ("before training", "epoch")
    rows, ranked = [], sorted(reasons.items(), key=lambda item: -len(item[1]))
    for reason, trials in ranked[:TABLE_REASONS]:
        epochs = sorted(len(trial.intermediate_values) for trial in trials)
        when = never if epochs[-1] == 0 else f"after {statistics.median(epochs):g} (0 to {epochs[-1]})"
        if epochs[0] > 0:
            when = f"after {statistics.median(epochs):g} ({epochs[0]} to {epochs[-1]})"
        numbers = ", ".join(str(t.number) for t in trials[:TABLE_NUMBERS])
        more = len(trials) - TABLE_NUMBERS
        rows.append([reason, str(len(trials)), when, f"{numbers} and {more:,} more" if more > 0 else numbers])
    caption = "What was pruned, when and why."
    if left := ranked[TABLE_REASONS:]:
        caption += f" {len(left):,} rarer reasons, of {sum(len(own) for _, own in left):,} trials, are left out."
    return Table(["reason", "trials", f"{step}, median and range", "numbers"], rows, caption)


def shares(experiment: Experiment) -> Table:
    """The pruned share per value: what importance does not see."""
    by_name, left = {}, 0
    ended = [t for t in experiment.trials if t.state in COLOUR_OF_STATE]
    for parameter in experiment.summary.study.spec.space.parameters:
        own = [trial for trial in ended if parameter.name in trial.params]
        levels = _levels(own, parameter.name)
        left += max(0, len(levels) - TABLE_LEVELS)
        kept = sorted(levels, key=lambda level: -len(level[1]))[:TABLE_LEVELS]
        by_name[parameter.name] = [
            (label, len(group), sum(trial.state == TrialState.PRUNED for trial in group))
            for label, group in (levels if len(levels) <= TABLE_LEVELS else kept)
        ]
    shown = sorted(by_name, key=lambda name: -_spread(by_name[name]))[:TABLE_PARAMETERS]
    rows = [
        [name, label, str(many), str(pruned), f"{pruned / many:.0%}"]
        for name, own in by_name.items()
        if name in shown
        for label, many, pruned in own
    ]
    caption = "The share of pruned trials per value; numbers of more than eight values in quarters of the trials."
    if left:
        caption += f" Of choices the {TABLE_LEVELS} most frequent; {left:,} are left out."
    if len(by_name) > len(shown):
        caption += f" Of {len(by_name)} parameters the {len(shown)} whose shares are the most different."
    return Table(["parameter", "value", "trials", "pruned", "share"], rows, caption)


def _spread(levels: Sequence[tuple[str, int, int]]) -> float:
    """How different the pruned shares of a parameter's values are."""
    found = [pruned / many for _, many, pruned in levels]
    return max(found, default=0.0) - min(found, default=0.0)


def _levels(trials: Sequence[FrozenTrial], name: str) -> list[tuple[str, list[FrozenTrial]]]:
    values = scalars.distinct(trial.params[name] for trial in trials)
    if len(values) <= 2 * QUARTERS or any(not isinstance(value, (int, float)) for value in values):
        by_value: dict[tuple[type, Any], list[FrozenTrial]] = {}
        for trial in trials:
            by_value.setdefault((type(trial.params[name]), trial.params[name]), []).append(trial)
        return [(scalars.shown(value), by_value[type(value), value]) for value in values]
    ranked = sorted(trials, key=lambda trial: trial.params[name])
    cuts = [round(len(ranked) * quarter / QUARTERS) for quarter in range(QUARTERS + 1)]
    groups = [ranked[start:end] for start, end in itertools.pairwise(cuts)]
    return [(f"{words.setting(g[0].params[name])} to {words.setting(g[-1].params[name])}", g) for g in groups if g]


def trials(experiment: Experiment) -> Table:
    """All that have ended, or the best of them."""
    spec = experiment.summary.study.spec
    names = [p.name for p in spec.space.parameters]
    ended = [trial for trial in experiment.trials if trial.state.is_finished()]
    shown = ended
    caption, sheet = "All trials that have ended.", None
    if len(ended) > TABLE_TRIALS:
        sign = -1 if spec.study.direction == "maximize" else 1
        ranked = sorted((t for t in ended if t.value is not None), key=lambda t: sign * float(t.value or 0.0))
        shown = ranked[:TABLE_TRIALS]
        sheet = sheets.of_trials(spec.name, [spec.study.metric], names, experiment.trials)
        caption = f"The best {len(shown)} of {len(ended)} trials; `{sheet.path}` has all."
    is_own, costs = spec.training is None, [records.SECONDS, records.CPU_SECONDS]
    if is_own and all(records.CPU_SECONDS.find(trial) is None for trial in shown):
        costs.pop()
    rows = []
    for trial in shown:
        row = [str(trial.number), origins.state(trial), "" if trial.value is None else words.metric(trial.value)]
        row += [words.setting(trial.params[name]) if name in trial.params else "-" for name in names]
        row += [str(len(trial.intermediate_values))]
        row += ["" if (spent := each.find(trial)) is None else f"{spent:.1f}" for each in costs]
        rows.append([*row, records.cause(trial) or ""])
    headings = ["#", "state", spec.study.metric, *(words.HEADINGS.get(n, n) for n in names)]
    headings += ["steps" if is_own else "epochs", *("seconds", "CPU s")[: len(costs)]]
    return Table([*headings, "reason"], rows, caption, sheet)


def published(experiment: Experiment) -> Table | None:
    """The lab's ten trials beside ours of the same configurations, where there are any."""
    rows = []
    tree = experiment.summary.study.spec.space
    for number, theirs in enumerate(lab.TRIALS):
        try:
            kept, _ = tree.trim(theirs.params)
        except ValueError:  # outside this study's space
            continue
        ours = next((runs for runs in experiment.runs if runs.params == kept), None)
        if ours is not None:
            mean, losses = ours.mean, list(ours.figures(records.AVG_LOSS).values())
            row = [str(number), words.configuration(kept), f"{theirs.accuracy:.4f}", f"{mean:.4f}"]
            row += [f"{mean - theirs.accuracy:+.4f}", f"{theirs.loss:.4f}"]
            rows.append([*row, f"{statistics.fmean(losses):.4f}" if losses else ""])
    headings = ["lab's trial", "configuration", "accuracy, lab", "here", "difference", "avg loss, lab", "here"]
    return Table(headings, rows, "The lab's published trials, and the same configurations here.") if rows else None
