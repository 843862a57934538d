"""Several trials at once in one process: who may train, and that each keeps all that is promised for one."""

import contextlib
import pathlib
import signal
import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy
from conftest import Processes, quick_text
from optuna.trial import TrialState

import search
from search import errors
from search.ledger import adoptions, allocations, claims, counts, presence, studies, summaries
from search.space import spaces
from search.storage import databases, schema
from search.training import networks, objectives
from search.worker import loops, threads
from search.worker.settings import Settings

Make = Callable[..., studies.Study]
GONE = presence.Identity("gone:1", "elsewhere", 1, 0.0)
LIMIT_SECONDS = 60.0


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def nothing() -> None:
    """No reason to stop waiting."""


class Visitor:
    """A thread that enters a room and stays until it is told to leave."""

    def __init__(self, admission: threads.Admission, need: int, alone: bool = False) -> None:
        self.is_inside, self._leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._visit, args=(admission, need, alone))
        self._thread.start()

    def _visit(self, admission: threads.Admission, need: int, alone: bool) -> None:
        with admission.enter(need, nothing, alone):
            self.is_inside.set()
            self._leave.wait(LIMIT_SECONDS)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(LIMIT_SECONDS)


def test_memory_admits_in_turn() -> None:
    """What does not fit beside the others waits, and whoever comes later waits behind it; alone everything fits."""
    admission = threads.Admission(4, lambda _: 100)
    first = Visitor(admission, 500)
    assert first.is_inside.wait(LIMIT_SECONDS)
    large = Visitor(admission, 90)
    wait_until(lambda: not admission.is_open)
    small = Visitor(admission, 1)
    assert not large.is_inside.wait(0.3)
    assert not small.is_inside.is_set()
    first.leave()
    assert large.is_inside.wait(LIMIT_SECONDS)
    assert small.is_inside.wait(LIMIT_SECONDS)
    assert admission.is_open
    alone = Visitor(admission, 1, alone=True)
    assert not alone.is_inside.wait(0.3)
    large.leave()
    small.leave()
    assert alone.is_inside.wait(LIMIT_SECONDS)
    assert not admission.is_open
    alone.leave()
    assert admission.is_open


def test_one_that_waits_is_told_to_stop() -> None:
    """What `check` raises ends the wait, and leaves the room to others."""
    admission = threads.Admission(2, lambda _: 0)
    first = Visitor(admission, 1)
    assert first.is_inside.wait(LIMIT_SECONDS)

    def check() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError), admission.enter(1, check):
        pass
    first.leave()
    assert admission.is_open


def test_memory_that_ran_out_is_learned_from() -> None:
    """One slot fewer than trained then, never none; slots come back one by one."""
    admission = threads.Admission(4, lambda _: 100)
    with contextlib.ExitStack() as inside:
        for _ in range(3):
            inside.enter_context(admission.enter(1, nothing))
        admission.crowded()
    assert admission.allowed == 2
    for _ in range(5):
        admission.crowded()
    assert admission.allowed == 1
    found = []
    for _ in range(12):
        admission.went_well()
        found.append(admission.allowed)
    assert found[0] == 2
    assert found == sorted(found)
    assert found[-1] == 4


def test_what_a_job_raises_ends_the_others() -> None:
    """The first error of a slot sets `stop` and comes out of the crew, whatever followed from it."""
    stop = threading.Event()

    def waits() -> None:
        stop.wait(LIMIT_SECONDS)

    def broken() -> None:
        raise LookupError("first")

    def work() -> None:
        with threads.Threads(2, stop) as crew:
            crew.start(waits)
            crew.start(broken)
            wait_until(stop.is_set)
            raise InterruptedError

    with pytest.raises(LookupError, match="first"):
        work()
    assert stop.is_set()


def test_each_device_admits_by_its_own_memory() -> None:
    """What trains on a GPU waits for its memory, and not for the machine's; the other way round too."""
    free = {"cpu": 100, "cuda": 1_000}
    admission = threads.Admission(8, free.__getitem__)
    with contextlib.ExitStack() as inside:
        for need, device in ((60, "cpu"), (900, "cuda"), (90, "cuda"), (30, "cpu")):
            inside.enter_context(admission.enter(need, nothing, device=device))

        def refuse() -> None:
            raise InterruptedError

        for device in free:
            with pytest.raises(InterruptedError), admission.enter(20, refuse, device=device):
                pass


