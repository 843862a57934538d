"""The report of some studies: which chapters, in which order, and the lab's takeaways judged."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from optuna.trial import TrialState

from search import errors, words
from search.ledger import efficiencies, listings, outsiders, studies, summaries
from search.reports import (
    comparison_chapters,
    comparisons,
    confirmations,
    entrants,
    factor_chapters,
    lab,
    outsider_chapters,
    pages,
    rules,
    search_chapters,
    takeaways,
    verdicts,
)
from search.reports.evidence import Experiment
from search.reports.pages import Block, Bullets, Chapter, Table, Text
from search.reports.verdicts import Verdict
from search.storage import databases
from search.study import judgements
from search.training import records


@dataclasses.dataclass(frozen=True)
class Written:
    """A report on disk: the same page twice, its verdicts on the lab's takeaways, and why studies were left out.

    Attributes:
        sheets: CSV files of all trials, of each study that has more than its table shows.
        cautions: why the best value of a study is too high, by its name, where it is.
    """

    html: pathlib.Path
    markdown: pathlib.Path
    verdicts: list[tuple[verdicts.Takeaway, verdicts.Finding]]
    left_out: Sequence[str] = ()
    sheets: Sequence[pathlib.Path] = ()
    cautions: Mapping[str, str] = dataclasses.field(default_factory=dict)


def write(
    database: databases.Database,
    studies: Sequence[studies.Study | outsiders.Outsider],
    folder: pathlib.Path,
    heading: str | None = None,
    left_out: Sequence[str] = (),
) -> Written:
    """Writes the report of some studies into a folder.

    Args:
        left_out: a sentence for each study that was asked for and cannot be read.

    Raises:
        errors.InputError: the folder cannot be made or written, or none of the studies can be read.
    """
    found = gather(database, studies)
    unread = [*left_out, *map(str, found.unread)]
    if found.unread and not found.names:
        raise found.unread[0]
    more = [*found.chapters, Chapter("Left out", [Bullets(unread)])] if unread else found.chapters
    compared = [comparison_chapters.chapter(each) for each in comparisons.comparable(found.rivals)]
    page = build(found.experiments, heading or title(found.names), more, found.foreign, compared)
    html, markdown = pages.write(page, folder)
    specs = [each.summary.study.spec for each in found.experiments if each.summary.best is not None]
    cautions = {spec.name: said for spec in specs if (said := judgements.caution(spec)) is not None}
    sheets = [folder / each.path for each in page.sheets]
    return Written(html, markdown, judged(found.experiments), unread, sheets, cautions)


def title(names: Sequence[str]) -> str:
    """Of a page that was given none."""
    return f"Report on {', '.join(names)}"


@dataclasses.dataclass
class Gathered:
    """What studies hold: ours as experiments, other tools', chapters that follow theirs, and why some were not read.

    Attributes:
        rivals: searches, and other tools' studies of one objective: what is set side by side.
    """

    experiments: list[Experiment] = dataclasses.field(default_factory=list)
    foreign: list[outsiders.Outsider] = dataclasses.field(default_factory=list)
    chapters: list[Chapter] = dataclasses.field(default_factory=list)
    rivals: list[entrants.Entrant] = dataclasses.field(default_factory=list)
    unread: list[errors.InputError] = dataclasses.field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Of those that were read."""
        return [each.name for each in self.experiments] + [each.name for each in self.foreign]


def gather(database: databases.Database, studies: Sequence[studies.Study | outsiders.Outsider]) -> Gathered:
    """The studies as experiments, a chapter for each that is another tool's, and for each that is confirmed."""
    found, confirmed = Gathered(), []
    for study in studies:
        try:
            with listings.named(study.name):
                if isinstance(study, outsiders.Outsider):
                    found.chapters.append(outsider_chapters.chapter(study, outsiders.trials(database, study)))
                    found.foreign.append(study)
                    if len(studies) > 1 and len(study.directions) == 1:
                        found.rivals.append(entrants.read(database, study))
                    continue
                experiment = Experiment.of(listings.checked(summaries.whole(database, study)))
                if experiment.is_search:
                    spent = efficiencies.read(database, experiment.summary)
                    experiment = dataclasses.replace(experiment, efficiency=spent)
                confirmed.append(confirmations.read(database, study, searched=experiment))
                found.experiments.append(experiment)
                if len(studies) > 1 and experiment.is_search:
                    found.rivals.append(entrants.read(database, study, confirmation=confirmed[-1]))
        except errors.StudyNotFound:
            raise
        except errors.InputError as error:
            found.unread.append(error)
    found.chapters += [confirmation_chapter(each) for each in confirmed if each is not None]
    return found


