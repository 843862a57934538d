"""When a training has taken too long, by its own clock."""

from search.study import sections
from search.worker import timeouts


def test_each_limit_has_its_reason() -> None:
    """An epoch, the whole and silence; a report ends an epoch and a silence, a print a silence only."""
    clock = [0.0]
    limits = sections.Trial(max_seconds=100, silent_seconds=5)
    found = timeouts.Timeouts(8, limits, lambda: clock[0])
    clock[0] = 4.0
    assert found.passed(4.0) is None
    found.heard()
    clock[0] = 8.5
    assert str(found.passed(8.5)) == "epoch 1 took longer than budget.epoch_seconds = 8"
    found.begin(2)
    assert found.passed(8.5) is None
    clock[0] = 14.0
    silent = found.passed(14.0)
    assert str(silent) == "it neither reported nor printed anything for trial.silent_seconds = 5"
    found.heard()
    assert found.passed(14.0) is None
    assert str(found.passed(100.5)) == "it took longer than trial.max_seconds = 100"
    assert timeouts.Timeouts(None, sections.TRIAL, lambda: 1e9).passed(1e9) is None


def test_a_wait_is_taken_off_by_the_clock_of_the_epoch() -> None:
    """On a quarter of a GPU, an answer a second that takes half of it: the epoch still ends in its time."""
    wall = [0.0]
    found = timeouts.Timeouts(2, sections.TRIAL, lambda: wall[0] / 4, lambda: wall[0])
    passed = []
    for _ in range(20):
        wall[0] += 0.5
        with found.answering():
            wall[0] += 0.5
        passed.append(found.passed(wall[0] / 4))
    trained = [0.125 * (count + 1) for count in range(20)]
    assert [error is not None for error in passed] == [seconds > 2 for seconds in trained]
    assert str(passed[-1]) == "epoch 1 took longer than budget.epoch_seconds = 2"
