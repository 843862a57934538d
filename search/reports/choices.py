"""Which configurations of a search are confirmed, with which seeds, and the study file that does it."""

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping

import tomli_w
from optuna.trial import FrozenTrial

from search import errors
from search.child import codes
from search.ledger import studies, summaries
from search.reports.evidence import Experiment, Runs
from search.space import spaces
from search.storage import databases
from search.study import specs
from search.training import records
from search.training import seeds as training_seeds


@dataclasses.dataclass(frozen=True)
class Confirmed:
    """A configuration with the value by which it was chosen, and its values by fresh seed.

    Attributes:
        sign: of the study: -1 where less is better.
    """

    selected: float
    runs: Runs
    sign: int = 1

    @property
    def optimism(self) -> float:
        """By how much the search's value was better than the mean of the fresh ones; negative: worse."""
        return self.sign * (self.selected - self.runs.mean) + 0.0  # no -0.0


def changes(searched: Iterable[Runs], again: Iterable[Runs]) -> tuple[str, ...]:
    """Which files of own code are others where configurations ran again than where the search had run them."""
    then, now = (_code(runs) for runs in (searched, again))
    return codes.changes(then, now) if then and now else ()


def _code(found: Iterable[Runs]) -> dict[str, str]:
    """The checksums that were recorded last."""
    trials = [trial for runs in found for trial in runs.trials.values()]
    known = [code for trial in sorted(trials, key=lambda trial: trial.number) if (code := records.CODE.find(trial))]
    return known[-1] if known else {}


def fresh(found: studies.Study, trials: Mapping[int, FrozenTrial], searched: studies.Study) -> dict[int, FrozenTrial]:
    """Of the trials of a confirming study by repeat, those that have not the seed that chose them."""
    seed, own = found.spec.study.seed, searched.spec.study.seed
    return {repeat: trial for repeat, trial in trials.items() if training_seeds.of(seed, repeat) != own}


def wanted(database: databases.Database, study: studies.Study, top: int, seeds: int) -> list[tuple[spaces.Params, int]]:
    """The best configurations, each with the numbers of its fresh seeds."""
    whole = summaries.whole(database, study)
    chosen = ranked(Experiment.of(whole))[:top]
    if not chosen:
        raise errors.InputError(f"study {study.name!r} has no complete trial yet: there is nothing to confirm")
    used = {records.repeat_of(trial) for trial in whole.trials}  # pruned ones had a part in the choice too
    repeats = training_seeds.fresh(study.spec.study.seed, used, seeds)
    return [(runs.params, repeat) for repeat in repeats for runs in chosen]


def ranked(experiment: Experiment) -> list[Runs]:
    """The configurations by their mean, the best first."""
    sign = experiment.summary.study.spec.study.sign
    return sorted(experiment.runs, key=lambda runs: -sign * runs.mean)


def spec(study: studies.Study, trials: int, name: str) -> specs.StudySpec:
    """The study's own file, without its search: every trial to its end; a network on all images, and the test set."""
    raw = tomllib.loads(study.spec.text)
    raw["study"]["name"] = name
    budget: dict[str, float] = {"trials": trials}
    if study.spec.training is not None:
        told = {"evaluate_on": "test", "value": study.spec.training.value}
        raw["training"] = {**raw.get("training", {}), **told}
    else:  # code of the user's own may hang and fail here as it did there
        budget |= {key: raw["budget"][key] for key in ("epoch_seconds", "max_failures") if key in raw["budget"]}
    raw |= {"sampler": {"name": "random"}, "pruning": {"hopeless": False}, "budget": budget}
    raw.pop("enqueue", None)
    text = f"# The best of study {study.name!r}, with fresh seeds.\n{tomli_w.dumps(raw)}"
    return specs.parse(text, f"confirmation of {study.name!r}")


def agreed(
    database: databases.Database, found: studies.Study, wanted: list[tuple[spaces.Params, int]], study: studies.Study
) -> list[tuple[spaces.Params, int]]:
    """What is wanted, with the seeds that a confirming study has begun with.

    Raises:
        errors.InputError: it runs other code, has other configurations or seeds, or the seed that the search had.
    """
    if found.spec.code != study.spec.code:
        raise errors.InputError(
            f"study {found.name!r} runs {found.spec.code or 'networks'}, {study.name!r} runs "
            f"{study.spec.code or 'networks'}: it cannot confirm that. `--as NAME` makes another study of it"
        )
    tree, summary = found.spec.space, summaries.whole(database, found)
    rows = [(records.wanted(trial), records.repeat_of(trial)) for trial in summary.trials]
    if not rows:
        return wanted
    name, searched = found.name, study.spec.study.seed
    repeats = sorted({repeat for _, repeat in rows})
    if searched in {training_seeds.of(found.spec.study.seed, repeat) for repeat in repeats}:
        raise errors.InputError(
            f"study {name!r} must have fresh seeds to confirm {study.name!r}, got {searched}, which chose its "
            "configurations. `--as NAME` makes another study of it"
        )
    there = {tree.key(params) for params, _ in rows}
    if there != {tree.key(params) for params, _ in wanted} or len(repeats) != len({repeat for _, repeat in wanted}):
        raise errors.InputError(
            f"study {name!r} has confirmed another choice of {study.name!r} already (--top {len(there)} "
            f"--seeds {len(repeats)}): a second look is no confirmation. `--as NAME` makes another "
            "study of it"
        )
    chosen = {tree.key(params): params for params, _ in wanted}.values()
    return [(params, repeat) for repeat in repeats for params in chosen]
