"""The chapter of a report on another tool's study: its values, its parameters, its trials, as far as it tells them."""

import itertools
import math
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from search import words
from search.ledger import outsiders
from search.reports import overviews, scatters, sheets
from search.reports.pages import Block, Bullets, Chapter, Drawing, Table, Text

TABLE_TRIALS = 60
LISTED_VALUES = 8  # of a parameter; more are shown as their range
STATES = {TrialState.COMPLETE: (0, "complete"), TrialState.PRUNED: (1, "pruned")}


def chapter(study: outsiders.Outsider, trials: Sequence[FrozenTrial]) -> Chapter:
    """One of Optuna's own studies, read without a study file: what was not stored is not guessed."""
    counts = ", ".join(f"{count} {words.STATES[state]}" for state, count in sorted(study.counts.items()) if count)
    blocks: list[Block] = [
        Text(
            f"A study of another tool: {study.goal}; {words.plural(study.total, 'trial')}"
            f"{f' ({counts})' if counts else ''}. It has no study file, so its sampler, its budget and what was "
            "possible beside what was tried are not known here."
        )
    ]
    blocks += [_history(study, trials, place) for place in range(len(study.metrics)) if _points(trials, place)]
    if found := _findings(study, list(trials)):
        blocks.append(Bullets(found))
    names = outsiders.parameters(list(trials))
    if len(study.metrics) == 1:
        higher = study.directions[0] == "maximize"
        blocks += overviews.blocks(overviews.Studied(study.name, study.metrics[0], higher, trials, study.best), names)
    if names:
        blocks.append(_parameters(names, trials))
    if shown := _shown(study, trials):
        blocks.append(_trials(study, names, shown, trials))
    return Chapter(f"{study.name}: Optuna's own", blocks)


def _points(trials: Sequence[FrozenTrial], place: int) -> list[tuple[FrozenTrial, float]]:
    """The ended trials that have a number for an objective."""
    ended = [(t, t.values[place]) for t in trials if t.state in STATES and t.values and len(t.values) > place]
    return [(trial, float(value)) for trial, value in ended if math.isfinite(value)]


def _history(study: outsiders.Outsider, trials: Sequence[FrozenTrial], place: int) -> Drawing:
    found, metric = _points(trials, place), study.metrics[place]
    points = []
    for state, (colour, word) in STATES.items():
        own = [(trial.number, value) for trial, value in found if trial.state == state]
        if own:
            points.append(scatters.Points(word, colour, *map(list, zip(*own, strict=True))))
    complete = [(trial.number, value) for trial, value in found if trial.state == TrialState.COMPLETE]
    better = max if study.directions[place] == "maximize" else min
    best = [number for number, _ in complete], list(itertools.accumulate((value for _, value in complete), better))
    text = f"{metric} of each trial and the best so far"
    name = f"{study.name}-history" + (f"-{place}" if len(study.metrics) > 1 else "")
    progress = scatters.Progress(points, best, ("trial", metric), study.directions[place] == "maximize")
    return Drawing(scatters.picture(name, text, progress), f"Optimisation history: {text}.{progress.note()}")


def _findings(study: outsiders.Outsider, trials: list[FrozenTrial]) -> list[str]:
    found = []
    if study.best is not None:
        params = words.configuration(study.best.params)
        found.append(
            f"Best: trial {study.best.number}, {study.metrics[0]} {words.metric(study.best.value)}"
            f"{f', {params}' if params else ''}."
        )
    if len(study.metrics) > 1 and (front := outsiders.front(study, trials)):
        numbers = ", ".join(str(trial.number) for trial in front[:TABLE_TRIALS])
        numbers += f" and {len(front) - TABLE_TRIALS:,} more" if len(front) > TABLE_TRIALS else ""
        found.append(f"No trial is better in all objectives than {words.plural(len(front), 'trial')}: {numbers}.")
    started = [trial.datetime_start for trial in trials if trial.datetime_start]
    ended = [trial.datetime_complete for trial in trials if trial.datetime_complete]
    if started and ended:
        wall = words.duration(max(0.0, (max(ended) - min(started)).total_seconds()))
        spent = words.duration(sum(trial.duration.total_seconds() for trial in trials if trial.duration))
        found.append(f"{wall} from the first start to the last end; {spent} over all trials.")
    return found


def _parameters(names: Sequence[str], trials: Sequence[FrozenTrial]) -> Table:
    rows = []
    for name in names:
        own = [trial for trial in trials if name in trial.params]
        spaces = list(dict.fromkeys(words.distribution(trial.distributions[name], LISTED_VALUES) for trial in own))
        space = spaces[0] if len(spaces) == 1 else f"{spaces[-1]}, and {len(spaces) - 1} before"
        rows.append([name, space, str(len(own)), _range([trial.params[name] for trial in own])])
    return Table(["parameter", "asked for as", "trials", "tried"], rows, "Parameters, in the order they appeared.")


def _range(values: Sequence[object]) -> str:
    different = list(dict.fromkeys(map(words.setting, values)))
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    if len(numbers) == len(values) and len(different) > LISTED_VALUES:
        return f"{words.setting(min(numbers))} to {words.setting(max(numbers))}"
    more = len(different) - LISTED_VALUES
    return ", ".join(different[:LISTED_VALUES]) + (f" and {more} more" if more > 0 else "")


def _shown(study: outsiders.Outsider, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """All that have ended, or the best of them; of several objectives the last."""
    ended = [trial for trial in trials if trial.state.is_finished()]
    if len(ended) <= TABLE_TRIALS:
        return ended
    if len(study.metrics) > 1:
        return ended[-TABLE_TRIALS:]
    sign = -1 if study.directions[0] == "maximize" else 1
    ranked = sorted(_points(ended, 0), key=lambda each: sign * each[1])
    return [trial for trial, _ in ranked[:TABLE_TRIALS]]


def _trials(
    study: outsiders.Outsider, names: Sequence[str], shown: Sequence[FrozenTrial], trials: Sequence[FrozenTrial]
) -> Table:
    rows, ended = [], sum(trial.state.is_finished() for trial in trials)
    for trial in shown:
        values = trial.values or [None] * len(study.metrics)
        row = [str(trial.number), words.STATES[trial.state]]
        row += ["" if value is None else words.metric(value) for value in values]
        row += [words.setting(trial.params[name]) if name in trial.params else "-" for name in names]
        rows.append([*row, str(len(trial.intermediate_values))])
    caption, sheet = "All trials that have ended.", None
    if ended > len(shown):
        which = "best" if len(study.metrics) == 1 else "last"
        sheet = sheets.of_trials(study.name, study.metrics, names, trials)
        caption = f"The {which} {len(shown)} of {ended} trials; `{sheet.path}` has all."
    return Table(["trial", "state", *study.metrics, *names, "steps"], rows, caption, sheet)
