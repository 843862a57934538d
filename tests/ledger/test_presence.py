import dataclasses
import os
import pathlib
import random
import subprocess
import sys

import pytest
from conftest import ROOT
from trials import GONE, Make, take

from search.ledger import adoptions, presence
from search.storage import databases

ELSEWHERE = presence.Identity("far:1", "another-host", 1, 0.0)


def sighting(beat: int = 1, worker: presence.Identity = ELSEWHERE, generation: int = 1) -> presence.Sighting:
    return presence.Sighting(7, "owner", generation, beat, worker)


def watching(watch: presence.Watch, beat: int, start: float, end: float, interruptions: int = 0) -> bool:
    """Looks every 5 s from start to end; whether the trial was an orphan at the end."""
    found: list[presence.Sighting] = []
    now = start
    while now <= end:
        found = watch.look([sighting(beat)], now, interruptions)
        now += 5
    return bool(found)


def test_a_standing_beat_makes_an_orphan_after_the_grace() -> None:
    """The same beat for the whole grace is an orphan; a second less is not."""
    assert not watching(presence.Watch(30), 1, 0, 29)
    assert watching(presence.Watch(30), 1, 0, 30)


def test_a_moving_beat_is_alive() -> None:
    """Any change of the beat, or of the owner's generation, starts the count again."""
    watch = presence.Watch(30)
    assert not watching(watch, 1, 0, 25)
    assert not watching(watch, 2, 26, 51)
    assert watching(watch, 2, 52, 57)
    assert not watch.look([sighting(2, generation=2)], 60)


def test_an_outage_makes_nobody_stale() -> None:
    """After a lost connection every count starts again: a beat could not have arrived either."""
    watch = presence.Watch(30)
    assert not watching(watch, 1, 0, 25)
    assert not watching(watch, 1, 30, 55, interruptions=1)
    assert watching(watch, 1, 56, 61, interruptions=1)


def test_a_paused_observer_accuses_nobody() -> None:
    """An observer that was stopped itself has not had contact: it starts again."""
    watch = presence.Watch(30)
    assert not watching(watch, 1, 0, 10)
    assert not watch.look([sighting()], 1000)


