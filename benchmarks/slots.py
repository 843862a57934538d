"""Trials per hour of worker processes with slots: one at a time, several processes, several slots in one process.

    python benchmarks/slots.py --crews 1x1 2x1 1x2              workers x slots; ratios to the first
    python benchmarks/slots.py --device cuda --engine reference --crews 1x1 1x8 1x32

One configuration over many seeds, on SQLite, in fresh studies; crews are interleaved round by round, and the clock
starts when all processes have loaded the dataset and chosen the engine. A crew trains at least twice as many trials as
it has places, so that each is in use for the most part.
"""

import argparse
import dataclasses
import math
import multiprocessing
import pathlib
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable
from multiprocessing import connection
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from search.ledger import queues, studies, summaries
from search.space import spaces
from search.storage import databases
from search.study import specs


@dataclasses.dataclass(frozen=True)
class Crew:
    """Worker processes of as many slots each, and how they train."""

    workers: int
    slots: int
    data_dir: pathlib.Path
    device: str
    engine: str | None

    def __str__(self) -> str:
        return f"{self.workers}x{self.slots}"


@dataclasses.dataclass(frozen=True)
class Run:
    """What a crew took.

    Attributes:
        seconds: on the wall.
        memory: bytes of its processes alone, at the end.
        trials: each with its seconds on the wall, which on a GPU are more than its share of the device.
        spans: begin and end of each, in seconds.
    """

    seconds: float
    memory: int
    trials: list[tuple[spaces.Params, float]]
    spans: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    @property
    def at_once(self) -> float:
        """How many ran at once, on average, from the first end to the last begin: while every place was in use."""
        first, last = min(end for _, end in self.spans), max(begin for begin, _ in self.spans)
        if last <= first:
            return float(sum(begin <= last <= end for begin, end in self.spans))
        return sum(max(0.0, min(end, last) - max(begin, first)) for begin, end in self.spans) / (last - first)


def work(
    url: str, name: str, crew: Crew, gate: Barrier, memory: "SimpleQueue[int]", deadline: float, first: spaces.Params
) -> None:
    """One process of a crew, which hands over what it has not trained by the deadline (`time.time`).

    Args:
        first: a configuration of the run.
    """
    import psutil

    from search.training import networks
    from search.worker import loops
    from search.worker.settings import Settings

    database = databases.Database(url)
    study = studies.find(database, name)
    if study is None:
        raise LookupError(name)
    train = networks.NetworkObjective(study.spec, crew.data_dir, crew.device, crew.engine)
    train.choose(first)  # engine and team: what it takes to measure them is no part of a trial
    settings, stop = Settings(device=crew.device, slots=crew.slots), threading.Event()
    gate.wait()
    if deadline < math.inf:
        timer = threading.Timer(max(0.0, deadline - time.time()), stop.set)
        timer.daemon = True
        timer.start()
    loops.Worker(database, study, train, stop, settings, network=train).run()
    memory.put(psutil.Process().memory_full_info().uss)
    gate.wait()


