"""The best configurations of a search, trained again with fresh seeds; networks on all training images, tested once.

A search's best value is optimistic: of many noisy values the largest was chosen. Here the chosen configurations get
seeds that the search never used, in a study of their own. The best of their means was chosen again, of few: it is
quoted as it is and without what that adds (`corrections`). The images are the test set, by which a search that was
judged on the hold-out chose nothing; one that was judged on the test set has no others. Own code knows its data itself.
"""

import dataclasses
import functools
import statistics
from typing import Any

from search import errors, words
from search.ledger import excerpts, orders, queues, studies, summaries
from search.reports import choices, corrections, evidence
from search.reports.choices import Confirmed
from search.reports.evidence import Experiment, Interval, Runs
from search.storage import databases
from search.study import judgements, specs

SUFFIX = "-confirm"


@dataclasses.dataclass(frozen=True)
class Confirmation:
    """A search and the study that confirms it; `entries` in the order of the search.

    Attributes:
        spec: of the search: by which images it chose.
        changed: which files of own code are others than when the search ran them, a phrase each.
    """

    spec: specs.StudySpec
    name: str
    seeds: int
    entries: tuple[Confirmed, ...]
    changed: tuple[str, ...] = ()

    @property
    def searched(self) -> str:
        """The search's name."""
        return self.spec.name

    @property
    def best(self) -> Confirmed:
        """The best mean."""
        return max(self.entries, key=lambda entry: entry.sign * entry.runs.mean)

    @property
    def optimism(self) -> Interval:
        """Over the configurations."""
        return evidence.interval([entry.optimism for entry in self.entries])

    @functools.cached_property
    def corrected(self) -> Interval | None:
        """What the best is worth without what choosing it adds; None where one seed cannot tell."""
        sign = self.spec.study.sign
        values = [{seed: sign * value for seed, value in entry.runs.values.items()} for entry in self.entries]
        found = corrections.best(values)
        return found and dataclasses.replace(found, mean=sign * found.mean)

    @property
    def quoted(self) -> Interval:
        """The corrected figure, or the raw one where there is no other."""
        return self.corrected or self.best.runs.value

    @property
    def is_seedless(self) -> bool:
        """Whether all seeds gave a configuration the very same curve and value, the search's own among them."""
        if self.spec.training is not None:
            return False
        curves = [list(entry.runs.curves().values()) for entry in self.entries]
        alike = all(curve == own[0] for own in curves for curve in own)
        return alike and all(set(entry.runs.values.values()) == {entry.selected} for entry in self.entries)

    def sentence(self) -> str:
        """The result for people."""
        raw, many = self.best.runs.value, len(self.entries)
        if self.is_seedless:
            return (
                f"confirmed: {self.spec.study.metric} {words.metric(raw.mean)}, with "
                f"{words.configuration(self.best.runs.params)}; {judgements.seedless(self.spec)}"
            )
        of = ("", " on the test set") if self.spec.training is not None else (f"{self.spec.study.metric} ", "")
        found = f"{of[0]}{self.quoted.show()}{of[1]} over {words.plural(raw.count, 'fresh seed')}"
        if many > 1:
            found += (
                f", corrected for being the best of {many} means (it is {raw.show()})"
                if self.corrected
                else (f", too high for being the best of {many}: two seeds or more correct that")
            )
        optimism = statistics.fmean(entry.optimism for entry in self.entries)
        return (
            f"confirmed: {found}, with {words.configuration(self.best.runs.params)}; the search's values were "
            f"{words.metric(abs(optimism))} too {self._side(optimism)} on average over {many}"
        )

    def _side(self, optimism: float) -> str:
        return "high" if self.spec.study.sign * optimism >= 0 else "low"

    def remarks(self) -> list[str]:
        """How the figure was corrected, of which data it is, and whether that can be without bias: a sentence each."""
        found = [f"code: {'; '.join(self.changed)}, so it is not what the search ran"] if self.changed else []
        if self.is_seedless:
            return [*found, "seeds: none changes a value, so nothing was measured anew"]
        found += [f"corrected: {corrections.METHOD}"] if self.corrected and len(self.entries) > 1 else []
        training = self.spec.training
        if training is None:
            return [*found, judgements.own_value(self.spec)]
        found.append(self.caution or f"images: the test set, by which {words.code(self.searched)} chose nothing")
        if training.value != "last":
            found.append(f"every value is {judgements.value(training)}")
        return found

    @property
    def caution(self) -> str | None:
        """Why the figure is still too high, or None."""
        if not judgements.is_chosen_on_test(self.spec):
            return None
        return (
            f"{judgements.ON_TEST}: the seeds are fresh, the images are not, so even this figure cannot be without "
            'bias; a search with evaluate_on = "validation" leaves the test set for this'
        )

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        rows = [
            {
                "params": entry.runs.params,
                "selected": entry.selected,
                "test": list(entry.runs.values.values()),
                **_interval(entry.runs.value),
                "optimism": entry.optimism,
            }
            for entry in self.entries
        ]
        return {
            "study": self.searched,
            "confirmed_by": self.name,
            "seeds": self.seeds,
            "seeds_matter": not self.is_seedless,
            "changed": list(self.changed),
            "configurations": rows,
            "best": {"params": self.best.runs.params, **_interval(self.best.runs.value)},
            "corrected": self.corrected and _interval(self.corrected),
            "method": corrections.METHOD if self.corrected and len(self.entries) > 1 else None,
            "evaluate_on": self.spec.training and self.spec.training.evaluate_on,
            "value": self.spec.training and self.spec.training.value,
            "caution": self.caution,
        }


