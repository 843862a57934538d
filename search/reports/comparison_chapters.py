"""The chapter of a report on several studies side by side, and the page that holds it alone."""

import dataclasses

from search import words
from search.reports import comparison_figures, comparison_sentences, comparison_tables, pages
from search.reports.comparisons import Comparison
from search.reports.pages import Block, Bullets, Chapter, Drawing, Table, Text

ALONE = "Side by side"
LONGEST_TITLE = 60  # characters of names
BESTS = (
    "The best {metric} of each study, its interval at 95 % by the images alone, what fresh seeds have made of it, and "
    "which part of its space was tried."
)
RULES = (
    "The interval beside a best value is Wilson's at 95 % of a share of the images by which its study judges; it knows "
    "nothing of the choice of the best of many values, which are too good for having been chosen.",
    "A confirmed value is the mean of the best confirmed configuration over fresh seeds, corrected for being the best "
    "of several means, as `search confirm` quotes it. The difference of two has Welch's interval at 95 %, widened by "
    "both corrections, and for several pairs so that all hold together (Bonferroni).",
    "Trials are counted by their numbers. Time is that of all trials together, failed ones too, each spent evenly from "
    "its start on. What was added with its result, and not run, costs nothing and counts as no trial.",
)


def chapter(found: Comparison) -> Chapter:
    """Several studies, from their bests to their files."""
    verdicts = [f"{said[0].upper()}{said[1:]}." for said in comparison_sentences.verdicts(found)]
    cautions = [f"{said[0].upper()}{said[1:]}." for said in comparison_sentences.cautions(found)]
    blocks: list[Block] = [Bullets([*cautions, *verdicts])]
    blocks.append(_table(comparison_tables.found(found), BESTS.format(metric=found.metric)))
    if bests := comparison_tables.bests(found):
        blocks.append(Bullets([f"{each}." for each in bests]))
    if found.ranked:
        blocks.append(_drawing(found))
    caption = (
        f"Trials by state, {found.cost} of all of them, after how many trials and in which time each came to its best, "
        "and to a value that all have reached."
    )
    blocks.append(_table(comparison_tables.spent(found), caption))
    if found.differences:
        blocks.append(
            _table(comparison_tables.differing(found), "In which keys their files differ, by the budget now.")
        )
    else:
        blocks.append(Text("Their files do not differ, but for the name."))
    return Chapter(_title(found), [*blocks, Bullets(RULES)])


def _table(found: comparison_tables.Rows, caption: str) -> Table:
    return Table(found.headings, found.rows, caption)


def _drawing(found: Comparison) -> Drawing:
    drawn = [each for each in found.trajectories if each.best is not None]
    name = f"{'-'.join(each.label for each in drawn)}-compared"
    picture = comparison_figures.picture(name, found.metric, drawn, found.sign, found.cost)
    caption = f"{picture.text[0].upper()}{picture.text[1:]}.{comparison_figures.note(drawn, found.sign)}"
    return Drawing(picture, caption)


def page(found: Comparison, heading: str | None = None) -> pages.Page:
    """The chapter alone."""
    labels = [each.label for each in found.entries]
    facts = [(f"best {found.metric} of {each.label}", words.metric(each.best)) for each in found.entries]
    subtitle = f"Studies {', '.join(map(words.code, labels))}."
    alone = dataclasses.replace(chapter(found), title=ALONE)  # the page has the names in its own title
    return pages.Page(heading or _title(found), subtitle, facts, [alone])


def _title(found: Comparison) -> str:
    """With their names, where they are short; no two chapters of a report have the same."""
    named = " beside ".join(each.label for each in found.entries)
    if len(named) <= LONGEST_TITLE:
        return f"{named}: compared"
    return f"{len(found.entries)} studies compared, {found.metric} {found.entries[0].direction}d"