def test_a_dead_process_of_this_host_is_an_orphan_at_once() -> None:
    """A pid that is gone, a zombie, or a pid given to another process: no grace is needed."""
    watch = presence.Watch(30)
    this = presence.Identity.this()
    assert not watch.look([sighting(worker=this)], 0)
    reused = dataclasses.replace(this, pid_started=this.pid_started - 100)
    assert watch.look([sighting(worker=reused)], 1)
    child = subprocess.Popen([sys.executable, "-c", ""])
    gone = dataclasses.replace(this, pid=child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert watch.look([sighting(worker=gone)], 2)  # a zombie: dead, and not yet waited for
    child.wait()
    assert watch.look([sighting(worker=gone)], 3)


def test_pids_of_other_hosts_say_nothing() -> None:
    """The same pid elsewhere is another process."""
    assert not presence.Watch(30).look([sighting(worker=dataclasses.replace(ELSEWHERE, pid=2**22 + 1))], 0)


def test_the_owner_s_own_grace_decides(opened: databases.Database, make_study: Make) -> None:
    """It travels with the claim: an observer with a shorter one waits as long as the owner may be silent."""
    study = make_study(trials=2)
    take(opened, study, GONE, presence.Watch(60))
    take(opened, study, GONE, presence.Watch(5))
    slow, quick = opened.read(lambda c: adoptions.running(c, study.study_id))
    assert (slow.grace_seconds, quick.grace_seconds) == (60, 5)
    watch = presence.Watch(6)
    found = {second: watch.look([slow, quick], second) for second in range(0, 61, 2)}
    assert found[4] == []
    assert found[6] == found[58] == [quick]
    assert found[60] == [slow, quick]


def test_a_process_that_lives_here_keeps_its_trials_longer() -> None:
    """It may hold the interpreter's lock, or be stopped: 20 graces, not one; then it counts as hung."""
    watch = presence.Watch(30)
    living = sighting(worker=presence.Identity.this())
    limit = 30 * presence.LIVING_GRACES
    assert not any(watch.look([living], now) for now in range(0, limit, 10))
    assert watch.look([living], limit) == [living]


def test_death_is_said_of_what_is_known_to_be_dead() -> None:
    """An orphan that was only silent is told apart from one whose process is gone."""
    watch, this = presence.Watch(30), presence.Identity.this()
    gone = sighting(worker=dataclasses.replace(this, pid_started=this.pid_started + 1))
    assert [orphan.is_dead for orphan in watch.look([gone], 0)] == [True]
    silent = [orphan for now in range(0, 31, 5) for orphan in watch.look([sighting()], now)]
    assert [orphan.is_dead for orphan in silent] == [False]


def test_what_another_tool_runs_is_never_an_orphan() -> None:
    """It has no owner of ours, and never beats."""
    watch = presence.Watch(30)
    foreign = presence.Sighting(7, "", 0, 0, presence.Identity("", "", 0, 0.0))
    assert not any(watch.look([foreign], now) for now in range(0, 600, 10))


STEP = """
import pathlib, subprocess, sys
sys.path.insert(0, sys.argv[1])
from search.ledger import presence
before, stat = presence.Identity.this(), pathlib.Path("/proc/stat")
copy = pathlib.Path(sys.argv[2])
for seconds in (3600, -3600):
    text = stat.read_text()
    old = next(line for line in text.splitlines() if line.startswith("btime"))
    copy.write_text(text.replace(old, f"btime {int(old.split()[1]) + seconds}"))
    subprocess.run(["mount", "--bind", str(copy), "/proc/stat"], check=True)
    import psutil
    psutil.boot_time()
    assert not before.is_dead(), seconds
    assert presence.Identity.this() == before, seconds
    subprocess.run(["umount", "/proc/stat"], check=True)
print("the same process")
"""


def test_a_step_of_the_clock_changes_no_process(tmp_path: pathlib.Path) -> None:
    """An hour either way, as a paused virtual machine takes it: the kernel's boot time moves, no process does."""
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        sys.executable,
        "-c",
        STEP,
        str(ROOT),
        str(tmp_path / "stat"),
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in found.stderr or "permission" in found.stderr.lower():
        pytest.skip(f"no mount namespace here: {found.stderr.strip()}")
    assert found.stdout.strip() == "the same process", found.stderr


def test_rare_looks_count_while_contact_goes_on() -> None:
    """What stood still between two looks far apart is an orphan; not after a lost connection or a pause."""
    for beats, interruptions, found in (
        (range(10, 300, 10), 0, True),
        (range(10, 300, 10), 1, False),
        ((10, 20, 280, 290), 0, False),
    ):
        watch = presence.Watch(30)
        watch.note([sighting()], 0)
        for now in beats:
            watch.keep(now, interruptions)
        assert bool(watch.look([sighting()], 300, interruptions)) is found
    watch.note([sighting()], 310, 0)
    watch.keep(320)
    assert not watch.look([sighting(2)], 330)


def test_the_lot_bounds_how_many_look() -> None:
    """All of a hundred look with each beat; of ten thousand a hundred or so."""
    assert all(presence.is_drawn(seen) for seen in (0, 1, presence.LOOKERS) for _ in range(500))
    assert 100 <= sum(presence.is_drawn(10_000) for _ in range(20_000)) <= 300


def test_many_who_look_seldom_find_an_orphan_nearly_as_soon() -> None:
    """2,000 workers of trials of 1,000 s: the first who is free and may takes it, at least a grace after its death."""
    chance = random.Random(1)
    watches = [presence.Watch(30) for _ in range(2_000)]
    phases = [chance.randrange(10) for _ in watches]
    for now in range(200):
        for watch, phase in zip(watches, phases, strict=True):
            if now % 10 == phase:
                watch.keep(now)
                if presence.is_drawn(len(watches)):
                    watch.note([sighting()], now)
        if any(watch.look([sighting()], now) for watch in chance.sample(watches, 2)):
            break
    assert 30 <= now <= 150
