import dataclasses
import os
import subprocess
import sys

from search.ledger import presence

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
