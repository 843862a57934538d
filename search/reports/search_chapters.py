"""The chapter of a report on a search: what was tried, found, pruned and paid, and what mattered."""

import datetime
import itertools
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from search import words
from search.ledger import goals, sentences
from search.reports import efficiencies, factor_chapters, figures, importances, lab, overviews, scatters, search_tables
from search.reports.evidence import Experiment
from search.reports.pages import Block, Bullets, Chapter, Drawing, Text
from search.study import judgements
from search.training import origins, records

UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))
SHORTEST = 2  # of an axis in a unit


def chapter(experiment: Experiment) -> Chapter:
    """A search, from its setting to its bill."""
    blocks: list[Block] = [Text(_setting(experiment))]
    ended = [trial for trial in experiment.trials if trial.state.is_finished()]
    if not ended:
        return Chapter(f"{experiment.name}: the search", [*blocks, Text("No trial has ended yet.")])
    if _valued(ended):
        blocks += [_history(experiment), _over_time(experiment), *efficiencies.blocks(experiment)]
    blocks.append(Bullets(_bill(experiment)))
    blocks += _importance(experiment)
    if any(trial.state == TrialState.PRUNED for trial in ended):
        blocks += [search_tables.pruned(experiment), search_tables.shares(experiment)]
    blocks.append(search_tables.trials(experiment))
    if factor_chapters.has_accuracy(experiment) and (published := search_tables.published(experiment)):
        blocks.append(published)
    return Chapter(f"{experiment.name}: the search", blocks)


def _valued(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state in search_tables.COLOUR_OF_STATE and trial.value is not None]


def _setting(experiment: Experiment) -> str:
    spec = experiment.summary.study.spec
    size = "a continuous space" if spec.space.size is None else f"{spec.space.size:,} configurations"
    rules = ["hopeless networks"] if spec.pruning.hopeless else []
    rules += [f"the {spec.pruning.pruner} pruner"] if spec.pruning.pruner else []
    enqueued = f", the first {len(spec.enqueue)} enqueued" if spec.enqueue else ""
    seen = "" if spec.training is None else f", each value {judgements.measured(spec.training)}"
    known = experiment.summary.imported
    brought = f" {words.plural(known, 'result')} imported beside them, outside the budget." if known else ""
    return (
        f"{experiment.summary.done} of {experiment.summary.budget} trials done over {size} by the sampler "
        f"`{spec.sampler.name}`{enqueued}{seen}. Pruned: {' and '.join(rules) or 'nothing'}.{brought}"
    )


def _marks(experiment: Experiment) -> list[figures.Mark]:
    if not factor_chapters.has_accuracy(experiment):
        return []
    return [factor_chapters.HUMAN, figures.Mark("the lab's best 0.8607", lab.BEST_ACCURACY)]


def _is_higher_better(experiment: Experiment) -> bool:
    return experiment.summary.study.spec.study.direction == "maximize"


def _best_so_far(experiment: Experiment, trials: Sequence[FrozenTrial]) -> list[float]:
    better = max if _is_higher_better(experiment) else min
    return list(itertools.accumulate((float(trial.value or 0.0) for trial in trials), better))


def _history(experiment: Experiment) -> Drawing:
    found = _valued(experiment.trials)
    points = []
    for state, (colour, word) in search_tables.COLOUR_OF_STATE.items():
        own = [trial for trial in found if trial.state == state]
        if own:
            where = [trial.number for trial in own], [float(trial.value or 0.0) for trial in own]
            points.append(scatters.Points(word, colour, *where))
    complete = [trial for trial in found if trial.state == TrialState.COMPLETE]
    best = [trial.number for trial in complete], _best_so_far(experiment, complete)
    metric = experiment.summary.study.spec.study.metric
    text = f"{metric} of each trial and the best so far"
    name = f"{experiment.name}-history"
    progress = scatters.Progress(points, best, ("trial", metric), _is_higher_better(experiment))
    picture = scatters.picture(name, text, progress, _marks(experiment))
    caption = f"Optimisation history: {text}. A pruned trial stands at the value it was pruned at.{progress.note()}"
    return Drawing(picture, caption)


