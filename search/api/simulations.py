"""Compares samplers and pruners on recorded trainings: what `search simulate` does, for Python."""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from search import errors, files
from search.study import specs

if TYPE_CHECKING:
    from search.simulations import experiments, findings
    from search.space import surfaces

BARS = (0.005, 0.002)  # of an accuracy: half a percent, a fifth of one
KEPT = "runs.jsonl"


@dataclasses.dataclass(frozen=True)
class Simulation:
    """What simulated searches came to.

    Attributes:
        surface: what they searched.
        target: the optimum.
        methods: a finding each.
        random: mean CPU seconds of random search to each distance, in closed form.
        records: the runs themselves.
        written: the pictures.
    """

    surface: "surfaces.Surface"
    target: "findings.Target"
    methods: "list[findings.Finding]"
    random: dict[float, float]
    records: "list[experiments.Record]"
    written: tuple[pathlib.Path, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        errors_, ends = self.surface.errors
        good = ends > self.target.best - 0.1 * (self.target.best - self.target.worst)
        share = self.surface.population()
        return {
            "best": self.target.sign * self.target.best,
            "best_expected": self.target.sign * self.target.expected,
            "configurations": len(share.values),
            "recorded_share": float(share.recorded.mean()),
            "model_error": float(_median(abs(errors_))),
            "model_error_good": float(_median(abs(errors_[good]))),
            "notes": self.surface.notes,
            "methods": [each.as_json() for each in self.methods],
            "random_search": [{"within": bar, "mean": mean} for bar, mean in self.random.items()],
            "pictures": [str(each) for each in self.written],
        }


def _median(values: Any) -> float:
    import numpy

    return float(numpy.median(values)) if len(values) else math.nan


def simulate(
    study: str,
    *,
    table: pathlib.Path | str | None = None,
    samplers: Sequence[str] = (),
    pruners: Sequence[str] = (),
    plain: Sequence[str] = (),
    workers: int = 1,
    seeds: Sequence[int] = range(10),
    trials: int | None = None,
    seconds: float | None = None,
    training_seed: int = 0,
    whole: bool = False,
    counts_asks: bool = True,
    within: Sequence[float] = BARS,
    output: pathlib.Path | str | None = None,
    processes: int = 1,
    on_run: Callable[[int, int], None] = lambda done, total: None,
) -> Simulation:
    """Searches recorded trainings in simulated time, over study seeds; see `search simulate --help`.

    Args:
        table: None for the one beside the study file.
        samplers: of this service, each with each of `pruners`; none for the study's own. `none` is no pruner.
        plain: of Optuna, as in `tpe` or `tpe+hyperband`.
        trials: None for the study file's, where `seconds` is None, too.
        seconds: of CPU time of a search, after which nothing begins.
        output: a folder that keeps runs, which are not run again, and pictures.

    Raises:
        errors.InputError: a name, the study file or the table is wrong.
    """
    from search.simulations import experiments, findings, methods

    path = specs.path_of(study)
    ground = experiments.Ground.of(
        path, None if table is None else pathlib.Path(table), training_seed=training_seed, whole=whole
    )
    chosen = methods.every(samplers, pruners, plain)
    if trials is None and seconds is None:
        trials = ground.spec.budget.trials
    limit = methods.Limit(**{} if trials is None else {"trials": trials}, seconds=seconds or math.inf)
    surface = ground.surface()
    folder = None if output is None else pathlib.Path(output)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.InputError(f"--output {folder} cannot be made: {error.strerror}") from error
    setting = experiments.Setting(limit, workers, counts_asks)
    kept = folder and folder / KEPT
    records = experiments.run_all(ground, surface, setting, chosen, list(seeds), kept, processes, on_run)
    target = findings.Target.of(surface)
    found = findings.of(records, target, within)
    written = () if folder is None else _draw(folder, records, target, ground.spec.study.metric)
    random = findings.random_search(surface, target, within, setup=ground.spec.training is None)
    return Simulation(surface, target, found, random, records, written)


def _draw(
    folder: pathlib.Path, records: "list[experiments.Record]", target: "findings.Target", metric: str
) -> tuple[pathlib.Path, ...]:
    from search.simulations import findings, pictures

    written = []
    for name, is_expected in (("regret", False), ("regret-expected", True)):
        marks, rows = findings.regrets(records, target, is_expected)
        label = f"regret of the {'expected ' if is_expected else ''}{metric}"
        picture = pictures.regret(name, marks, rows, label)
        for ending, content in ((".png", picture.png), (".svg", picture.svg.encode())):
            files.write(folder / f"{name}{ending}", content)
            written.append(folder / f"{name}{ending}")
    return tuple(written)
