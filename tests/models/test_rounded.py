"""Products by tensor cores on an emulated device: their rounding, order and barriers; and what NVRTC makes of them."""

import ctypes
import pathlib
import re
import sys

import emulators
import numpy
import pytest
import torch
from cubins import needs_nvrtc, resources

from models import data, errors
from models.engines import cuda, rounded
from models.engines.cuda import compilers, devices
from models.recipes import Recipe

NARROW = ("tf32", "bf16")
SMALL = data.synthetic(train=130, test=20)
# tiles of 16, 64 and 128 rows, several tiles, no hidden layer
TILED = [
    Recipe(0.05, batch_size, depth, width, activation, epochs=1, seed=1)
    for batch_size, depth, width, activation in [
        (13, 2, 9, "ReLU"),
        (41, 2, 20, "Sigmoid"),
        (100, 1, 140, "GELU"),
        (500, 0, None, None),
    ]
]


def bits(trained: cuda.Cuda) -> list[bytes]:
    """All that comes of the recipes."""
    found = []
    for recipe in TILED:
        (epoch,) = trained.train(recipe, SMALL)
        found += [epoch.batch_losses.tobytes(), numpy.float64((epoch.loss, epoch.accuracy)).tobytes()]
        found += [weights.tobytes() for weights in epoch.state().weights]
    return found


@emulators.needed
@pytest.mark.parametrize("precision", NARROW)
def test_factors_are_rounded_as_the_measure_rounds_them(precision: str) -> None:
    """Device and yardstick round every kind of float32 alike: ties, the last before infinity, subnormals, nan."""
    generator = numpy.random.default_rng(0)
    patterns = generator.integers(0, 2**32, 20_000, dtype=numpy.uint32)
    patterns[:8_000] = patterns[:8_000] & 0xFFFFF000 | (1 << 12)  # ties of TF32
    patterns[8_000:16_000] = patterns[8_000:16_000] & 0xFFFF8000  # ties of bf16 and exact ones
    odd = [numpy.inf, -numpy.inf, numpy.nan, 0.0, -0.0, 1.0, 3.4028235e38, -3.4028235e38, 1e-40]
    values = numpy.concatenate([patterns.view(numpy.float32), numpy.array(odd, numpy.float32)])
    wanted = rounded.ROUNDINGS[precision](torch.from_numpy(values.copy())).numpy()
    found = values.copy()
    emulators.library(*compilers.defined(precision)).round_factors(ctypes.c_void_p(found.ctypes.data), len(found))
    numpy.testing.assert_array_equal(found, wanted)
    with numpy.errstate(all="ignore"):
        normal = numpy.isfinite(wanted) & (numpy.abs(values) > 1.2e-38)
        off = numpy.abs(found[normal] - values[normal]) / numpy.abs(values[normal])
    assert off.max() == pytest.approx({"tf32": 2.0**-11, "bf16": 2.0**-8}[precision], rel=0.02)


@emulators.needed
@pytest.mark.parametrize("precision", NARROW)
@pytest.mark.parametrize("recipe", TILED, ids=str)
def test_products_are_those_of_plain_pytorch_that_rounds(recipe: Recipe, precision: str) -> None:
    """Losses and weights are those of the loop that rounds on the CPU, up to the rounding of float32.

    Each factor is rounded, forward and backward, and nothing else. What the loop says of accuracy holds for the engine.
    """
    sides = (emulators.engine(precision), rounded.Rounded(precision), emulators.engine())
    ours, theirs, in_float32 = (next(iter(each.train(recipe, SMALL))) for each in sides)
    off, rounding = (numpy.median(numpy.abs(ours.batch_losses - each.batch_losses)) for each in (theirs, in_float32))
    assert off < min(1e-6, rounding / 4)
    numpy.testing.assert_allclose(ours.batch_losses, theirs.batch_losses, rtol=5e-5)  # where one factor fell elsewhere
    for got, wanted in zip(ours.state().weights, theirs.state().weights, strict=True):
        numpy.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5)


@emulators.needed
def test_few_samples_have_the_bits_of_float32() -> None:
    """Up to eight samples nothing is rounded: losses and weights are the float32 engine's, bit for bit."""
    for recipe in (Recipe(0.05, 1, 2, 17, "GELU", epochs=1), Recipe(0.05, 8, 1, 130, "ReLU", epochs=1)):
        one, two = (next(iter(emulators.engine(each).train(recipe, SMALL))) for each in ("float32", "bf16"))
        assert one.batch_losses.tobytes() == two.batch_losses.tobytes()
        for mine, other in zip(one.state().weights, two.state().weights, strict=True):
            assert mine.tobytes() == other.tobytes()


