"""A device that fails under a worker's trials: the process ends, others go on, and no configuration kills for ever."""

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
import trials
from conftest import ROOT, quick_text
from forgetful import Forgetful
from optuna.trial import TrialState

from models import errors as models
from search import errors
from search.ledger import allocations, checks, claims, counts, presence, studies, summaries
from search.space import spaces
from search.storage import databases
from search.study import specs
from search.training import objectives, records
from search.worker import endings, loops, ownership, threads
from search.worker.settings import Settings

Make = Callable[..., studies.Study]
SAID = "CUDA error: an illegal memory access was encountered"

# A worker whose engine is the compiled one, but for a depth at which it says what a broken device says, from then on
# whatever it is asked, as CUDA does.
PLANTED = f"""
import sys, threading, time
from models import engines
from models.engines import cpu

class Planted(cpu.Cpu):
    name, capacity, broken = "planted", lambda self: 2, threading.Event()

    def train(self, recipe, data, resume=None, *, tick=None, **how):
        def check():
            if recipe.depth == 6 and not self.broken.is_set():
                time.sleep(0.3)  # another trains beside it
                self.broken.set()
            if self.broken.is_set():
                raise RuntimeError({SAID!r})
            tick()
        return super().train(recipe, data, resume, tick=check, **how)

engines.ENGINES["planted"] = Planted
from search import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_device_that_fails_ends_its_worker(opened: databases.Database, url: str) -> None:
    """Exit code 1 and a line; what it trained is adopted. What has killed three workers fails, all else is done."""
    entry = '[[enqueue]]\nlearning_rate = 0.1\nbatch_size = 50\ndepth = {}\nwidth = 32\nactivation = "ReLU"\n'
    text = quick_text(trials=4, epochs=20, hopeless="false") + "".join(entry.format(depth) for depth in (6, 2))
    study = studies.create(opened, specs.parse(text, "quick.toml"))
    ends, logs = [], []
    while not ends or (ends[-1] == 1 and len(ends) < 8):
        words = ("work", "quick", "--engine", "planted", "--slots", "2", "--grace", "2", "--storage", url)
        command = [sys.executable, "-c", PLANTED, *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        ends.append(done.returncode)
        logs.append(done.stderr)
    assert ends[-1] == 0, logs[-1]
    assert ends[:-1] == [1] * len(ends[:-1])
    assert len(ends) >= 4
    for log in logs[:-1]:
        assert f"event=device-failed reason='RuntimeError: {SAID}'" in log
        assert f"search: the device can no longer be used in this process, so it ends: RuntimeError: {SAID}" in log
        assert "Traceback" not in log
    summary = summaries.whole(opened, study)
    poison = [trial for trial in summary.trials if trial.params["depth"] == 6]
    assert {trial.state for trial in poison} == {TrialState.FAIL}
    lost = "its worker was lost 3 times in a row without getting further, the last time since its device failed"
    assert records.REASON.find(poison[0]) == lost
    others = [trial for trial in summary.trials if trial.params["depth"] != 6]
    assert {trial.state for trial in others} == {TrialState.COMPLETE}
    assert len(others) == 4
    assert summary.failures == 0
    assert not [each for each in checks.look(opened, study) if not each.holds]


@pytest.mark.parametrize(
    ("error", "is_device"),
    [
        (RuntimeError(SAID), True),
        (RuntimeError("CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure"), True),
        (RuntimeError("nvrtc: error: identifier is undefined"), False),
        (ValueError("a mistake"), False),
    ],
)
def test_only_a_device_s_errors_end_a_worker(
    opened: databases.Database, make_study: Make, error: Exception, is_device: bool
) -> None:
    """By what CUDA says; whatever else a training raises is the trial's own."""
    told, study = endings.Endings(opened, presence.Identity.this(), is_inside=True), make_study(trials=1)
    trial = ownership.OwnedTrial(opened, study, trials.claim(opened, study), threading.Event())
    if not is_device:
        told.check_device(trial, error)
        return
    with pytest.raises(errors.DeviceFailed, match="can no longer be used") as caught:
        told.check_device(trial, error)
    assert caught.value.exit_code == 1


class Network:
    """What trains on a device, and where that fails."""

    backends = ("mine cuda float32 1",)

    def __init__(self, at: str) -> None:
        self.at = at

    def choose(self, params: spaces.Params) -> str:
        """Measures, as "auto" does."""
        if self.at == "the choice":
            raise models.DeviceFault(SAID)
        return self.backends[0]

    def expect(self, trials: int) -> None:
        pass

    def need(self, params: spaces.Params, backend: str | None) -> int:
        return 0

    def __call__(self, trial: objectives.Trial) -> objectives.Result:
        if self.at == "once more, alone":
            self.at = "training"
            raise MemoryError
        raise models.DeviceFault(SAID)


@pytest.mark.parametrize("at", ["training", "the choice", "once more, alone"])
def test_what_a_living_process_has_left_is_adopted_at_once(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Wherever the device fails, no trial waits for the end of the process, as of a notebook; none has failed."""
    monkeypatch.setattr(threads, "free_bytes", lambda device: 1_000)
    study, network = make_study(trials=3, more="max_failures = 0"), Network(at)
    working = loops.Worker(opened, study, network, threading.Event(), Settings(slots=2), network=network)
    with pytest.raises(errors.DeviceFailed):
        working.run()
    watch = presence.Watch()
    left = [trial for trial in summaries.whole(opened, study).trials if trial.state == TrialState.RUNNING]
    assert left
    for trial in left:
        taken = trials.take(opened, study, watch=watch)
        assert (taken.number, taken.how, taken.stalls) == (trial.number, "adopted", 1)
    assert opened.read(lambda connection: counts.read(connection, study.study_id)).of(TrialState.FAIL) == 0


def test_a_lost_answer_leaves_once(url: str) -> None:
    """A trial that is let go twice has one stall more, its seconds are on the bill, and its next owner keeps it."""
    database = Forgetful(url, patience_seconds=30)
    study = studies.create(database, specs.parse(quick_text(trials=1), "quick.toml"))
    claim = trials.claim(database, study)
    database.lossy(lambda: claims.leave(database, claim, 2.0))
    taken = trials.take(database, study)
    assert (taken.number, taken.how, taken.stalls, taken.seconds) == (0, "adopted", 1, 2.0)
    with pytest.raises(errors.TrialLost):
        claims.leave(database, claim, 3.0)
    assert trials.take(database, study, trials.GONE) is allocations.NoTrial.WAIT
    database.close()
