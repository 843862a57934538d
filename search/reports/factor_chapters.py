"""Chapters of a report on experiments that vary one parameter, or none."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import TrialState

from search import words
from search.reports import evidence, figures, lab
from search.reports.evidence import Experiment, Runs
from search.reports.judges import LEARNS
from search.reports.pages import Block, Bullets, Chapter, Drawing, Table, Text
from search.space import scalars
from search.study import judgements
from search.training import records

HUMAN = figures.Mark("human accuracy 0.835", lab.HUMAN_ACCURACY)
SPEED_SHARE = 0.95
Palette = Mapping[tuple[str, str], int]


def palette(experiments: Sequence[Experiment]) -> Palette:
    """A colour for each value of each factor, the same wherever the value is drawn."""
    values: dict[str, list[Any]] = {}
    for experiment in experiments:
        for runs in () if experiment.is_search else experiment.runs:
            for name, value in runs.params.items():
                values.setdefault(name, []).append(value)
    # names in the order of their first mention, numbers by size
    ordered = {name: scalars.distinct(found) for name, found in values.items()}
    return {(name, scalars.shown(value)): place for name, found in ordered.items() for place, value in enumerate(found)}


def chapter(experiment: Experiment, colours: Palette) -> Chapter:
    """The setting, the curves, the table and what they show by stated rules."""
    blocks: list[Block] = [Text(_setting(experiment))]
    if not experiment.runs:
        return Chapter(_title(experiment), [*blocks, Text("No trial is complete yet.")])
    if any(runs.curves() for runs in experiment.runs):
        blocks.append(_curves(experiment, colours))
    if any(runs.gap_curves for runs in experiment.runs) and not experiment.is_single:
        blocks.append(_gaps(experiment, colours))
    if experiment.is_single:
        blocks += _single(experiment)
    blocks += [_table(experiment), Bullets(_shown(experiment))]
    return Chapter(_title(experiment), blocks)


def has_accuracy(experiment: Experiment) -> bool:
    """Whether its values are accuracies on FashionMNIST, which the lab's and people's can stand beside."""
    training = experiment.summary.study.spec.training
    return training is not None and training.dataset == "fashion-mnist"


def _is_baseline(experiment: Experiment) -> bool:
    """Whether it is the setting that the lab published epoch by epoch."""
    return has_accuracy(experiment) and any(runs.params == lab.BASELINE_PARAMS for runs in experiment.runs)


def _title(experiment: Experiment) -> str:
    name, factor = experiment.name, experiment.factor
    if factor is None:
        return f"{name}: one setting"
    return name if name.replace("-", "_") == factor.name else f"{name}: {factor.name}"


def _setting(experiment: Experiment) -> str:
    spec = experiment.summary.study.spec
    others = [p for p in spec.space.parameters if p != experiment.factor]
    fixed = ", ".join(f"`{p.name}` {scalars.shown((p.values or ('?',))[0])}" for p in others)
    training = "an objective of its own"
    if spec.training is not None:
        one = spec.training
        training = f"{one.epochs} epochs on {one.dataset}, each value {judgements.measured(one)}"
    varied = "" if experiment.factor is None else f"`{experiment.factor.name}` varies. "
    seeds = f"{words.plural(experiment.seeds, 'training seed')} each"
    return f"{varied}Fixed: {fixed or 'nothing'}. {training[0].upper()}{training[1:]}; {seeds}."


def _curves(experiment: Experiment, colours: Palette) -> Drawing:
    metric, factor = experiment.summary.study.spec.study.metric, experiment.factor
    lines = []
    for runs in experiment.runs:
        level = scalars.shown(experiment.level(runs))
        label = experiment.name if factor is None else level
        seeds = list(runs.curves().values())
        if seeds:
            lines.append(figures.Line(label, colours[factor.name, level] if factor else 0, seeds))
    marks = [HUMAN] if has_accuracy(experiment) else []
    if _is_baseline(experiment):
        lines.append(figures.Line("published", 6, [lab.BASELINE_ACCURACIES]))
    text = f"{metric} over the {_steps(experiment)}" + (f", one curve for each {factor.name}" if factor else "")
    band = " Curves are means over the seeds; the bands hold all of them." if experiment.seeds > 1 else ""
    label = f"{metric}, share of images" if marks else metric
    heading = None if factor is None else factor.name
    drawn = [value for line in lines for seed in line.seeds for value in seed]
    is_log = figures.is_logarithmic(drawn, experiment.summary.study.spec.study.direction == "maximize")
    axis = " The axis of the values is logarithmic." if is_log else ""
    name = f"{experiment.name}-curves"
    picture = figures.curves(name, text, lines, label, marks, heading, _steps(experiment)[:-1], is_log)
    return Drawing(picture, f"{text[0].upper()}{text[1:]}.{band}{axis}")


def _steps(experiment: Experiment) -> str:
    return "steps" if experiment.summary.study.spec.training is None else "epochs"


def _gaps(experiment: Experiment, colours: Palette) -> Drawing:
    """Overfitting, where there is any: the gap grows while the evaluated accuracy does not."""
    lines, factor = [], experiment.factor
    for runs in experiment.runs:
        if factor is not None and runs.gap_curves:
            level = scalars.shown(experiment.level(runs))
            lines.append(figures.Line(level, colours[factor.name, level], list(runs.gap_curves.values())))
    text = "accuracy on the training images less the evaluated one, over the epochs"
    heading = None if factor is None else factor.name
    picture = figures.curves(f"{experiment.name}-gaps", text, lines, "gap, share of images", (), heading)
    return Drawing(picture, f"Overfitting: {text}.")


def _single(experiment: Experiment) -> list[Block]:
    """What only a study of one setting has: its batch losses, and the published baseline beside it."""
    blocks: list[Block] = []
    runs = experiment.runs[0]
    first = runs.trials[min(runs.trials)]
    if epochs := records.BATCH_LOSSES.find(first):
        step = records.BATCH_LOSSES_THINNED.read(first, 1)
        steps = [step * number + 1 for number in range(len(epochs[0]))]
        text = "the loss of every mini-batch of the first epoch"
        if step > 1:
            text = f"the loss of the mini-batches of the first epoch, means of {step}"
        picture = figures.batch_losses(f"{experiment.name}-batch-losses", text, steps, epochs[0])
        blocks.append(Drawing(picture, f"{text[0].upper()}{text[1:]}."))
    if _is_baseline(experiment):
        blocks.append(_beside_published(runs))
    return blocks


def _beside_published(runs: Runs) -> Table:
    accuracies, losses = runs.mean_curve(), runs.mean_curve(records.AVG_LOSSES)
    rows = [
        [str(epoch), f"{a:.3f}", f"{b:.3f}", f"{b - a:+.3f}", f"{c:.4f}", f"{d:.4f}", f"{d - c:+.4f}"]
        for epoch, (a, b, c, d) in enumerate(
            zip(lab.BASELINE_ACCURACIES, accuracies, lab.BASELINE_LOSSES, losses, strict=False), 1
        )
    ]
    headings = ["epoch", "accuracy, lab", "here", "difference", "avg loss, lab", "here", "difference"]
    return Table(headings, rows, f"The baseline as published and here, the mean of {len(runs.trials)}.")


def _table(experiment: Experiment) -> Table:
    metric = experiment.summary.study.spec.study.metric
    headings = [experiment.factor.name if experiment.factor else "study", "seeds", metric, "avg loss"]
    headings += ["training", "gap", "mean fall", "seconds", "CPU s"]
    rows = []
    for runs in experiment.runs:
        losses, trained = runs.figures(records.AVG_LOSS), runs.mean_curve(records.TRAIN_ACCURACIES)
        row = [scalars.shown(experiment.level(runs)) if experiment.factor else experiment.name, str(len(runs.trials))]
        row += [
            runs.value.show().removesuffix(" (one seed)"),
            _mean(losses, 4),
            f"{trained[-1]:.4f}" if trained else "",
        ]
        row += [_mean(runs.gaps, 4, "+"), _mean(runs.falls, 4), _mean(runs.figures(records.SECONDS), 1)]
        rows.append([*row, _mean(runs.figures(records.CPU_SECONDS), 1)])
    is_own = experiment.summary.study.spec.training is None
    hidden = {"mean fall"} if is_own else set()  # of what may be the better the less it is, that says nothing
    kept = [i for i, each in enumerate(headings) if i < 3 or (each not in hidden and any(row[i] for row in rows))]
    caption = (
        f"After the last epoch; ± is half the 95 % interval over the seeds. Training: {metric} on its images; gap: "
        "that less the evaluated one. Mean fall: from one epoch to the next, rises counted as 0. Seconds: of training, "
        "a trial."
    )
    if is_own:
        caption = "± is half the 95 % interval over the seeds. Seconds: of training, a trial."
    return Table([headings[i] for i in kept], [[row[i] for i in kept] for row in rows], caption)


def _mean(figures_by_seed: Mapping[int, float], digits: int, sign: str = "") -> str:
    if not figures_by_seed:
        return ""
    value = evidence.mean(list(figures_by_seed.values()))
    return f"{value:{sign}.{digits}f}" if abs(value) < 1e6 else f"{value:{sign}.4g}"


def _shown(experiment: Experiment) -> list[str]:
    """What the trials show, by the rules that each sentence states."""
    found = []
    for state, word in ((TrialState.PRUNED, "pruned"), (TrialState.FAIL, "failed")):
        if count := experiment.summary.count(state):
            found.append(f"{words.plural(count, 'trial')} {word}; only complete ones are compared here.")
    runs, spec = experiment.runs, experiment.summary.study.spec
    if experiment.seeds > 1:
        deviations = [evidence.deviation(list(each.values.values())) for each in runs]
        spread = math.hypot(*deviations) / math.sqrt(len(runs))
        found.append(
            f"Noise: seeds of one setting spread by {words.metric(spread)} (standard deviation, pooled over the "
            "settings)."
        )
    if experiment.factor is None:
        return found
    sign = 1 if spec.study.direction == "maximize" else -1
    ranked = sorted(runs, key=lambda each: -sign * each.value.mean)
    best = ranked[0]
    found.append(f"Best mean {spec.study.metric}: {scalars.shown(experiment.level(best))} with {best.value.show()}.")
    found += [f"{said[0].upper()}{said[1:]}." for said in judgements.lines(spec)]
    for other in ranked[1:]:
        found.append(_comparison(experiment, best, other, len(ranked) - 1))
    if spec.training is not None:
        found += _speed_and_chance(experiment)
    return found


def _comparison(experiment: Experiment, best: Runs, other: Runs, tests: int) -> str:
    names = f"{scalars.shown(experiment.level(best))} against {scalars.shown(experiment.level(other))}"
    gap = evidence.difference(best.values, other.values, tests)
    if gap is None or gap.count < 2:
        return f"{names}: one seed in common, so a difference cannot be told from noise."
    verdict = "a real difference" if gap.is_real else "no difference beyond the noise of the seeds"
    return f"{names}: {gap.show(signed=True)} over {gap.count} seeds, {verdict}."


def _speed_and_chance(experiment: Experiment) -> list[str]:
    curves = {scalars.shown(experiment.level(runs)): runs.mean_curve() for runs in experiment.runs}
    curves = {level: curve for level, curve in curves.items() if curve}
    if not curves:
        return []
    wanted = SPEED_SHARE * max(curve[-1] for curve in curves.values())
    first = {level: next((n for n, v in enumerate(curve, 1) if v >= wanted), None) for level, curve in curves.items()}
    words = ", ".join(f"{level} {'never' if epoch is None else f'in epoch {epoch}'}" for level, epoch in first.items())
    found = [f"Speed: {wanted:.3f} ({SPEED_SHARE:.0%} of the best end) is reached by {words}."]
    if dead := [str(level) for level, curve in curves.items() if max(curve) <= LEARNS]:
        found.append(f"Learnt nothing (no epoch above {LEARNS} on average): {', '.join(dead)}.")
    return found
