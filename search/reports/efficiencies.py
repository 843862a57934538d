"""What a search found for its training time beside what random search finds, as a figure and a table."""

import datetime
import math
from collections.abc import Sequence

import numpy
from matplotlib import axes
from optuna.trial import FrozenTrial, TrialState

from search import words
from search.ledger.efficiencies import Random
from search.reports import figures, samples, trajectories
from search.reports.evidence import Experiment
from search.reports.pages import Block, Drawing, Table
from search.study import baselines
from search.training import records

MOMENTS = 80  # of the time spent, at which random search is drawn
ROWS = (1 / 8, 1 / 4, 1 / 2, 1.0)  # of the time spent, at which it stands in the table
SAMPLE = 1_000  # trials that say how fast the machine is
LEFT_OUT = 0.1  # of the time spent: what was found earlier would press the rest flat
MARGIN = 0.08  # of an axis
LONG_SECONDS = 2 * 3600  # from which on time is given in hours

Array = numpy.ndarray


def blocks(experiment: Experiment) -> list[Block]:
    """Nothing where no table of the space tells what random search finds."""
    random = None if experiment.efficiency is None else experiment.efficiency.random
    if random is None:
        return []
    attribute = cost_of(experiment.trials)
    moments, best = progress(experiment, attribute)
    pace = random.baseline.pace(_paid(experiment.trials, attribute))
    if not len(moments) or pace is None:
        return []
    kind = "CPU time" if attribute is records.CPU_SECONDS else "training time"
    end = float(spent_by(experiment.trials, attribute, [datetime.datetime.max])[0])
    return [
        _figure(experiment, random, pace, moments, best, end, kind),
        _table(experiment, random, pace, moments, best, end, kind),
    ]


def cost_of(trials: Sequence[FrozenTrial]) -> records.Attribute[float]:
    """What a trial has cost: CPU seconds where all that trained have noted them, else wall seconds of training."""
    trained = [trial for trial in trials if records.SECONDS.find(trial) and trial.intermediate_values]
    known = all(records.CPU_SECONDS.find(trial) is not None for trial in trained)
    return records.CPU_SECONDS if trained and known else records.SECONDS


def spent_by(
    trials: Sequence[FrozenTrial], attribute: records.Attribute[float], moments: Sequence[datetime.datetime]
) -> Array:
    """Seconds that all trials together had taken by each moment.

    Each is taken to have trained without a pause from its start on: when it paused or waited is not stored.
    """
    starts, lengths, costs = [], [], []
    for trial in trials:
        spent = attribute.find(trial)
        if spent and trial.datetime_start is not None:
            starts.append(trial.datetime_start.timestamp())
            lengths.append(records.SECONDS.read(trial, spent))
            costs.append(spent)
    at = [math.inf if moment == datetime.datetime.max else moment.timestamp() for moment in moments]
    return trajectories.spent_by(numpy.array(starts), numpy.array(lengths), numpy.array(costs), numpy.array(at))


def progress(experiment: Experiment, attribute: records.Attribute[float]) -> tuple[Array, Array]:
    """Seconds spent when each complete trial ended, ascending, and the best value by then."""
    complete = [
        trial
        for trial in experiment.trials
        if trial.state == TrialState.COMPLETE and trial.datetime_complete and trial.value is not None
    ]
    complete.sort(key=lambda trial: trial.datetime_complete or datetime.datetime.max)
    ends = [trial.datetime_complete for trial in complete if trial.datetime_complete]
    values = numpy.array([float(trial.value or 0.0) for trial in complete])
    is_up = experiment.summary.study.spec.study.direction == "maximize"
    best = (numpy.fmax if is_up else numpy.fmin).accumulate(values) if len(values) else values
    return spent_by(experiment.trials, attribute, ends), best


def _paid(trials: Sequence[FrozenTrial], attribute: records.Attribute[float]) -> list[baselines.Paid]:
    known = [trial for trial in trials if trial.state.is_finished() and attribute.find(trial)]
    return [
        baselines.Paid(trial.params, len(trial.intermediate_values), attribute.read(trial, 0.0))
        for trial in samples.evenly(known, SAMPLE)
    ]


def _figure(
    experiment: Experiment, random: Random, pace: float, moments: Array, best: Array, end: float, kind: str
) -> Drawing:
    unit, name = (3600, "hours") if end > LONG_SECONDS else (60, "minutes")
    grid = end * numpy.linspace(LEFT_OUT / 4, 1, MOMENTS)
    expected = random.baseline.expected(list(grid / pace))
    low, _, high = random.baseline.quartiles(list(grid / pace))
    spec = experiment.summary.study.spec

    def draw(panel: axes.Axes) -> None:
        colour = figures.COLOURS[1]
        panel.fill_between(grid / unit, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.plot(grid / unit, expected, color=colour, linewidth=1.6, label="random search, the mean")
        panel.plot([], [], color=colour, alpha=0.3, linewidth=6, label="half of all random searches")
        steps = numpy.append(moments, end), numpy.append(best, best[-1])
        panel.step(steps[0] / unit, steps[1], where="post", color=figures.COLOURS[0], linewidth=2, label="this search")
        _zoom(panel, [low[grid >= LEFT_OUT * end], high, steps[1][steps[0] >= LEFT_OUT * end]])
        panel.set_xlim(0, end / unit)
        panel.set_xlabel(f"{kind} spent, {name}")
        panel.set_ylabel(figures.fit(spec.study.metric, figures.PANEL, 2))

    text = f"the best {spec.study.metric} so far over the {kind} spent, beside random search"
    picture = figures.picture(f"{experiment.name}-efficiency", text, draw, (), legend=True)
    caption = (
        f"{text[0].upper()}{text[1:]} that trains each network of the same space to its end, by the recorded table "
        f"{words.code(random.baseline.place)}, on a machine as fast as this one."
    )
    return Drawing(picture, caption)


def _zoom(panel: axes.Axes, drawn: Sequence[Array]) -> None:
    """Without what was found at first."""
    values = numpy.concatenate(drawn)
    values = values[numpy.isfinite(values)]
    if len(values) and values.min() < values.max():
        room = MARGIN * float(values.max() - values.min())
        panel.set_ylim(float(values.min()) - room, float(values.max()) + room)


def _table(
    experiment: Experiment, random: Random, pace: float, moments: Array, best: Array, end: float, kind: str
) -> Table:
    asked = [share * end for share in ROWS]
    expected = random.baseline.expected([each / pace for each in asked])
    low, _, high = random.baseline.quartiles([each / pace for each in asked])
    rows = []
    for place, seconds in enumerate(asked):
        found = int(numpy.searchsorted(moments, seconds * (1 + 1e-9), side="right"))
        here = words.metric(float(best[found - 1])) if found else "none yet"
        half = f"{words.metric(float(low[place]))} to {words.metric(float(high[place]))}"
        half = half if math.isfinite(low[place]) and math.isfinite(high[place]) else "most have none yet"
        rows.append([words.duration(seconds), here, words.metric(float(expected[place])), half])
    metric = experiment.summary.study.spec.study.metric
    caption = (
        f"The best {metric} found for the {kind}, here and by random search: the mean of all such searches, where one "
        "that has found nothing yet counts as the worst network, and between which values half of them lie."
    )
    return Table([kind, "here", "random", "half of random"], rows, caption)
