"""A weekend in minutes: real workers on several studies, killed, cut off from their database, with another tool beside.

    python tests/whole/chaos.py --seed 1                    # 400 trials, 8 workers, 80 kills, 20 outages
    python tests/whole/chaos.py --storage sqlite --seed 1

Equal seeds give equal plans (`chaos_plans`): kills, of last tries too, outages, steps of the clock, requests to stop,
and what another tool writes (`chaos_tools`). Afterwards everything is counted and trained again (`chaos_checks`).
"""

import argparse
import collections
import contextlib
import dataclasses
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import chaos_checks
import chaos_outages
import chaos_tools
import chaos_workers
from chaos_plans import STUDIES, TOOL_EVENTS, Event, Plan, events
from conftest import Server
from optuna.trial import TrialState
from rich import progress

from models.data import fashion_mnist
from search.ledger import counts, orders, studies
from search.storage import databases
from search.study import specs

LIMIT_SECONDS = 3600.0
LOOK_SECONDS = 0.5
NEED_TRIALS = ("kill", "last-try", "stop", "tell")
ROOM = 4  # trials, at least, for what needs some that run
KILLED_IN_OUTAGES = 0.3


@dataclasses.dataclass
class Report:
    """What came of it; `faults` is empty where every promise was kept."""

    storage: str
    seed: int
    budgets: dict[str, int]
    states: dict[str, int]
    kills: int
    kills_beside: int
    outages: dict[str, int]
    clocks: int
    stops: int
    tools: dict[str, int]
    adoptions: int
    resumed: int
    lost: int
    real_failures: int
    replayed: int
    seconds: float
    faults: list[str]


