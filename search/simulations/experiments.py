"""Searches over study seeds, each once: what was run already is read, the rest runs, in several processes if asked."""

import dataclasses
import hashlib
import json
import multiprocessing
import pathlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import optuna

from models import blas
from search import errors
from search.simulations import methods, plains, services
from search.simulations.clocks import Clock
from search.simulations.runs import End, Run
from search.space import surfaces, tables
from search.storage import scratches
from search.study import specs

POOR = 0.02  # under the best, from which a configuration is poor


@dataclasses.dataclass(frozen=True)
class Ground:
    """What is searched.

    Attributes:
        text: of the study file, and `place`, the file.
        table: its path.
        training_seed: of the trainings in the table.
        whole: see `surfaces.Surface`.
    """

    text: str
    place: str
    table: pathlib.Path
    training_seed: int = 0
    whole: bool = False

    @classmethod
    def of(cls, path: pathlib.Path, table: pathlib.Path | None = None, **more: Any) -> "Ground":
        """A study file, with the table beside it where no other is named.

        Raises:
            errors.InputError: the study file is wrong, or there is no table.
        """
        spec = specs.load(path)
        table = table or tables.beside(path)
        if table is None:
            raise errors.InputError(f"--table must name a table: there is no {path.stem}{tables.ENDING} beside {path}")
        return cls(spec.text, str(path), table, **more)

    @property
    def spec(self) -> specs.StudySpec:
        """The study as its file has it."""
        return specs.parse(self.text, self.place)

    def surface(self) -> surfaces.Surface:
        """What trainings come to.

        Raises:
            errors.InputError: the table is wrong, or of another study.
        """
        blas.use_one_thread()  # as each process of several: the last bits depend on it
        spec, table = self.spec, tables.load(self.table)
        if spec.training is not None:
            table = table.cut(spec.training.epochs)
        maximize = spec.study.direction == "maximize"
        return surfaces.Surface(spec.space, table, maximize, self.training_seed, self.whole)

    @property
    def checksum(self) -> str:
        """Of the table and the space, with which runs can be pooled."""
        content = self.table.read_bytes() + json.dumps([self.training_seed, self.whole]).encode()
        return hashlib.sha256(content + repr(self.spec.space).encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Setting:
    """How each search is run.

    Attributes:
        workers: simulated ones.
        counts_asks: the sampler's own CPU time counts; without it a seed gives the same run each time.
    """

    limit: methods.Limit
    workers: int = 1
    counts_asks: bool = True


@dataclasses.dataclass(frozen=True)
class Record:
    """A run as it is kept.

    Attributes:
        trials: how many were begun.
        wall: simulated seconds that it took, `spent` CPU seconds of all workers, `asks` those of the sampler.
        poor: share of the trainings' time that went into poor configurations.
        cpu: seconds that the simulation itself took.
    """

    method: str
    seed: int
    ends: list[End]
    trials: int
    wall: float
    spent: float
    asks: float
    poor: float
    cpu: float


def run(ground: Ground, surface: surfaces.Surface, setting: Setting, method: methods.Method, seed: int) -> Record:
    """One search."""
    blas.use_one_thread()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    started, clock, limit = time.thread_time(), Clock(), setting.limit
    with warnings.catch_warnings(), scratches.database() as database:
        warnings.simplefilter("ignore")
        side: services.Service | plains.Plain
        if method.plain is not None:
            has_rule = ground.spec.training is not None
            side = plains.Plain(
                method.plain, seed, surface, clock, limit.trials, limit.seconds, not has_rule, setting.counts_asks
            )
        else:
            spec = method.spec(ground.text, f"{ground.place} as {method.name}", seed, limit)
            side = services.Service(database, spec, surface, clock, limit.seconds, setting.counts_asks)
        clock.run([side.life(number) for number in range(setting.workers)])
    return _record(method.name, seed, side.run, clock, surface, time.thread_time() - started)


def _record(name: str, seed: int, done: Run, clock: Clock, surface: surfaces.Surface, cpu: float) -> Record:
    best = float(surface.population().expected.max())
    poor = done.share_below(best - POOR, surface.sign)
    return Record(name, seed, done.ends, len(done.begun), clock.now, clock.spent, done.asks, poor, cpu)


_AT: dict[str, Any] = {}


def _begin(ground: Ground, setting: Setting) -> None:
    _AT.update(ground=ground, surface=ground.surface(), setting=setting)


def _job(job: tuple[methods.Method, int]) -> Record:
    return run(_AT["ground"], _AT["surface"], _AT["setting"], *job)


def run_all(
    ground: Ground,
    surface: surfaces.Surface,
    setting: Setting,
    chosen: Sequence[methods.Method],
    seeds: Sequence[int],
    kept: pathlib.Path | None = None,
    processes: int = 1,
    on_run: Callable[[int, int], None] = lambda done, total: None,
) -> list[Record]:
    """All searches, in the order of the methods and seeds.

    Args:
        kept: a file of runs; those that it has are not run again, others are added.
        on_run: told how many are done, and of how many.

    Raises:
        errors.InputError: a method does not fit the study, or the file holds something else.
    """
    for method in chosen:  # before anything runs
        if method.plain is None:
            method.spec(ground.text, f"{ground.place} as {method.name}", 0, setting.limit)
    key = _key(ground, setting)
    known = {} if kept is None else {(each.method, each.seed): each for each in read(kept, key)}
    jobs = [(method, seed) for seed in seeds for method in chosen if (method.name, seed) not in known]
    total = len(chosen) * len(seeds)
    on_run(total - len(jobs), total)
    for count, record in enumerate(_run_jobs(ground, surface, setting, jobs, processes), 1):
        known[record.method, record.seed] = record
        if kept is not None:
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"of": key, **_as_json(record)}) + "\n")
        on_run(total - len(jobs) + count, total)
    return [known[method.name, seed] for method in chosen for seed in seeds]


def _run_jobs(
    ground: Ground,
    surface: surfaces.Surface,
    setting: Setting,
    jobs: Sequence[tuple[methods.Method, int]],
    processes: int,
) -> Iterator[Record]:
    if processes == 1 or len(jobs) < 2:
        for job in jobs:
            yield run(ground, surface, setting, *job)
        return
    with multiprocessing.get_context("spawn").Pool(min(processes, len(jobs)), _begin, (ground, setting)) as pool:
        yield from pool.imap_unordered(_job, jobs)


def _key(ground: Ground, setting: Setting) -> dict[str, Any]:
    """What a run depends on beside its method and seed."""
    limit = setting.limit
    return {
        "table": ground.checksum,
        "workers": setting.workers,
        "trials": limit.trials,
        "seconds": None if limit.seconds == float("inf") else limit.seconds,
        "counts_asks": setting.counts_asks,
    }


def _as_json(record: Record) -> dict[str, Any]:
    found = {key: getattr(record, key) for key in ("method", "seed", "trials", "wall", "spent", "asks", "poor", "cpu")}
    return {**found, "ends": [dataclasses.astuple(end) for end in record.ends]}


def read(path: pathlib.Path, key: dict[str, Any]) -> Iterator[Record]:
    """The runs of a file that were run so.

    Raises:
        errors.InputError: a line is no run.
    """
    if not path.exists():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            found = json.loads(line)
            of, ends = found.pop("of"), [End(*row) for row in found.pop("ends")]
            record = Record(ends=ends, **found)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise errors.InputError(f"{path}: line {number} must be a run of `search simulate`") from None
        if of == key:
            yield record
