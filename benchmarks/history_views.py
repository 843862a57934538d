"""What TPE proposes from the whole history and from a bounded view of it, on a recorded table of the lab's space.

    python benchmarks/history_views.py --table table-seed0.jsonl --seeds 30 --kinds random skewed search

The product's own sampler, view and rule that no configuration comes twice, on a surface (`recorded_surface.py`): what
was recorded of 517 configurations, a Gaussian process between them, and each seed's own noise. A row of the table has
an accuracy after each epoch. All sides of a seed see the same values.

`random`: a history of 10,000 different configurations, drawn evenly, then 40 proposals, each trained and told.
`skewed`: the same, but good ones were drawn more often, as a search would: most of the best are taken.
`search`: from nothing to `--trials` trials; what is compared is what comes once the smallest limit binds.

Runs are kept in history_views_runs.jsonl and taken up again; `--report` prints what is there.
"""

import argparse
import json
import math
import multiprocessing
import pathlib
import statistics
import sys
import time
import warnings
from collections.abc import Container
from typing import Any

import numpy
import optuna
import recorded_surface
from optuna.trial import FrozenTrial, TrialState
from rich import progress
from scipy import stats

from search.ledger import proposals, views
from search.space import candidates, spaces
from search.storage.histories import Index
from search.study import specs

RUNS = pathlib.Path(__file__).with_name("history_views_runs.jsonl")
LAB = specs.load(pathlib.Path(__file__).parent.parent / "studies" / "lab.toml").space
KINDS = {"random": (250, 500, 1000), "skewed": (250, 500, 1000), "search": (250, 500)}  # the limits of each
FILLED, ASKS, ATTEMPTS = 10_000, 40, 3
TOP = 0.95  # quantile of the space from which a configuration counts as good


class Shown(optuna.storages.InMemoryStorage):
    """A study that shows some trials, and keeps none."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[FrozenTrial] = []

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """What is shown."""
        return [trial for trial in self.shown if states is None or trial.state in states]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Nothing, as in a worker's history."""


class Search:
    """A search over the surface by one worker, shown `limit` ended trials, or all of them."""

    def __init__(self, surface: dict[Any, recorded_surface.Point], seed: int, limit: int | None, room: int) -> None:
        self._surface, self._seed, self._limit = surface, seed, limit
        noise = numpy.random.default_rng([seed, 1]).normal(0, recorded_surface.SEED_NOISE, len(surface))
        self._noise = dict(zip(surface, noise, strict=True))
        self._index, self._room = Index.empty(), room
        self._index.grow(room)
        self._trials: list[FrozenTrial] = []
        self._taken: set[str] = set()
        self._storage = Shown()
        self._study = optuna.create_study(direction="maximize", storage=self._storage)
        self._kinds = {p.name: p.distribution for p in LAB.parameters}
        self.values: list[float] = []
        self.seconds: list[float] = []

    def add(self, params: spaces.Params) -> None:
        """Trains a configuration, and tells its result."""
        key = tuple(params.get(p.name) for p in LAB.parameters)
        point, number = self._surface[key], len(self._trials)
        state = TrialState.COMPLETE if point.stop is None else TrialState.PRUNED
        value = min(max(point.value + self._noise[key], 0.0), 1.0)
        steps = {point.stop: point.last} if point.stop else {}
        trial = optuna.trial.create_trial(
            state=state,
            value=value if state == TrialState.COMPLETE else None,
            params=params,
            distributions={name: self._kinds[name] for name in params},
            intermediate_values=steps,
        )
        trial.number = number
        self._index.states[number] = state.value
        self._index.values[number] = value if state == TrialState.COMPLETE else math.nan
        for step, last in steps.items():
            self._index.last_steps[number], self._index.last_values[number] = step, last
        self._trials.append(trial)
        self._taken.add(LAB.key(params))
        self.values.append(point.value)

    def step(self) -> None:
        """Asks for one configuration that was not there, and trains it."""
        trial = optuna.trial.create_trial(state=TrialState.RUNNING)
        trial.number = len(self._trials)
        started = time.thread_time()
        self._storage.shown = self._trials
        if self._limit is not None:
            shown = views.tpe(self._index.cut(len(self._trials)), True, self._limit)
            self._storage.shown = [self._trials[number] for number in shown]
        study = optuna.Study(self._study.study_name, self._storage, sampler=optuna.samplers.RandomSampler())
        for attempt in range(ATTEMPTS):
            params = proposals.propose("tpe", proposals.Ask(LAB, study, trial, {}, self._seed, attempt))
            self.seconds += [time.thread_time() - started] * (attempt == 0)
            if LAB.key(params) not in self._taken:
                self.add(params)
                return
        around = candidates.neighbourhood(LAB, params, {})
        free = candidates.first_free(around, lambda keys: self._taken.intersection(keys))
        assert free is not None
        self.add(free)