def run(crew: Crew, epochs: int, wanted: Iterable[tuple[spaces.Params, int]], deadline: float = math.inf) -> Run:
    """Trains configurations, each with the number of its seed, to their last epoch.

    Raises:
        TimeoutError: that takes longer than until the deadline (`time.time`).
    """
    name, wanted = f"bench-{uuid.uuid4().hex[:8]}", list(wanted)
    text = (ROOT / "studies" / "lab.toml").read_text()
    for old, new in (
        ('name = "lab"', f'name = "{name}"'),
        ("epochs = 10", f"epochs = {epochs}"),
        ("trials = 10", f"trials = {len(wanted)}"),  # teams are for those with fewer than slots
        ("hopeless = true", "hopeless = false"),
        ('name = "gp-cost"', 'name = "random"'),
        ('pruner = "asha"', ""),
    ):
        if text.count(old) != 1:
            raise ValueError(f"studies/lab.toml must have {old!r} once")
        text = text.replace(old, new)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/studies.db"
        database = databases.Database(url)
        study = studies.create(database, specs.parse(text, name))
        queues.fill(database, study, wanted)
        context = multiprocessing.get_context("spawn")
        gate, memory = context.Barrier(crew.workers + 1), context.SimpleQueue()
        given = (url, name, crew, gate, memory, deadline, wanted[0][0])
        processes = [context.Process(target=work, args=given) for _ in range(crew.workers)]
        for process in processes:
            process.start()
        threading.Thread(target=_watch, args=(processes, gate), daemon=True).start()
        try:
            gate.wait()
            started = time.perf_counter()
            gate.wait()
        except threading.BrokenBarrierError as error:
            raise RuntimeError(f"{crew}: a worker has died; what it died of is above") from error
        taken = time.perf_counter() - started
        for process in processes:
            process.join()
        trials = summaries.whole(database, study).trials
        database.close()
        if time.time() > deadline:
            raise TimeoutError
        if any(trial.state.name != "COMPLETE" for trial in trials):
            raise RuntimeError(f"{crew}: not every trial is complete")
        spans = [(t.datetime_start.timestamp(), t.datetime_complete.timestamp()) for t in trials]
        durations = [(t.params, end - begin) for t, (begin, end) in zip(trials, spans, strict=True)]
        return Run(taken, sum(memory.get() for _ in processes), durations, spans)


def _watch(processes: list[multiprocessing.context.SpawnProcess], gate: Barrier) -> None:
    """Lets nobody wait at the gate for one that has died."""
    left = {process.sentinel: process for process in processes}
    while left:
        for sentinel in connection.wait(list(left)):
            process = left.pop(sentinel)  # type: ignore[call-overload]
            process.join()
            if process.exitcode:
                gate.abort()


def training_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every benchmark that trains with a crew."""
    parser.add_argument("--data-dir", type=pathlib.Path, default=pathlib.Path("data"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--engine")


def check(options: argparse.Namespace) -> None:
    """Ends with a line and exit code 2 where the device, NVRTC or PyTorch is not to be had."""
    from models import engines, errors

    try:
        engines.check(options.engine or ("auto" if options.device == "cpu" else "cuda"), options.device)
    except errors.ModelError as error:
        print(f"{pathlib.Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(2)


def parse_crew(text: str, options: argparse.Namespace) -> Crew:
    """From workers x slots."""
    workers, slots = map(int, text.split("x"))
    return Crew(workers, slots, options.data_dir, options.device, options.engine)


def spread(values: list[float], places: int) -> str:
    """Median and range."""
    return f"{statistics.median(values):.{places}f} ({min(values):.{places}f}-{max(values):.{places}f})"


def main() -> int:
    """Prints a table: trials per hour, the ratio to the first crew round by round, and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    training_arguments(parser)
    parser.add_argument("--crews", nargs="+", default=["1x1", "2x1", "1x2"], help="workers x slots")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    check(options)
    crews = [parse_crew(text, options) for text in options.crews]
    params: spaces.Params = {"learning_rate": 0.1, "batch_size": options.batch_size, "depth": options.depth}
    if options.depth:
        params |= {"width": options.width, "activation": "ReLU"}
    rates: dict[str, list[float]] = {str(crew): [] for crew in crews}
    memory: dict[str, int] = {}
    for _ in range(options.rounds):
        for crew in crews:
            trials = max(options.trials, 2 * crew.workers * crew.slots)
            found = run(crew, options.epochs, [(params, seed) for seed in range(trials)])
            rates[str(crew)].append(3600 * trials / found.seconds)
            memory[str(crew)] = found.memory
    print(
        f"{params}, {options.epochs} epochs, {options.trials} trials a run or more, {options.rounds} rounds, "
        f"{options.device}"
    )
    print(f"{'crew':>6}  {'trials per hour':>26}  {'ratio to the first':>20}  {'MB':>6}")
    for crew, found_rates in rates.items():
        ratios = [mine / first for mine, first in zip(found_rates, rates[str(crews[0])], strict=True)]
        print(f"{crew:>6}  {spread(found_rates, 0):>26}  {spread(ratios, 2):>20}  {memory[crew] / 1e6:>6.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
