"""The best configurations of a search, trained again with fresh seeds on all training images, and tested once.

A search's best value is optimistic: of many noisy values the largest was chosen. Here the chosen configurations get
seeds that the search never used, in a study of their own, whose values were chosen by nobody.
"""

import dataclasses
import statistics
import tomllib
from typing import Any

import tomli_w

from search import errors, words
from search.ledger import orders, queues, studies, summaries
from search.reports import evidence
from search.reports.evidence import Experiment, Interval, Runs
from search.space import spaces
from search.storage import databases
from search.study import specs
from search.training import records

SUFFIX = "-confirm"


@dataclasses.dataclass(frozen=True)
class Confirmed:
    """A configuration with the value by which it was chosen, and its values on the test set by fresh seed."""

    selected: float
    runs: Runs

    @property
    def optimism(self) -> float:
        """By how much the search's value was better than the mean of the fresh ones; negative: worse."""
        return self.selected - self.runs.mean


@dataclasses.dataclass(frozen=True)
class Confirmation:
    """A search and the study that confirms it; `entries` in the order of the search."""

    searched: str
    name: str
    seeds: int
    entries: tuple[Confirmed, ...]

    @property
    def best(self) -> Confirmed:
        """The highest mean on the test set."""
        return max(self.entries, key=lambda entry: entry.runs.mean)

    @property
    def optimism(self) -> Interval:
        """Over the configurations."""
        return evidence.interval([entry.optimism for entry in self.entries])

    def sentence(self) -> str:
        """The result for people."""
        best, optimism = self.best, statistics.fmean(entry.optimism for entry in self.entries)
        value = best.runs.value
        interval = f"{value.mean:.4f} ± {value.half:.4f}" if value.count > 1 else f"{value.mean:.4f}"
        return (
            f"confirmed: {interval} on the test set over {words.plural(value.count, 'fresh seed')} with "
            f"{words.configuration(best.runs.params)}; the search's values were {abs(optimism):.4f} too "
            f"{'high' if optimism >= 0 else 'low'} on average over {len(self.entries)}"
        )

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        rows = [
            {
                "params": entry.runs.params,
                "selected": entry.selected,
                "test": list(entry.runs.values.values()),
                "mean": entry.runs.value.mean,
                "half_interval": entry.runs.value.half if entry.runs.value.count > 1 else None,
                "optimism": entry.optimism,
            }
            for entry in self.entries
        ]
        return {"study": self.searched, "confirmed_by": self.name, "seeds": self.seeds, "configurations": rows}


def prepare(
    database: databases.Database, study: studies.Study, top: int, seeds: int, name: str | None = None
) -> studies.Study:
    """The study that confirms the best `top` configurations over `seeds` seeds: a new one, or the one that began it.

    Raises:
        errors.InputError: nothing to confirm, or it was confirmed with another choice already.
    """
    spec = _spec(study, top * seeds, name or f"{study.name}{SUFFIX}")
    wanted = _wanted(database, study, top, seeds)
    found = studies.find(database, spec.name)
    if found is None:
        found = studies.create(database, spec)
    else:
        _check_same(database, found, wanted, study.name)
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
        _check_same(database, confirming, _wanted(database, study, top, seeds), study.name)
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
    if found is None:
        return None
    summary = summaries.whole(database, found)
    if summary.done < summary.budget:
        return None
    tree = study.spec.space
    searched = searched or Experiment.of(summaries.whole(database, study))
    selected = {tree.key(runs.params): runs.mean for runs in searched.runs}
    runs = [each for each in Experiment.of(summary).runs if tree.key(each.params) in selected]
    entries = sorted((Confirmed(selected[tree.key(each.params)], each) for each in runs), key=lambda e: -e.selected)
    if not entries:
        return None
    return Confirmation(study.name, found.name, min(len(entry.runs.trials) for entry in entries), tuple(entries))


def expect(database: databases.Database, study: studies.Study, name: str | None = None) -> Confirmation:
    """The same, of a confirming study that was worked off.

    Raises:
        errors.SearchError: some of its trials failed.
    """
    found = read(database, study, name)
    if found is None:
        raise errors.SearchError(f"study {study.name!r} is not confirmed: some of its trials failed")
    return found


def _wanted(
    database: databases.Database, study: studies.Study, top: int, seeds: int
) -> list[tuple[spaces.Params, int]]:
    """The best configurations, each with the numbers of its fresh seeds."""
    chosen = _ranked(Experiment.of(summaries.whole(database, study)))[:top]
    if not chosen:
        raise errors.InputError(f"study {study.name!r} has no complete trial yet: there is nothing to confirm")
    first = 1 + max(max(runs.trials) for runs in chosen)  # seeds by which nothing was chosen
    return [(runs.params, first + seed) for seed in range(seeds) for runs in chosen]


def _ranked(experiment: Experiment) -> list[Runs]:
    return sorted(experiment.runs, key=lambda runs: -runs.mean)  # accuracies: the larger, the better


def _spec(study: studies.Study, trials: int, name: str) -> specs.StudySpec:
    """The study's own file, without its search: every trial to its end, on all images, evaluated on the test set."""
    if study.spec.training is None:
        raise errors.InputError(f"study {study.name!r} has an objective of its own, which confirm cannot train")
    raw = tomllib.loads(study.spec.text)
    raw["study"]["name"] = name
    raw["training"] = {**raw.get("training", {}), "evaluate_on": "test"}
    raw |= {"sampler": {"name": "random"}, "pruning": {"hopeless": False}, "budget": {"trials": trials}}
    raw.pop("enqueue", None)
    text = f"# The best of study {study.name!r}, with fresh seeds.\n{tomli_w.dumps(raw)}"
    return specs.parse(text, f"confirmation of {study.name!r}")


def _check_same(
    database: databases.Database, found: studies.Study, wanted: list[tuple[spaces.Params, int]], searched: str
) -> None:
    tree, summary = found.spec.space, summaries.whole(database, found)
    rows = [(records.wanted(trial), records.repeat_of(trial)) for trial in summary.trials]
    there = {tree.key(*row) for row in rows}
    if there and there != {tree.key(*row) for row in wanted}:
        seeds = len({repeat for _, repeat in rows})
        raise errors.InputError(
            f"study {found.name!r} has confirmed another choice of {searched!r} already (--top {len(rows) // seeds} "
            f"--seeds {seeds}): a second look at the test set is no confirmation. `--as NAME` makes another study of it"
        )