class Chaos:
    """One run in a place of its own."""

    def __init__(
        self,
        plan: Plan,
        place: chaos_outages.PostgresPlace | chaos_outages.SqlitePlace,
        data_dir: pathlib.Path,
        folder: pathlib.Path,
    ) -> None:
        self._plan, self._place, self._data_dir, self._folder = plan, place, data_dir, folder
        self._database = databases.Database(place.url)
        chaos_workers.note_owners(self._database)
        self._studies = {
            name: studies.create(self._database, specs.parse(plan.text(name), "chaos.toml")) for name in STUDIES
        }
        self._crew = chaos_workers.Crew(self._database, self._studies, data_dir, folder, plan.grace)
        self._tool = chaos_tools.OtherTool(self._database, self._studies, plan.seed)
        self._events = collections.deque(events(plan, tuple(place.outages)))
        self._outages, self._clocks = collections.Counter[str](), 0
        self._faults: list[str] = []

    def run(self, tick: Callable[[int, int], None]) -> Report:
        """Works the studies off under the plan's events; `tick` is told how many trials are done, of how many."""
        started = time.monotonic()
        try:
            self._crew.start(self._plan.workers)
            while not self._is_over(tick):
                if time.monotonic() - started > LIMIT_SECONDS:
                    self._faults.append("it takes too long")
                    break
                self._crew.look_after()
                self._next()
            self._crew.look_after()
            self._crew.end()
        finally:
            self._crew.vanish()
        seconds = time.monotonic() - started
        try:
            return self._report(seconds)
        finally:
            self._database.close()

    def _next(self) -> None:
        """One event; where none is left, what is missing of the kills, and the other tool puts its things in order."""
        if self._events:
            event = self._events.popleft()
            time.sleep(event.pause)
            self._carry_out(event)
        elif self._crew.kills < self._plan.kills:
            self._carry_out(Event("kill", 0.0, sorted(STUDIES)[self._crew.kills % len(STUDIES)], 0.5))
        else:
            self._tool.settle_all()
            time.sleep(LOOK_SECONDS)

    def _carry_out(self, event: Event) -> None:
        if event.kind in NEED_TRIALS:
            self._make_room(self._studies[event.what])
        if event.kind == "kill":
            self._crew.strike(event.what, event.luck)
        elif event.kind == "last-try":
            self._crew.hunt(event.what, event.luck)
        elif event.kind == "stop":
            self._crew.stop(event.what, event.luck)
        elif event.kind == "clock":
            self._clocks += self._crew.clock.can_step
            self._crew.clock.step(round(event.size))
        elif event.kind == "outage":
            self._cut_off(event)
        else:
            assert event.kind in (*TOOL_EVENTS, "settle")
            self._tool.act(event)

    def _make_room(self, study: studies.Study) -> None:
        """Extends a study that is nearly done: what comes needs trials that run."""
        done = self._database.read(lambda connection: counts.read(connection, study.study_id).done)
        budget = self._database.read(lambda connection: orders.read(connection, study).trials)
        if budget - done < ROOM:
            orders.extend(self._database, study, add=ROOM)

    def _cut_off(self, event: Event) -> None:
        """An outage; in some of them a worker is killed, unseen by the database."""
        with self._place.outages[event.what]():
            time.sleep(event.size / 2)
            if event.luck < KILLED_IN_OUTAGES:
                self._crew.kill_any(event.luck / KILLED_IN_OUTAGES)
            time.sleep(event.size / 2)
        self._outages[event.what] += 1

    def _is_over(self, tick: Callable[[int, int], None]) -> bool:
        """Whether all is done: events, budgets, what the other tool has begun, and what is to be known of it."""
        found = self._database.read(
            lambda connection: [
                (counts.read(connection, study.study_id), orders.read(connection, study).trials)
                for study in self._studies.values()
            ]
        )
        tick(sum(each.done for each, _ in found), sum(budget for _, budget in found))
        is_struck = not self._events and self._crew.kills >= self._plan.kills
        is_settled = not any(deeds.open for deeds in self._tool.deeds.values())
        return (
            is_struck
            and is_settled
            # idle workers look at what the other tool brought last
            and all(each.done >= budget and not each.unknown for each, budget in found)
            and not any(each.of(TrialState.RUNNING) for each, _ in found)
        )

    def _report(self, seconds: float) -> Report:
        checks = chaos_checks.Checks(self._database, self._crew.killed, self._data_dir)
        found = [checks.check(study, self._tool.deeds[name]) for name, study in self._studies.items()]
        checks.leftovers(found)
        logs = "".join(path.read_text(errors="replace") for path in self._folder.glob("worker-*.log"))
        faults = [*self._faults, *self._crew.faults, *checks.faults]
        if "Traceback" in logs:
            faults.append("a worker's log has a traceback")
        if not checks.adoptions:
            faults.append("no trial was adopted")
        return Report(
            storage=self._database.engine.dialect.name,
            seed=self._plan.seed,
            budgets={summary.study.name: summary.budget for summary in found},
            states={state.name: sum(summary.count(state) for summary in found) for state in TrialState},
            kills=self._crew.kills,
            kills_beside=len(self._crew.killed) - self._crew.kills,
            outages=dict(self._outages),
            clocks=self._clocks,
            stops=self._crew.stops,
            tools=self._tool.done,
            adoptions=checks.adoptions,
            resumed=logs.count("event=resumed"),
            lost=logs.count("event=lost"),
            real_failures=checks.real_failures,
            replayed=checks.replayed,
            seconds=round(seconds, 1),
            faults=faults,
        )


@contextlib.contextmanager
def place_of(storage: str) -> Iterator[chaos_outages.PostgresPlace | chaos_outages.SqlitePlace]:
    """A database of either kind, with all that belongs to it."""
    if storage == "sqlite":
        with chaos_outages.sqlite_place() as place:
            yield place
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a Unix socket's path must be short
    server = Server(folder)
    try:
        yield chaos_outages.PostgresPlace(server)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Prints what was done and what came of it; returns 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for field in dataclasses.fields(Plan):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int, default=field.default)
    parser.add_argument("--data-dir", type=pathlib.Path, default=os.environ.get("SEARCH_DATA", "data"))
    parser.add_argument("--storage", choices=("postgres", "sqlite"), default="postgres")
    options = vars(parser.parse_args())
    data_dir, storage = pathlib.Path(options.pop("data_dir")).resolve(), options.pop("storage")
    fashion_mnist(data_dir)
    logs = pathlib.Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"logs: {logs}", flush=True)
    columns = [progress.TextColumn("chaos"), progress.BarColumn(), progress.MofNCompleteColumn()]
    with progress.Progress(*columns, progress.TimeElapsedColumn(), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("")
        with place_of(storage) as place:
            chaos = Chaos(Plan(**options), place, data_dir, logs)
            report = chaos.run(lambda done, total: bar.update(task, completed=done, total=total))
    for name, value in dataclasses.asdict(report).items():
        print(f"{name}: {value}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