def _over_time(experiment: Experiment) -> Drawing:
    """The best value over what was spent, in the order in which trials ended."""
    ended = [trial for trial in experiment.trials if trial.state.is_finished()]
    ended.sort(key=lambda trial: trial.datetime_complete or datetime.datetime.max)
    spent = list(itertools.accumulate(records.SECONDS.read(trial, 0.0) for trial in ended))
    unit, length = next((unit for unit in UNITS if spent and spent[-1] >= SHORTEST * unit[1]), UNITS[-1])
    found = [
        (seconds / length, trial)
        for seconds, trial in zip(spent, ended, strict=True)
        if trial.state == TrialState.COMPLETE and trial.value is not None
    ]
    metric = experiment.summary.study.spec.study.metric
    best = [moment for moment, _ in found], _best_so_far(experiment, [trial for _, trial in found])
    text = f"the best {metric} over the training time spent, all workers together"
    labels = f"training time spent, {unit}", metric
    points = [scatters.Points("complete", 0, best[0], [float(trial.value or 0.0) for _, trial in found])]
    progress = scatters.Progress(points, best, labels, _is_higher_better(experiment))
    picture = scatters.picture(f"{experiment.name}-cost", text, progress, _marks(experiment))
    return Drawing(picture, f"{text[0].upper()}{text[1:]}.{progress.note()}")


def _bill(experiment: Experiment) -> list[str]:
    """What it cost, and what was spared."""
    summary = experiment.summary
    trials = [trial for trial in experiment.trials if origins.is_own(trial)]
    found = [sentences.best(summary).replace("best:", "Best:") + "."]
    if summary.best is not None:
        found += [f"{said[0].upper()}{said[1:]}." for said in judgements.lines(summary.study.spec)]
    started = [t.datetime_start for t in trials if t.datetime_start]
    ended = [t.datetime_complete for t in trials if t.datetime_complete]
    wall = (max(ended) - min(started)).total_seconds() if started and ended else 0.0
    cpu = [spent for t in trials if (spent := records.CPU_SECONDS.find(t)) is not None]
    bill = f"Training time {words.duration(summary.seconds)} over all workers"
    if cpu:
        bill += f", CPU time {words.duration(sum(cpu))} ({sum(cpu) / 3600:.3f} h)"
    found.append(f"{bill}; {words.duration(wall)} from the first start to the last end.")
    best = summary.best
    is_own = best is not None and origins.is_own(best)
    if best is not None and is_own and best.value is not None and summary.seconds >= 1:  # of less no rate can be told
        hours = summary.seconds / 3600
        found.append(
            f"{summary.done / hours:,.0f} trials an hour of training; the best value came after "
            f"{words.duration(_seconds_until(experiment, best.number))} of it."
        )
    found += [f"{line[0].upper()}{line[1:]}." for line in sentences.efficiency(experiment.efficiency)]
    epochs = summary.study.spec.training.epochs if summary.study.spec.training else None
    pruned = [t for t in trials if t.state == TrialState.PRUNED]
    if pruned and epochs:
        saved = sum(epochs - len(t.intermediate_values) for t in pruned)
        whole = epochs * summary.done
        found.append(
            f"{words.plural(len(pruned), 'trial')} pruned, "
            f"which spared {saved} of {whole} epochs ({saved / whole:.0%})."
        )
    found += [f"{line[0].upper()}{line[1:]}." for line in goals.lines(summary, hints=False)]
    failed = summary.count(TrialState.FAIL)
    found.append(f"{words.plural(failed, 'trial') if failed else 'No trials'} failed.")
    refused = sum(records.DUPLICATES_AVOIDED.read(t, 0) for t in trials)
    found.append(f"Duplicates avoided: {refused}, proposals of the sampler that another trial had already.")
    return found


def _seconds_until(experiment: Experiment, number: int) -> float:
    end = experiment.trials[number].datetime_complete
    done = [t for t in experiment.trials if t.datetime_complete and end and t.datetime_complete <= end]
    return sum(records.SECONDS.read(t, 0.0) for t in done)


def _importance(experiment: Experiment) -> list[Block]:
    """Each parameter's, among the complete trials in which it exists; of many trials their values by parameter too."""
    spec = experiment.summary.study.spec
    complete = [t for t in experiment.trials if t.state == TrialState.COMPLETE and t.value is not None]
    if len(complete) < importances.FEWEST:
        return [Text(f"Importance of the parameters: {len(complete)} complete trials are too few to tell.")]
    names = [p.name for p in spec.space.parameters]
    shares = importances.shares(complete, names, spec.study.direction)
    few = [name for name in names if name not in shares]
    text = f"how much each parameter decides whether a trial is among the best {importances.TOP_SHARE:.0%}"
    picture = figures.bars(f"{experiment.name}-importance", text, shares, "importance, PED-ANOVA, 0 to 1")
    caption = (
        f"Importance: {text}, by Optuna's PED-ANOVA over {importances.of(complete)}; a parameter of a branch "
        "among those that have it. It does not see pruned trials: what they say stands below."
        + (f" Too few trials have {' and '.join(few)}." if few else "")
    )
    studied = overviews.Studied(
        experiment.name, spec.study.metric, _is_higher_better(experiment), experiment.trials, experiment.summary.best
    )
    return [Drawing(picture, caption), *overviews.blocks(studied, [*shares, *few])]
