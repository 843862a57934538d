"""What is said of a comparison: how far its studies can be compared, and which is better, as far as it can be told."""

from collections.abc import Mapping, Sequence

from search import words
from search.reports import entrants
from search.reports.comparisons import Comparison
from search.reports.entrants import Entrant
from search.study import judgements

SHAPING = ("dataset", "evaluate_on", "epochs", "value")  # of [training]: what a value is of
ONE_DRAW = (
    "one search each is one draw: which of them searches better, it does not say; several of each that differ in "
    "study.seed would"
)


def cautions(found: Comparison) -> list[str]:
    """Why their values may not be of the same thing, a sentence each."""
    said = []
    codes = {each.label: each.code for each in found.entries}
    if len(set(codes.values())) > 1:
        said.append(f"they run different code ({_each(codes)}): whether their values mean the same, nobody has checked")
    for key in SHAPING:
        trained = {e.label: getattr(e.spec.training, key) for e in found.entries if e.spec and e.spec.training}
        if len(set(trained.values())) > 1:
            said.append(f"training.{key} differs ({_each(trained)}): the values are not of the same thing")
    unnamed = [each.label for each in found.entries if each.is_unnamed]
    if unnamed and found.metric != entrants.UNNAMED:
        said.append(f"{', '.join(map(words.typed, unnamed))}: no metric is named, it is taken for {found.metric}")
    fileless = [words.typed(each.label) for each in found.entries if each.spec is None]
    if fileless and len(fileless) < len(found.entries):
        said.append(f"no study file: {', '.join(fileless)}; of it only the space is compared")
    for each in found.entries:
        if each.best is None:
            said.append(f"{words.typed(each.label)} has no complete trial yet")
        if each.contender.is_under_way:
            said.append(f"{words.typed(each.label)} is under way: this is how far it is now")
    return said


def _each(values: Mapping[str, object]) -> str:
    """Who says what: `10: a and b, 20: c`."""
    names: dict[str, list[str]] = {}
    for label, value in values.items():
        names.setdefault(str(value), []).append(words.typed(label))
    return ", ".join(f"{value}: {' and '.join(found)}" for value, found in names.items())


def verdicts(found: Comparison) -> list[str]:
    """Which is better, as far as it can be told, a sentence each; the first says who has the best value."""
    ranked = found.ranked
    if len(ranked) < 2:
        return ["nothing can be compared: fewer than two of the studies have a complete trial"]
    first, second = ranked[0], ranked[1]
    gap = abs(float(first.best or 0.0) - float(second.best or 0.0))
    said = [f"the best {found.metric} is that of {words.typed(first.label)}, {words.metric(first.best)}"]
    if gap == 0:
        equal = [each for each in ranked if each.best == first.best]
        who = "both" if len(equal) == len(ranked) == 2 else f"{len(equal)} of them"
        said = [f"{who} have the same best {found.metric}, {words.metric(first.best)}{_one_result(equal)}"]
    elif len(ranked) == 2:
        said[0] += f", by {words.metric(gap)}"
    said[0] += (
        "; each is the best of several noisy values, and so too high for what it is worth"
        if found.sign > 0
        else ("; each is the best of several noisy values, and so too low for what it is worth")
    )
    measured = [each for each in ranked if each.confirmation is not None]
    shown = [f"{words.typed(e.label)} {e.confirmation.quoted.show()}" for e in measured if e.confirmation is not None]
    said[0] += f"; confirmed with fresh seeds: {', '.join(shown)}" if shown else ""
    return [*said, *_confirmed(found, ranked), ONE_DRAW]


def _one_result(equal: Sequence[Entrant]) -> str:
    """That what several have is one trial's, which others of them have imported."""
    brought = [each for each in equal if each.contender.is_best_imported]
    configurations = [each.contender.best.params for each in equal if each.contender.best is not None]
    if not brought or any(each != configurations[0] for each in configurations):
        return ""
    names = " and ".join(words.typed(each.label) for each in brought)
    have = "has" if len(brought) == 1 else "have"
    return f": one result, which {names} {have} imported, so it speaks for none of them"


def _confirmed(found: Comparison, ranked: Sequence[Entrant]) -> list[str]:
    """What the confirmed values say, and what would have to be confirmed."""
    said = [pair.sentence() for pair in found.pairs]
    if len(found.pairs) > 1:
        said.append(f"the {len(found.pairs)} intervals are so wide that all of them hold together (Bonferroni)")
    ours = [each for each in ranked if each.spec is not None]
    missing = [each for each in ours if each.confirmation is None]
    if missing and len(ours) > 1:
        commands = ", ".join(f"`search confirm {words.typed(each.contender.name)}`" for each in missing)
        said.append(f"not confirmed, so not told apart: {commands} would measure the best with fresh seeds")
    confirmed = [each.spec for each in found.entries if each.spec is not None and each.confirmation is not None]
    if confirmed and (chosen := judgements.all_chosen_on_test(confirmed)) is not None:
        said.append(f"{chosen}; their confirmed values are of the same images")
    return said
