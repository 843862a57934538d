"""What the chaos suite does, and when: studies, workers, and events in an order that a seed gives."""

import dataclasses
import itertools
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

NETWORKS = """
[training]
dataset = "fashion-mnist"
epochs = 5
evaluate_on = "test"

[space]
learning_rate = [1e-4, 1e-2, 1e-1]
batch_size = { low = 64, high = 128 }
depth = { low = 0, high = 5 }
width = { choices = [32, 128], when = "depth > 0" }
activation = { choices = ["ReLU", "Sigmoid", "GELU"], when = "depth > 0" }
"""
OWN = """
[space]
x = { low = 0.0, high = 1.0 }
kind = ["a", "b"]
"""
# by name: before the tables, tables, sampler and pruner, its share of the budget
STUDIES = {
    "networks": ("", NETWORKS + '[sampler]\nname = "random"\n', 0.3),
    "median": ("", NETWORKS + '[pruning]\npruner = "median"\nstartup_trials = 4\n', 0.25),
    "waits": ('objective = "chaos_objectives:waits"\n', OWN, 0.25),
    "holds": ('objective = "chaos_objectives:holds"\n', OWN + '[sampler]\nname = "random"\n', 0.2),
}
TURNS = ("waits", "networks", "holds", "median")
# workers in their order: study and slots. One that holds the interpreter has one beside it that watches
SEATS = (("networks", 3), ("holds", 1), ("median", 1), ("waits", 1), ("holds", 1), ("networks", 1), ("median", 3))
SEATS += (("waits", 1),)
TOOL_EVENTS = ("enqueue", "enqueue-duplicate", "enqueue-impossible", "add", "add-outside", "tell", "ask")
MAX_FAILURES = 50  # what another tool tells as failed counts as a failure
KILLS_OF_A_LAST_TRY = 4  # of one trial: the first may have got further
PAUSE_SECONDS = (0.3, 2.5)
OUTAGE_SECONDS = (2.0, 8.0)
CLOCK_SECONDS = 3600  # either way


@dataclasses.dataclass
class Plan:
    """What is done to the studies; numbers of events, but for `longest` and `grace`, which are seconds."""

    trials: int = 400
    workers: int = 8
    kills: int = 80
    last_tries: int = 4  # trials of which one worker after the other is killed, among the kills
    outages: int = 20
    longest: int = 60  # the last outage
    clocks: int = 16
    tools: int = 60
    stops: int = 8
    grace: int = 4
    epochs: int = 5  # of a network's training
    seed: int = 0

    def budget(self, name: str) -> int:
        """The trials of a study at first."""
        return max(2, round(self.trials * STUDIES[name][2]))

    def text(self, name: str) -> str:
        """A study's file."""
        head, tables, _ = STUDIES[name]
        tables = tables.replace("epochs = 5", f"epochs = {self.epochs}")
        budget = f"\n[budget]\ntrials = {self.budget(name)}\nmax_failures = {MAX_FAILURES}\n"
        return f'{head}[study]\nname = "{name}"\nseed = {self.seed}\n{tables}{budget}'


@dataclasses.dataclass(frozen=True)
class Event:
    """One of a plan.

    Attributes:
        kind: kill, last-try, outage, clock, stop, settle, or one of `TOOL_EVENTS`.
        pause: seconds before it.
        what: the study, or the outage.
        luck: from 0 to 1, where there is a choice that only the moment knows.
        size: seconds of an outage, or of the clock's step.
    """

    kind: str
    pause: float
    what: str
    luck: float
    size: float = 0.0


def events(plan: Plan, outages: tuple[str, ...]) -> list[Event]:
    """The events of a plan, in their order: equal seeds give equal events.

    Args:
        outages: those that the database knows; the last is the one that may last long.
    """
    rng = random.Random(plan.seed)
    kinds = ["kill"] * max(0, plan.kills - KILLS_OF_A_LAST_TRY * plan.last_tries) + ["last-try"] * plan.last_tries
    kinds += ["outage"] * (plan.outages - bool(plan.longest)) + ["clock"] * plan.clocks + ["stop"] * plan.stops
    kinds += [TOOL_EVENTS[number % len(TOOL_EVENTS)] for number in range(plan.tools)]
    rng.shuffle(kinds)
    for at in [at for at, kind in enumerate(kinds) if kind == "ask"][::-1]:
        kinds.insert(rng.randint(at + 1, len(kinds)), "settle")
    # each study has its turn, those of networks and of own objectives one after the other
    turns = {kind: itertools.cycle(TURNS) for kind in ("kill", "last-try")}
    found = [_event(rng, kind, next(turns[kind]) if kind in turns else rng.choice(TURNS), outages) for kind in kinds]
    if plan.longest:
        found.append(Event("outage", 0.0, outages[-1], rng.random(), plan.longest))
    return found


def _event(rng: random.Random, kind: str, what: str, outages: tuple[str, ...]) -> Event:
    size = 0.0
    if kind == "outage":
        what, size = rng.choice(outages), rng.uniform(*OUTAGE_SECONDS)
    if kind == "clock":
        size = rng.uniform(-CLOCK_SECONDS, CLOCK_SECONDS)
    return Event(kind, rng.uniform(*PAUSE_SECONDS), what, rng.random(), size)


def chosen(luck: float, among: Sequence[T]) -> T:
    """The one that luck points to."""
    return among[int(luck * len(among))]