def build(
    experiments: Sequence[Experiment],
    heading: str,
    more: Sequence[Chapter] = (),
    foreign: Sequence[outsiders.Outsider] = (),
    compared: Sequence[Chapter] = (),
) -> pages.Page:
    """The whole report.

    Args:
        compared: chapters that set the studies side by side.
        more: chapters that follow the experiments' own.
        foreign: other tools' studies, which have theirs among them.
    """
    colours = factor_chapters.palette(experiments)
    found = []
    if known := judged(experiments):
        found.append(_judgement(known))
    found += compared
    for experiment in experiments:
        if experiment.is_search:
            found.append(search_chapters.chapter(experiment))
        else:
            found.append(factor_chapters.chapter(experiment, colours))
    found += more
    if experiments:
        found.append(Chapter("How to read this", [Bullets(rules.of(experiments)), *_provenance(experiments)]))
    names = [each.name for each in experiments] + [each.name for each in foreign]
    noun = "Studies" if len(names) > 1 else "Study"
    facts = (_facts(experiments) if experiments else []) + _foreign_facts(foreign)
    return pages.Page(heading, f"{noun} {', '.join(map(words.code, names))}.", facts, found)


def _foreign_facts(foreign: Sequence[outsiders.Outsider]) -> list[tuple[str, str]]:
    facts = [("trials of other tools", f"{sum(each.total for each in foreign):,}")] if foreign else []
    best = next((each for each in foreign if each.best is not None), None)
    if best is not None and best.best is not None:
        facts.append((f"best {best.metrics[0]} of {best.name}", words.metric(best.best.value)))
    return facts


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
        values = words.metric(entry.selected), entry.runs.value.show(), words.metric(entry.optimism, "+")
        rows.append([words.configuration(entry.runs.params), *values])
    is_own = found.spec.training is None
    again = f"{found.spec.study.metric} again" if is_own else "test accuracy"
    headings = ["configuration", "value in the search", again, "optimism"]
    where = "" if is_own else " on all images"
    caption = f"The best of {words.code(found.searched)}, trained{where} with {found.seeds} fresh seeds."
    sentence, remarks = found.sentence(), [f"{each[0].upper()}{each[1:]}." for each in found.remarks()]
    optimism = f"Optimism over the configurations: {found.optimism.show(signed=True)}."
    blocks: list[Block] = [
        Text(f"{sentence[0].upper()}{sentence[1:]}."),
        Table(headings, rows, caption),
        Bullets([optimism, *remarks]),
    ]
    return Chapter(f"{found.searched}: confirmed", blocks)


def _facts(experiments: Sequence[Experiment]) -> list[tuple[str, str]]:
    trials = [trial for experiment in experiments for trial in experiment.trials]
    done = sum(experiment.summary.done for experiment in experiments)
    facts = [("trials done", f"{done:,}")]
    search = next((e for e in experiments if e.is_search and e.summary.best is not None), None)
    if search is not None and search.summary.best is not None:
        metric = search.summary.study.spec.study.metric
        chosen = f", {judgements.ON_TEST}" if judgements.is_chosen_on_test(search.summary.study.spec) else ""
        facts.append((f"best {metric} of {search.name}{chosen}", words.metric(search.summary.best.value)))
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
                if not isinstance(part, dict) or not isinstance(part.get("with"), dict):  # not what ours write
                    continue
                kinds.setdefault(tuple(sorted(part["with"].items())), set()).add(experiment.name)
    rows = [
        [", ".join(f"{key} {value}" for key, value in kind), ", ".join(sorted(names))] for kind, names in kinds.items()
    ]
    if not rows:
        return []
    caption = "What the trials were trained with; where it is the same, `search replay` gives the same bits."
    return [Table(["engine, device, versions, data", "studies"], rows, caption)]
