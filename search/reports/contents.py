"""The report of some studies: which chapters, in which order, and the lab's takeaways judged."""

import collections
import dataclasses
import pathlib
from collections.abc import Sequence

from optuna.trial import TrialState

from search import words
from search.ledger import studies, summaries
from search.reports import confirmations, factor_chapters, lab, pages, search_chapters, takeaways, verdicts
from search.reports.evidence import Experiment
from search.reports.pages import Block, Bullets, Chapter, Table, Text
from search.reports.verdicts import Verdict
from search.storage import databases
from search.training import records

RULES = (
    "An interval is Student's at 95 % over the training seeds; ± is half its width. With one seed there is none.",
    "Seeds are paired: repeat k of every configuration starts from the same random generator and sees the images in "
    "the same order. A difference is called real where the interval of its mean over the seeds leaves out 0, widened "
    "where one value is compared with several, so that all the comparisons hold together (Bonferroni).",
    "Accuracy is a share of the evaluated images, from 0 to 1; guessing gives 0.1. Loss is cross-entropy in nats, the "
    "mean over evaluation batches, as the lab computes it.",
    "Where a study is evaluated on the test set, as the lab's are, its best value is optimistic: it was chosen by the "
    "same images. `search confirm` gives an honest one.",
)


@dataclasses.dataclass(frozen=True)
class Written:
    """A report on disk: the same page twice, its verdicts on the lab's takeaways, and why studies were left out."""

    html: pathlib.Path
    markdown: pathlib.Path
    verdicts: list[tuple[verdicts.Takeaway, verdicts.Finding]]
    left_out: Sequence[str] = ()


def write(
    database: databases.Database,
    studies: Sequence[studies.Study],
    folder: pathlib.Path,
    heading: str | None = None,
    left_out: Sequence[str] = (),
) -> Written:
    """Writes the report of some studies into a folder.

    Args:
        left_out: a sentence for each study that was asked for and cannot be read.

    Raises:
        errors.InputError: the folder cannot be made or written.
    """
    experiments, confirmed = gather(database, studies)
    more = [*confirmed, Chapter("Left out", [Bullets(left_out)])] if left_out else confirmed
    page = build(experiments, heading or title(experiments), more)
    return Written(*pages.write(page, folder), judged(experiments), left_out)


def title(experiments: Sequence[Experiment]) -> str:
    """Of a page that was given none."""
    return f"Report on {', '.join(experiment.name for experiment in experiments)}"


def gather(database: databases.Database, studies: Sequence[studies.Study]) -> tuple[list[Experiment], list[Chapter]]:
    """The studies as experiments, and a chapter for each that is confirmed."""
    experiments = [Experiment.of(summaries.summary(database, study)) for study in studies]
    found = [confirmations.read(database, study) for study in studies if study.spec.training is not None]
    return experiments, [confirmation_chapter(each) for each in found if each is not None]


def build(experiments: Sequence[Experiment], heading: str, more: Sequence[Chapter] = ()) -> pages.Page:
    """The whole report.

    Args:
        more: chapters that follow the experiments' own.
    """
    colours = factor_chapters.palette(experiments)
    found = []
    if known := judged(experiments):
        found.append(_judgement(known))
    for experiment in experiments:
        if experiment.is_search:
            found.append(search_chapters.chapter(experiment))
        else:
            found.append(factor_chapters.chapter(experiment, colours))
    found += [*more, Chapter("How to read this", [Bullets(RULES), *_provenance(experiments)])]
    names = ", ".join(words.code(experiment.name) for experiment in experiments)
    noun = "Studies" if len(experiments) > 1 else "Study"
    return pages.Page(heading, f"{noun} {names}.", _facts(experiments), found)


def judged(experiments: Sequence[Experiment]) -> list[tuple[verdicts.Takeaway, verdicts.Finding]]:
    """The takeaways of the lab's studies that are there, each with what the trials say of it."""
    known = {experiment.name: experiment for experiment in experiments if factor_chapters.has_accuracy(experiment)}
    return [(each, each.find(known)) for each in takeaways.TAKEAWAYS if each.study in known]


def _judgement(known: Sequence[tuple[verdicts.Takeaway, verdicts.Finding]]) -> Chapter:
    counts = collections.Counter(finding.verdict for _, finding in known)
    summed = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    rows = [[each.study, each.claim, str(found.verdict), each.rule, found.evidence] for each, found in known]
    text = (
        f"What the lab concluded, each judged by a rule that was fixed before the trials were looked at: {summed}. Not "
        "confirmed means that the trials show neither it nor its opposite."
    )
    headings = ["study", "the lab's takeaway", "verdict", "confirmed where", "evidence"]
    return Chapter("The lab's takeaways", [Text(text), Table(headings, rows, "Verdicts on the lab's takeaways.")])


def confirmation_chapter(found: confirmations.Confirmation) -> Chapter:
    """What the chosen configurations are worth on images and seeds by which they were not chosen."""
    rows = []
    for entry in found.entries:
        values = f"{entry.selected:.4f}", entry.runs.value.show(), f"{entry.optimism:+.4f}"
        rows.append([words.configuration(entry.runs.params), *values])
    headings = ["configuration", "value in the search", "test accuracy", "optimism"]
    caption = f"The best of {words.code(found.searched)}, trained on all images with {found.seeds} fresh seeds."
    sentence = found.sentence()
    optimism = f"Optimism over the configurations: {found.optimism.show(signed=True)}."
    blocks: list[Block] = [
        Text(f"{sentence[0].upper()}{sentence[1:]}."),
        Table(headings, rows, caption),
        Text(optimism),
    ]
    return Chapter(f"{found.searched}: confirmed", blocks)


def _facts(experiments: Sequence[Experiment]) -> list[tuple[str, str]]:
    trials = [trial for experiment in experiments for trial in experiment.trials]
    done = sum(experiment.summary.done for experiment in experiments)
    facts = [("trials done", f"{done:,}")]
    search = next((e for e in experiments if e.is_search and e.summary.best is not None), None)
    if search is not None and search.summary.best is not None:
        metric = search.summary.study.spec.study.metric
        facts.append((f"best {metric} of {search.name}", words.metric(search.summary.best.value)))
        if factor_chapters.has_accuracy(search):
            facts.append(("the lab's best", f"{lab.BEST_ACCURACY:.4f}"))
    facts.append(("training time", words.duration(sum(experiment.summary.seconds for experiment in experiments))))
    if pruned := sum(trial.state == TrialState.PRUNED for trial in trials):
        facts.append(("pruned", f"{pruned:,}"))
    if failed := sum(trial.state == TrialState.FAIL for trial in trials):
        facts.append(("failed", f"{failed:,}"))
    return facts


def _provenance(experiments: Sequence[Experiment]) -> list[Block]:
    """What the trials were trained with, as they recorded it."""
    kinds: dict[tuple[tuple[str, str], ...], set[str]] = {}
    for experiment in experiments:
        for trial in experiment.trials:
            for part in records.TRAINED.read(trial, []):
                kinds.setdefault(tuple(sorted(part["with"].items())), set()).add(experiment.name)
    rows = [
        [", ".join(f"{key} {value}" for key, value in kind), ", ".join(sorted(names))] for kind, names in kinds.items()
    ]
    if not rows:
        return []
    caption = "What the trials were trained with; where it is the same, `search replay` gives the same bits."
    return [Table(["engine, device, versions, data", "studies"], rows, caption)]