def test_a_device_is_billed_by_its_share() -> None:
    """Whatever enters and leaves, the seconds of all trainings on it are those in which it trained."""
    admission = threads.Admission(8, lambda _: 100)
    assert admission.clock("cpu") is time.perf_counter
    clock, spent = admission.clock("cuda"), 0.0
    began = time.perf_counter()
    with contextlib.ExitStack() as inside:
        for count in (1, 2, 3):
            inside.enter_context(admission.enter(1, nothing, device="cuda"))
            since = clock()
            time.sleep(0.2)
            spent += count * (clock() - since)
        with admission.enter(1, nothing):  # elsewhere
            since = clock()
            time.sleep(0.2)
            spent += 3 * (clock() - since)
    assert spent == pytest.approx(time.perf_counter() - began, rel=0.1)


def test_trials_in_slots_of_one_device_share_its_seconds(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three at once: their training times, by which `budget.hours` is kept, add up to the time that has passed."""
    monkeypatch.setattr(threads, "free_bytes", lambda device: 1_000)
    study = make_study(trials=6)

    class Network:
        backends = ("mine cuda float32 1",)

        def choose(self, params: spaces.Params) -> str:
            return self.backends[0]

        def expect(self, trials: int) -> None:
            pass

        def need(self, params: spaces.Params, backend: str | None) -> int:
            assert backend == self.backends[0]
            return 10

    def quick(trial: objectives.Trial) -> objectives.Result:
        assert trial.backend == "mine cuda float32 1"
        time.sleep(0.6)
        return objectives.Result(TrialState.COMPLETE, 0.5, {})

    counting = Counting(quick)
    began = time.perf_counter()
    working = loops.Worker(opened, study, counting, threading.Event(), Settings(slots=3), network=Network())
    assert working.run() is allocations.NoTrial.FINISHED
    passed = time.perf_counter() - began
    assert max(counting.beside.values()) == 3
    seconds = [trial.user_attrs["search:seconds"] for trial in summaries.whole(opened, study).trials]
    assert 1.1 < sum(seconds) < passed + 0.1
    assert opened.read(lambda c: c.execute(sqlalchemy.select(schema.claims.c.backend)).scalars().all()) == [
        "mine cuda float32 1"
    ] * len(seconds)


class Counting:
    """The lab's objective, and how many trained beside each trial at most."""

    def __init__(self, train: Callable[[objectives.Trial], objectives.Result]) -> None:
        self._train, self._lock = train, threading.Lock()
        self._now: set[int] = set()
        self.beside: dict[int, int] = {}

    def __call__(self, trial: objectives.Trial) -> objectives.Result:
        with self._lock:
            self._now.add(trial.number)
            for number in self._now:
                self.beside[number] = max(self.beside.get(number, 0), len(self._now))
        try:
            return self._train(trial)
        finally:
            with self._lock:
                self._now.remove(trial.number)


def test_trials_are_the_same_in_slots(opened: databases.Database, make_study: Make, tmp_path: pathlib.Path) -> None:
    """Four at once give the bits that one after another gives, and the count of the budget."""
    found = []
    for slots in (1, 4):
        study = make_study(name=f"slots-{slots}", trials=16, epochs=30)
        train = networks.NetworkObjective(study.spec, tmp_path)
        counting = Counting(train)
        working = loops.Worker(opened, study, counting, threading.Event(), Settings(slots=slots), network=train)
        assert working.run() is allocations.NoTrial.FINISHED
        assert (max(counting.beside.values()) > 1) == (slots > 1)
        trials = summaries.whole(opened, study).trials
        assert all(trial.state in counts.COUNTED for trial in trials)
        keys = ("search:avg_losses", "search:reason", "search:seed", "search:trained")
        found.append([(t.params, t.value, t.intermediate_values, *map(t.user_attrs.get, keys)) for t in trials])
    assert len(found[0]) == 16
    assert found[0] == found[1]


def test_out_of_memory_goes_on_alone(opened: databases.Database, make_study: Make) -> None:
    """A trial that ran out of memory beside others is trained again when they have ended, and none begins meanwhile."""
    study = make_study(trials=8)
    begun: dict[int, int] = {}
    lock = threading.Lock()

    def hungry(trial: objectives.Trial) -> objectives.Result:
        with lock:
            begun[trial.number] = begun.get(trial.number, 0) + 1
        if trial.number == 2 and begun[2] == 1:
            counting.beside.pop(2)
            raise MemoryError
        time.sleep(0.3)
        return objectives.Result(TrialState.COMPLETE, 0.5, {})

    counting = Counting(hungry)
    assert (
        loops.Worker(opened, study, counting, threading.Event(), Settings(slots=3)).run()
        is allocations.NoTrial.FINISHED
    )
    assert begun == {**dict.fromkeys(range(8), 1), 2: 2}
    assert counting.beside[2] == 1
    assert max(counting.beside.values()) > 1
    assert [trial.state for trial in summaries.whole(opened, study).trials] == [TrialState.COMPLETE] * 8


def test_the_last_try_of_a_trial_is_made_alone(opened: databases.Database, make_study: Make) -> None:
    """A trial whose owners died twice without getting further takes no other with it, should it kill this one too."""
    study = make_study(trials=6)
    watch = presence.Watch(0.0)
    for _ in range(adoptions.STALL_LIMIT - 1):  # the first claim is no adoption, and the next one is the worker's
        assert isinstance(allocations.take(opened, study, GONE, watch), claims.Claim)

    def quick(_: objectives.Trial) -> objectives.Result:
        time.sleep(0.2)
        return objectives.Result(TrialState.COMPLETE, 0.5, {})

    counting = Counting(quick)
    working = loops.Worker(opened, study, counting, threading.Event(), Settings(slots=3, grace_seconds=0.3))
    assert working.run() is allocations.NoTrial.FINISHED
    assert counting.beside[0] == 1
    assert max(counting.beside.values()) > 1
    assert [trial.state for trial in summaries.whole(opened, study).trials] == [TrialState.COMPLETE] * 6


MEBI = 1 << 20
STAT = f"anon {300 * MEBI}\nfile {150 * MEBI}\nactive_file {50 * MEBI}\ninactive_file {100 * MEBI}\npgfault 7\n"


@pytest.mark.parametrize(("stat", "free"), [(STAT, 112 * MEBI), ("anon 1\n", 12 * MEBI), (None, 12 * MEBI)])
def test_page_cache_is_free(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, stat: str | None, free: int
) -> None:
    """Files that a container has read count as free, as the kernel drops them before the limit is felt."""
    (tmp_path / "memory.max").write_text(f"{512 * MEBI}\n")
    (tmp_path / "memory.current").write_text(f"{500 * MEBI}\n")
    if stat is not None:
        (tmp_path / "memory.stat").write_text(stat)
    monkeypatch.setattr(threads, "CGROUP", tmp_path)
    assert threads.free_bytes() == free


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_trials_of_a_worker_that_ends_go_on(url: str, processes: Processes, tmp_path: pathlib.Path, how: int) -> None:
    """Three trials of one worker are adopted, or handed over, and the study ends with its exact count."""
    (tmp_path / "quick.toml").write_text(quick_text(trials=6, epochs=150, hopeless="false", slow=True))
    database = databases.Database(url, patience_seconds=30)
    assert processes.run("create", "quick.toml")[0] == 0
    study = studies.find(database, "quick")
    assert study is not None

    def running() -> list[int]:
        return [
            trial.number
            for trial in summaries.whole(database, study).trials
            if trial.state == TrialState.RUNNING and trial.intermediate_values
        ]

    options = ("--slots", "3", "--grace", "1", "--checkpoint-seconds", "0")
    first = processes.start("work", "quick", *options)
    wait_until(lambda: len(running()) == 3)
    first.send_signal(how)
    assert first.wait(30) == (0 if how == signal.SIGTERM else -how)
    assert (
        not [t for t in summaries.whole(database, study).trials if t.state == TrialState.RUNNING]
        or how == signal.SIGKILL
    )
    code, output = processes.run("work", "quick", *options)
    assert code == 0, output
    assert output.count("event=adopted" if how == signal.SIGKILL else "event=waiting") >= 3
    assert "event=resumed" in output
    trials = summaries.whole(database, study).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    assert [len(trial.intermediate_values) for trial in trials] == [150] * 6
    database.close()


@pytest.mark.slow
def test_slots_that_cannot_be_had(processes: Processes, tmp_path: pathlib.Path) -> None:
    """On a GPU the engine of blocks alone has slots: said before anything is made."""
    (tmp_path / "quick.toml").write_text(quick_text())
    on_cuda = ("run", "quick.toml", "--slots", "2", "--device", "cuda")
    for arguments, rule in (
        ((*on_cuda, "--engine", "reference"), "--slots must be 1 on device 'cuda', got 2"),
        (on_cuda, "device 'cuda' is not there"),
        (("run", "quick.toml", "--slots", "0"), "--slots"),
    ):
        code, output = processes.run(*arguments)
        assert (code, "Traceback" in output) == (2, False), output
        assert rule in output


@pytest.mark.slow
def test_slots_from_python(url: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`search.run` takes slots, or has them of the environment, and names what is none."""
    (tmp_path / "quick.toml").write_text(quick_text(trials=5))
    name = str(tmp_path / "quick.toml")
    for wrong, slots in (("0", None), ("many", None), ("1", 0), ("1", 5_000)):
        monkeypatch.setenv("SEARCH_SLOTS", wrong)
        with pytest.raises(errors.InputError, match=r"^slots: .*(0|many|5000)"):
            search.run(name, storage=url, slots=slots)
    monkeypatch.setenv("SEARCH_SLOTS", "3")
    trials = search.run(name, storage=url, workers=1).trials
    assert [trial.state.is_finished() for trial in trials] == [True] * 5