def run(job: tuple[str, int, int | None, int, str]) -> dict[str, Any]:
    """One side of one seed."""
    kind, seed, limit, trials, table = job
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    surface = recorded_surface.load(table)
    good = numpy.quantile([point.value for point in surface.values()], TOP)
    begun = 0 if kind == "search" else FILLED
    search = Search(surface, seed, limit, trials if kind == "search" else FILLED + ASKS)
    for params in _filling(kind, surface, numpy.random.default_rng([seed, 2]))[:begun]:
        search.add(params)
    for _ in range(trials if kind == "search" else ASKS):
        search.step()
    compared = search.values[min(KINDS[kind]) if kind == "search" else begun :]
    return {
        "kind": kind,
        "seed": seed,
        "limit": limit,
        "trials": trials,
        "mean": round(float(numpy.mean(compared)), 5),
        "good": round(float(numpy.mean(numpy.array(compared) >= good)), 5),
        "cpu_ms": round(1e3 * statistics.median(search.seconds[-ASKS:]), 2),
    }


def _filling(kind: str, surface: dict[Any, recorded_surface.Point], rng: numpy.random.Generator) -> list[spaces.Params]:
    """All configurations in the order in which a history would have them."""
    ranks = numpy.argsort(numpy.argsort([point.value for point in surface.values()])) / len(surface)
    drawn = rng.gumbel(size=len(surface)) + (3.0 * ranks if kind == "skewed" else 0.0)
    order = numpy.argsort(-drawn)
    if kind == "skewed":
        order[:FILLED] = rng.permutation(order[:FILLED])
    names = [p.name for p in LAB.parameters]
    listed = list(surface)
    return [{n: v for n, v in zip(names, listed[place], strict=True) if v is not None} for place in order]


def report(runs: list[dict[str, Any]]) -> None:
    """Prints, for each limit, what changes against the whole history: mean over seeds, with 95 % confidence."""
    print("| history | shown | accuracy of a proposal | in the best 5 % of the space | CPU ms an ask | seeds |")
    print("|---|---|---|---|---|---|")
    for kind, limits in KINDS.items():
        whole = {(r["seed"], r["trials"]): r for r in runs if r["kind"] == kind and r["limit"] is None}
        if not whole:
            continue
        means = (statistics.mean(r[name] for r in whole.values()) for name in ("mean", "good", "cpu_ms"))
        print("| {} | all | {:.4f} | {:.3f} | {:.1f} | {} |".format(kind, *means, len(whole)))
        for limit in limits:
            some = {(r["seed"], r["trials"]): r for r in runs if r["kind"] == kind and r["limit"] == limit}
            both = sorted(set(some) & set(whole))
            if len(both) < 2:
                continue
            words = []
            for name, digits in (("mean", 4), ("good", 3)):
                apart = [some[key][name] - whole[key][name] for key in both]
                spread = stats.t.ppf(0.975, len(both) - 1) * statistics.stdev(apart) / math.sqrt(len(both))
                words.append(f"{statistics.mean(apart):+.{digits}f} +- {spread:.{digits}f}")
            milliseconds = statistics.mean(some[key]["cpu_ms"] for key in both)
            print(f"| {kind} | {limit} | {' | '.join(words)} | {milliseconds:.1f} | {len(both)} |")


def main() -> int:
    """Runs what is missing, then prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=pathlib.Path, help="recorded rows")
    parser.add_argument("--report", action="store_true", help="print what has been run")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--trials", type=int, default=1500, help="of a search from nothing")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    runs = [json.loads(line) for line in RUNS.read_text().splitlines()] if RUNS.exists() else []
    if not options.report:
        if options.table is None:
            parser.error("--table must name the recorded rows")
        print(
            f"left out, a trained configuration is guessed to {recorded_surface.left_out_error(str(options.table)):.4f}"
        )
        done = {(r["kind"], r["seed"], r["limit"], r["trials"]) for r in runs}
        wanted = [
            (kind, seed, limit, options.trials if kind == "search" else FILLED)
            for seed in range(options.seeds)
            for kind in options.kinds
            for limit in (None, *KINDS[kind])
        ]
        jobs = [(*job, str(options.table)) for job in wanted if job not in done]
        with multiprocessing.get_context("spawn").Pool(options.workers) as pool, RUNS.open("a") as out:
            for one in progress.track(pool.imap_unordered(run, jobs), total=len(jobs), description="searching"):
                print(json.dumps(one), file=out, flush=True)
                runs.append(one)
    report(runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
