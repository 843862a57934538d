"""What a core can do, as it is measured, and what follows for a step."""

import os
import pathlib

import pytest

from models import benchmark, data, limits, work

SIZES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
KNOWN = limits.Limits(117e9, {"L1": 201e9, "L2": 115e9, "L3": 95e9, "memory": 25e9}, SIZES)


def test_a_core_is_measured() -> None:
    """Every level has a figure, and a nearer one is not slower by more than the noise of a busy machine."""
    core = limits.Core()
    found = core.measure().fastest(core.measure())
    assert list(found.reads) == [*found.sizes, "memory"] == [*limits.cache_sizes(), "memory"]
    assert found.fma > 1e9
    assert min(found.reads.values()) > 1e8
    first, *_, last = found.reads.values()
    assert first > last
    again = core.measure()
    assert found.fastest(again).fma == max(found.fma, again.fma)


def test_the_measured_work_is_done() -> None:
    """No compiler has left out the sums: every float is added once, every chain has come to where x / 2 + 1 ends."""
    core = limits.Core({"L1": 4 * 4 * limits.BLOCK})
    out = limits._ones(limits.LANES * max(limits.CHAINS, limits.READ_CHAINS))
    held = core._buffers["L1"]
    limits._go_through(held, out, 3)
    read = out[: limits.LANES * limits.READ_CHAINS]
    assert float(read.sum()) == 3 * len(held) + len(read)
    limits._multiply(out, 2)
    assert set(out[: limits.LANES * limits.CHAINS]) == {2.0}


def test_what_holds_a_level_s_size_is_read(tmp_path: pathlib.Path) -> None:
    """Linux says it in K or M; caches of instructions are none of data."""
    for number, (level, kind, size) in enumerate([(1, "Data", "48K"), (1, "Instruction", "32K"), (2, "Unified", "2M")]):
        place = tmp_path / f"index{number}"
        place.mkdir()
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (place / name).write_text(f"{value}\n")
    assert limits._of_sys(tmp_path) == {"L1": 48 << 10, "L2": 2 << 20}
    (tmp_path / "index2" / "size").write_text("\n")
    assert limits._of_sys(tmp_path) == {}
    assert limits._of_sys(tmp_path / "no") == {}


def test_a_machine_that_says_nothing_is_measured_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Without /sys it is what glibc says, without that an assumption; a level no larger than the one before is none."""
    monkeypatch.setattr(limits, "FOUND", tmp_path)
    said = {188: 32 << 10, 194: 4 << 20, 197: 0}
    monkeypatch.setattr(os, "sysconf", said.__getitem__)
    monkeypatch.setattr(limits.sys, "platform", "linux")
    assert limits.cache_sizes() == {"L1": 32 << 10, "L2": 4 << 20}
    said[197] = 1 << 20
    assert limits.cache_sizes() == {"L1": 32 << 10, "L2": 4 << 20}
    monkeypatch.setattr(limits.sys, "platform", "darwin")
    assert limits.cache_sizes() == limits.ASSUMED


def test_each_level_is_gone_through_by_what_it_alone_holds() -> None:
    """More than the level before holds and no more than the level itself; of the memory more than any."""
    for sizes in (SIZES, limits.ASSUMED, {"L1": 64 << 10, "L2": 2 << 20, "L3": 3 << 20}, {"L1": 128 << 10}):
        gone = limits.buffers(sizes)
        before = 0
        for name, size in sizes.items():
            assert before < gone[name] <= size
            before = size
        assert before < gone["memory"] <= limits.LARGEST


@pytest.mark.parametrize(
    ("shape", "microseconds"),
    [((1, 3, 128), 4.7), ((1, 6, 512), 73), ((4, 3, 128), 21), ((64, 3, 128), 331), ((128, 0, None), 34)],
)
def test_the_limit_of_a_step_is_what_was_reckoned_by_hand(
    shape: tuple[int, int, int | None], microseconds: float
) -> None:
    """At batch size 1 the way of the weights that are needed, half of them; at others the products."""
    half = data.synthetic(train=1000, test=1)
    half.train_images[:, ::2] = 0
    needs = work.of_step(benchmark.recipe_of(*shape), half)
    assert 1e6 * KNOWN.seconds(needs.flops, needs.traffic) == pytest.approx(microseconds, rel=0.1)


def test_the_larger_of_both_counts() -> None:
    """Products, or the way of the bytes from the nearest level that holds them."""
    assert KNOWN.seconds(117e9, [(1, 1)]) == 1
    assert KNOWN.seconds(1, [(115e9, 1 << 20)]) == 1
    assert KNOWN.seconds(1, [(95e9, (1 << 20) + 1), (50e9, 1 << 30)]) == 3