@pytest.fixture(scope="module")
def expected() -> dict[str, list[bytes]]:
    return {precision: bits(emulators.engine(precision)) for precision in NARROW}


@emulators.needed
@pytest.mark.parametrize("precision", NARROW)
def test_no_order_of_threads_changes_a_bit(expected: dict[str, list[bytes]], precision: str) -> None:
    """Warps and lanes backwards, and shuffled with blocks ahead; alone and by a team."""
    assert bits(emulators.engine(precision, how=emulators.REVERSE)) == expected[precision]
    assert bits(emulators.engine(precision, how=emulators.SHUFFLED, ahead=True)) == expected[precision]
    assert bits(emulators.engine(precision, how=emulators.SHUFFLED, ahead=True, team=3)) == expected[precision]


@emulators.needed
@pytest.mark.parametrize("barrier", [4, 5])  # those of tensor_cores.cuh; the others: test_cuda.py
def test_a_barrier_that_is_left_out_is_noticed(expected: dict[str, list[bytes]], barrier: int) -> None:
    """Without either of them some order of threads gives other bits, or threads part."""

    def goes_unnoticed(how: int) -> bool:
        try:
            return bits(emulators.engine("bf16", how=how, dropped=barrier)) == expected["bf16"]
        except errors.DeviceFault:  # threads of a block wait at different barriers
            return False

    assert not all(map(goes_unnoticed, (emulators.FORWARD, emulators.REVERSE)))


@emulators.needed
def test_its_barriers_are_the_fifth_and_sixth() -> None:
    """The test above drops them both, and no others: before them are three of a team, and where tiles begin."""
    text = re.sub("//.*", "", (compilers.FOLDER / "tensor_cores.cuh").read_text())
    assert re.findall(r"__syncthreads\(\)|meet\(team\)", text) == ["meet(team)", *["__syncthreads()"] * 2]
    assert (compilers.FOLDER / "teams.cuh").read_text().count("__syncthreads()") == 3
    products = (compilers.FOLDER / "products.cuh").read_text()
    assert "__syncthreads()" not in re.sub("//.*", "", products[: products.index("tensor_cores.cuh")])


def test_the_words_fit_into_shared_memory() -> None:
    """Both tiles with their gaps, which keep the pairs that half a warp reads at once in banks of their own."""
    values = dict(re.findall(r"#define (\w+) (\d+)", (compilers.FOLDER / "tensor_cores.cuh").read_text()))
    words, gap = int(values["WORDS"]), int(values["GAP"])
    assert 4 * words * 2 * (128 + gap) <= devices.SHARED_BYTES - 16
    for high in (16, 64, 128):
        for half in (range(16), range(16, 32)):
            at = [lane % 4 * (high + gap) + 2 * (lane // 4) + word for lane in half for word in (0, 1)]
            assert len({each % 32 for each in at}) == 32


EVERY = [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)]
# every kind of device once; the two differ in one instruction
KINDS = [
    pytest.param(each, NARROW[number % 2], marks=pytest.mark.slow, id="sm_{}{}".format(*each))
    for number, each in enumerate(EVERY)
]


@needs_nvrtc
@pytest.mark.parametrize(("capability", "precision"), KINDS)
def test_nvrtc_compiles_without_spills(
    capability: tuple[int, int], precision: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For every kind of device with such tensor cores: at most 255 registers a thread, and no stack."""
    used = resources(capability, precision, tmp_path)
    with capsys.disabled():
        sys.stdout.write(f" {precision}: {used}\n")
    assert int(used["REG"]) <= 255
    assert (int(used["STACK"]), int(used["LOCAL"])) == (0, 0)
    assert int(used["SHARED"]) + devices.SHARED_BYTES <= 48 * 1024


@needs_nvrtc
def test_older_devices_are_refused() -> None:
    """What has no such tensor cores says so in one line, before anything is compiled."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="PyTorch without CUDA brings no NVRTC")
    with pytest.raises(errors.DeviceError, match="^products in bf16 need a GPU of sm_80 or later, this one is sm_75$"):
        compilers.compiled((7, 5), "bf16")


def test_it_trains_on_cuda_only() -> None:
    """Another device is refused by the name that was asked for."""
    with pytest.raises(errors.DeviceError, match="engine 'cuda-tf32' trains on CUDA devices only, got device 'cpu'"):
        cuda.Tf32("cpu")


def test_each_precision_has_kernels_of_its_own() -> None:
    """What is remembered of one is not taken for the other's: checksums, and with them identities, differ."""
    assert len({compilers.checksum(each) for each in ("float32", *NARROW)}) == 3
