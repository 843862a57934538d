"""Whose turn it is: pure arithmetic over made-up seconds."""

import collections

from search.worker import shares
from search.worker.shares import Contender

SECONDS = {"long": 100.0, "short": 1.0, "late": 2.0}


def work(turns: shares.Shares, keys: list[str], seconds: float) -> collections.Counter[str]:
    """Has one worker serve these studies for so long; returns the seconds that each was given."""
    given: collections.Counter[str] = collections.Counter()
    while given.total() < seconds:
        key, *_ = turns.order(Contender(key) for key in keys)
        turns.choose(key)
        turns.spend(key, SECONDS[key])
        given[key] += SECONDS[key]  # type: ignore[assignment]
    return given


def test_each_study_has_an_equal_share_of_the_time() -> None:
    """Not of the trials: one whose trials are a hundred times as long gets a hundredth of them."""
    given = work(shares.Shares(), ["long", "short"], 2000)
    assert abs(given["long"] - given["short"]) <= SECONDS["long"]


def test_a_study_that_comes_later_owes_and_is_owed_nothing() -> None:
    """It has its turn at once, and from then on its share: neither all that others had before it, nor none."""
    turns = shares.Shares()
    work(turns, ["long", "short"], 1000)
    first, *_ = turns.order(Contender(key) for key in ("long", "short", "late"))
    assert first in ("late", "short")
    given = work(turns, ["long", "short", "late"], 3000)
    assert all(abs(seconds - 1000) <= 2 * SECONDS["long"] for seconds in given.values()), given


def test_a_study_that_was_idle_comes_back_level_with_the_others() -> None:
    """An hour without work is no claim to an hour of the others' time."""
    turns = shares.Shares()
    work(turns, ["short", "late"], 10)
    work(turns, ["late"], 1000)
    given = work(turns, ["short", "late"], 100)
    assert abs(given["short"] - given["late"]) <= 5, given


def test_the_study_with_the_fewest_workers_comes_first() -> None:
    """Whatever this worker has given it: a pool spreads over its studies."""
    turns = shares.Shares()
    turns.order([Contender("a"), Contender("b")])
    turns.choose("a")
    turns.spend("a", 1000)
    assert turns.order([Contender("a", running=1), Contender("b", running=2)]) == ["a", "b"]
    assert turns.order([Contender("a", running=1), Contender("b", running=1)]) == ["b", "a"]


def test_one_that_is_dear_to_begin_with_waits_until_it_lies_so_far_behind() -> None:
    """A worker does not open a study anew for each trial, and yet comes to it."""
    turns, chosen = shares.Shares(), []
    for _ in range(8):
        key, *_ = turns.order([Contender("open"), Contender("shut", handicap=5.0)])
        turns.choose(key)
        turns.spend(key, 1.0)
        chosen.append(key)
    assert chosen.index("shut") == 5, chosen


def test_what_is_gone_is_forgotten() -> None:
    """A worker that lives for months holds nothing of studies that were deleted."""
    turns = shares.Shares()
    work(turns, ["long", "short"], 200)
    turns.forget(["short"])
    assert turns._had.keys() == turns._turns.keys() == {"short"}