def _interval(found: Interval) -> dict[str, Any]:
    return {"mean": found.mean, "half_interval": found.half if found.count > 1 else None}


def prepare(
    database: databases.Database, study: studies.Study, top: int, seeds: int, name: str | None = None
) -> studies.Study:
    """The study that confirms the best `top` configurations over `seeds` seeds: a new one, or the one that began it.

    Raises:
        errors.InputError: nothing to confirm, or it was confirmed with another choice already.
    """
    spec = choices.spec(study, top * seeds, name or f"{study.name}{SUFFIX}")
    wanted = choices.wanted(database, study, top, seeds)
    found = studies.find(database, spec.name)
    if found is None:
        found = studies.create(database, spec)
    else:
        wanted = choices.agreed(database, found, wanted, study)
    queues.fill(database, found, wanted)
    if len(wanted) < top * seeds:  # the search has fewer configurations
        orders.extend(database, found, to=len(wanted))
    return found


def known(
    database: databases.Database, study: studies.Study, top: int, seeds: int, name: str | None = None
) -> Confirmation | None:
    """What confirms this choice, where all of it is complete already; nothing is written.

    Raises:
        errors.InputError: it was confirmed with another choice already.
    """
    found = read(database, study, name)
    if found is not None and (confirming := studies.find(database, found.name)) is not None:
        choices.agreed(database, confirming, choices.wanted(database, study, top, seeds), study)
    return found


def read(
    database: databases.Database, study: studies.Study, name: str | None = None, searched: Experiment | None = None
) -> Confirmation | None:
    """What confirms a study, where all of it is complete; None otherwise, or where that study cannot be read.

    Args:
        searched: the study with all its trials, where they were read already.
    """
    try:
        found = studies.find(database, name or f"{study.name}{SUFFIX}")
    except errors.InputError:
        found = None
    if found is None or found.spec.code != study.spec.code:
        return None
    summary = summaries.whole(database, found)
    if summary.done < summary.budget:
        return None
    tree, again = study.spec.space, Experiment.of(summary).runs
    if searched is None:
        trials = excerpts.of_configurations(database, study, [each.params for each in again])
        searched = Experiment.of(dataclasses.replace(summary, study=study, trials=tuple(trials)))
    selected = {tree.key(runs.params): runs.mean for runs in searched.runs}
    runs = [
        Runs(each.params, fresh)
        for each in again
        if tree.key(each.params) in selected and (fresh := choices.fresh(found, each.trials, study))
    ]
    sign = study.spec.study.sign
    entries = [Confirmed(selected[tree.key(each.params)], each, sign) for each in runs]
    entries.sort(key=lambda entry: -sign * entry.selected)
    if not entries:
        return None
    seeds = min(len(entry.runs.trials) for entry in entries)
    return Confirmation(study.spec, found.name, seeds, tuple(entries), choices.changes(searched.runs, runs))


def expect(database: databases.Database, study: studies.Study, name: str | None = None) -> Confirmation:
    """The same, of a confirming study that was worked off.

    Raises:
        errors.SearchError: some of its trials failed.
    """
    found = read(database, study, name)
    if found is None:
        raise errors.SearchError(f"study {study.name!r} is not confirmed: some of its trials failed")
    return found
