"""The GPU engine on an emulated device: barriers, neighbours, launches, cancellation, faults; and what NVRTC makes."""

import dataclasses
import gc
import itertools
import pathlib
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import emulators
import numpy
import pytest
from conftest import ROOT
from cubins import needs_nvrtc, resources

from models import data, errors
from models.engines import cuda
from models.engines.cuda import compilers, devices, launches, layouts
from models.recipes import Recipe

SMALL = data.synthetic(train=130, test=20)
# every path of the kernels: one sample, few, tiles of one, four and eight rows a thread, several tiles, no hidden layer
PATHS = [
    Recipe(0.05, batch_size, depth, width, activation, epochs=1, seed=1)
    for batch_size, depth, width, activation in [
        (1, 2, 17, "GELU"),
        (5, 2, 130, "GELU"),
        (13, 2, 9, "ReLU"),
        (41, 2, 20, "Sigmoid"),
        (100, 1, 140, "ReLU"),
        (500, 0, None, None),
    ]
]
LONG = Recipe(0.05, 1, 2, 40, "GELU", epochs=50)


def bits(trained: cuda.Cuda, recipes: list[Recipe]) -> list[list[bytes]]:
    return [list(of_one(trained, recipe)) for recipe in recipes]


def of_one(trained: cuda.Cuda, recipe: Recipe) -> Iterator[bytes]:
    for epoch in trained.train(recipe, SMALL):
        yield epoch.batch_losses.tobytes()
        yield numpy.float64((epoch.loss, epoch.accuracy)).tobytes()
        yield from (weights.tobytes() for weights in epoch.state().weights)


ORDERS = (emulators.FORWARD, emulators.REVERSE, emulators.SHUFFLED)


@pytest.fixture(scope="module")
def expected() -> list[list[bytes]]:
    return bits(emulators.engine(), PATHS)


@emulators.needed
@pytest.mark.parametrize("ahead", [False, True], ids=["together", "one ahead"])
@pytest.mark.parametrize("how", ORDERS)
def test_no_order_of_threads_changes_a_bit(expected: list[list[bytes]], how: int, ahead: bool) -> None:
    """Threads forwards, backwards and shuffled anew at every barrier: what races would come to other bits."""
    for seed in range(2 if how == emulators.SHUFFLED else 1):
        assert bits(emulators.engine(how=how, ahead=ahead, seed=seed), PATHS) == expected


@emulators.needed
@pytest.mark.parametrize(("team", "how", "ahead"), [*zip((2, 3, 4), ORDERS, (False, True, True), strict=True)])
def test_no_team_changes_a_bit(expected: list[list[bytes]], team: int, how: int, ahead: bool) -> None:
    """However many blocks share a network, whichever of them is ahead, wherever launches end: the bits of one block."""
    together = emulators.engine(team=team, how=how, ahead=ahead)
    together.gpu.nanoseconds = 50_000_001
    assert bits(together, PATHS) == expected
    assert set(together.gpu.launches) == {team}


def barriers() -> list[str]:
    """The file of each, in the order of the numbers that the emulator gives, and `meet` where a whole team waits."""
    found = []
    for name in ("teams.cuh", "products.cuh", "kernels.cu"):
        code = re.sub("//.*", "", (compilers.FOLDER / name).read_text())
        found += [f"{name} {each}" for each in re.findall(r"__syncthreads\(\)|\bmeet\(team\)", code)]
    return found


@emulators.needed
def test_every_barrier_is_numbered() -> None:
    """The tests below drop each barrier of the source."""
    names = [name for name in compilers.SOURCES if name != "tensor_cores.cuh"]  # of which test_rounded.py is
    everywhere = "".join(re.sub("//.*", "", (compilers.FOLDER / name).read_text()) for name in names)
    assert emulators.library().barriers() == len(barriers())
    assert len(barriers()) == everywhere.count("__syncthreads()") + everywhere.count("meet(team)")


def goes_unnoticed(expected: list[list[bytes]], team: int, how: int, ahead: bool, barrier: int) -> bool:
    faulty = emulators.engine(team=team, how=how, ahead=ahead, dropped=barrier)
    faulty.gpu.nanoseconds = 50_000_000  # several launches an epoch
    try:
        return all(bits(faulty, [recipe]) == [wanted] for recipe, wanted in zip(PATHS, expected, strict=True))
    except errors.DeviceFault:  # threads of a block wait at different barriers
        return False


ALONE = [pytest.param(number, id=name) for number, name in enumerate(barriers()) if number not in (1, 2, 3, 6)]
OF_TEAMS = [
    pytest.param(number, id=name) for number, name in enumerate(barriers()) if number in (1, 2) or "meet" in name
]


@emulators.needed
@pytest.mark.parametrize("barrier", ALONE)
def test_a_barrier_that_is_left_out_is_noticed(expected: list[list[bytes]], barrier: int) -> None:
    """Without any one of them some order of threads gives other bits, or threads part."""
    assert not all(goes_unnoticed(expected, 1, how, False, barrier) for how in ORDERS)


@emulators.needed
@pytest.mark.parametrize("barrier", OF_TEAMS)
def test_a_barrier_of_a_team_that_is_left_out_is_noticed(expected: list[list[bytes]], barrier: int) -> None:
    """The same of every place where the blocks of a team wait for one another, and of both barriers in that."""
    assert not all(goes_unnoticed(expected, 3, how, True, barrier) for how in ORDERS)


@emulators.needed
def test_a_team_that_is_not_whole_is_noticed() -> None:
    """Blocks that wait for one that never comes hang no test: it is an error, as on a device after a minute."""
    alone = emulators.engine(team=2)
    run = alone.gpu.run
    alone.gpu.run = lambda jobs: run(jobs[:1])
    with pytest.raises(errors.DeviceFault, match="the blocks of a team wait for ever"):
        bits(alone, PATHS[:1])


@emulators.needed
def test_no_neighbour_and_no_launch_changes_a_bit(expected: list[list[bytes]]) -> None:
    """Networks of six shapes, alone and in teams, in launches that end anywhere, come to the bits they have alone."""
    for nanoseconds, how in itertools.product((30_000_000, 250_000_001), (emulators.REVERSE, emulators.SHUFFLED)):
        together = emulators.engine(how=how)
        together.gpu.nanoseconds, together.gpu.blocks = nanoseconds, 8
        found = in_threads([together.in_teams(team) for team in (1, 3, 2, 1, 4, 1)], PATHS)
        assert max(together.gpu.launches) > 4, "they were never together"
        assert found == expected


def in_threads(trained: list[cuda.Cuda], recipes: list[Recipe]) -> list[list[bytes]]:
    """Each in a thread of its own, begun together."""
    found: list[list[bytes]] = [[] for _ in recipes]
    trained[0].prepare(SMALL)
    ready = threading.Barrier(len(recipes))

    def train(number: int) -> None:
        ready.wait()
        found[number] = list(of_one(trained[number], recipes[number]))

    threads = [threading.Thread(target=train, args=(number,)) for number in range(len(recipes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@emulators.needed
def test_bytes_give_the_bits_of_floats(expected: list[list[bytes]]) -> None:
    """Images of bytes are divided as `ToTensor` does."""
    whole = (
        (SMALL.train_images * 255).round().astype(numpy.uint8),
        (SMALL.test_images * 255).round().astype(numpy.uint8),
    )
    as_bytes = dataclasses.replace(SMALL, train_images=whole[0], test_images=whole[1])
    as_floats = dataclasses.replace(SMALL, train_images=data.pixels(whole[0]), test_images=data.pixels(whole[1]))
    for recipe in (PATHS[0], PATHS[3]):
        one, two = (next(iter(emulators.engine().train(recipe, images))) for images in (as_bytes, as_floats))
        assert one.batch_losses.tobytes() == two.batch_losses.tobytes()
        assert (one.loss, one.accuracy) == (two.loss, two.accuracy)


class Stop(Exception):
    pass


@emulators.needed
def test_it_looks_up_often_enough_and_lets_go() -> None:
    """While a launch is under way `tick` is called all the time; what it raises ends this training, and no other."""
    slow = emulators.engine()
    slow.gpu.nanoseconds = 100  # a launch is a whole epoch
    looks: list[float] = []

    def tick() -> None:
        looks.append(time.monotonic())
        if len(looks) > 30:
            raise Stop

    beside = threading.Thread(target=lambda: list(of_one(slow, PATHS[1])))
    beside.start()
    with pytest.raises(Stop):
        list(slow.train(LONG, SMALL, tick=tick))
    beside.join(60)
    assert not beside.is_alive()
    assert numpy.median(numpy.diff(looks)) < 0.5
    assert bits(slow, PATHS[:1]) == bits(emulators.engine(), PATHS[:1])


class Counting(emulators.Emulated):
    """A device that says how much of its memory is in use, and whether a launch is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.used: set[int] = set()
        self.in_launch = threading.Event()

    def allocate(self, size: int) -> devices.Memory:
        """See `devices.Device.allocate`."""
        memory = super().allocate(size)
        self.used.add(memory.address)
        weakref.finalize(memory, self.used.discard, memory.address)
        return memory

    def run(self, jobs: numpy.ndarray) -> None:
        """See `devices.Device.run`."""
        self.in_launch.set()
        super().run(jobs)
        assert {int(job[name]) for job in jobs for name in ("weights", "work", "losses", "found")} <= self.used


@emulators.needed
def test_memory_lives_until_no_launch_can_touch_it() -> None:
    """A training that is left in the middle of a launch keeps its memory until the launch ends, and no longer."""
    device = Counting()
    left = cuda.Cuda("emulated", device)
    left.prepare(SMALL)
    images = set(device.used)

    def tick() -> None:
        if device.in_launch.is_set():
            raise Stop

    with pytest.raises(Stop):
        list(left.train(LONG, SMALL, tick=tick))
    assert len(list(left.train(PATHS[3], SMALL))) == 1
    until = time.monotonic() + 5
    while device.used != images and time.monotonic() < until:
        time.sleep(0.01)
        gc.collect()
    assert device.used == images


class Failing(emulators.Emulated):
    """A device whose second launch fails, once."""

    def run(self, jobs: numpy.ndarray) -> None:
        """See `devices.Device.run`."""
        super().run(jobs)
        if len(self.launches) == 2:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")


@emulators.needed
def test_a_fault_of_the_device_is_every_training_s_and_said() -> None:
    """Each training of the launch ends with the device's own words; the next one is tried anew."""
    failing = cuda.Cuda("emulated", Failing())
    recipe = dataclasses.replace(PATHS[3], epochs=4)
    with pytest.raises(errors.DeviceFault, match="emulated failed: CUDA error: an illegal memory access"):
        list(failing.train(recipe, SMALL))
    assert len(list(failing.train(recipe, SMALL))) == 4


@emulators.needed
def test_the_thread_of_launches_ends_and_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing to do it ends; the next training starts another."""
    monkeypatch.setattr(launches, "IDLE_SECONDS", 0.05)
    trained = emulators.engine()
    for _ in range(2):
        assert bits(trained, PATHS[3:4])
        until = time.monotonic() + 5
        while trained._launches._thread is not None and time.monotonic() < until:
            time.sleep(0.01)
        assert trained._launches._thread is None


@emulators.needed
def test_odd_shapes_agree_with_the_reference() -> None:
    """Widths of one and of hundreds, every kind of batch, a batch larger than the images."""
    from models.engines import reference

    autograd = reference.Reference()
    tiny = data.synthetic(train=11, test=3)
    for width, batch_size in itertools.product((1, 4, 5, 129, 260), (1, 2, 8, 9, 12)):
        recipe = Recipe(0.01, batch_size, 2, width, "GELU", epochs=1)
        ours, theirs = (next(iter(each.train(recipe, tiny))) for each in (emulators.engine(), autograd))
        numpy.testing.assert_allclose(ours.batch_losses, theirs.batch_losses, rtol=1e-5)
        for got, wanted in zip(ours.state().weights, theirs.state().weights, strict=True):
            numpy.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


def test_packed_weights_are_what_they_were() -> None:
    """Packing and unpacking changes no bit, whatever the width."""
    from models import weights

    for width in (1, 3, 4, 17, 128):
        recipe = Recipe(0.1, 8, 3, width, "ReLU")
        layout = layouts.Layout(recipe, 100)
        start = weights.initial(recipe)
        packed = layout.pack(start)
        assert packed.shape == (layout.floats,)
        for got, wanted in zip(layout.unpack(packed), start, strict=True):
            assert got.shape == wanted.shape
            assert got.tobytes() == wanted.tobytes()


@emulators.needed
def test_the_need_is_not_understated() -> None:
    """What is allocated on the device for a training fits into its footprint, which grows with the network."""
    for recipe in (*PATHS, Recipe(0.1, 128, 6, 512, "ReLU")):
        layout = layouts.Layout(recipe, 60_000)
        assert 4 * (layout.floats + layout.work) < emulators.engine().footprint(recipe) < 64e6


GUARD = """
import ctypes, sys
sys.path[:0] = ["tests"]
import emulators
memory = emulators.Emulated().allocate(64)
ctypes.memset(memory.address + 63, 0, 1)
print("inside", flush=True)
ctypes.memset(memory.address + 64, 0, 1)
"""


@emulators.needed
def test_what_lies_behind_its_memory_may_not_be_touched() -> None:
    """The emulated device's guard is real: every test above has run against it."""
    done = subprocess.run([sys.executable, "-c", GUARD], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode < 0) == ("inside\n", True), done.stderr


CAPABILITIES = [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)]
SLOW = [pytest.param(each, marks=pytest.mark.slow) for each in CAPABILITIES[:-1]]  # seconds each


@needs_nvrtc
@pytest.mark.parametrize("capability", [*SLOW, CAPABILITIES[-1]], ids="sm_{0[0]}{0[1]}".format)
def test_nvrtc_compiles_without_spills(
    capability: tuple[int, int], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For every kind of device: at most 255 registers a thread, no stack, and no more shared memory than any has."""
    used = resources(capability, "float32", tmp_path)
    with capsys.disabled():
        sys.stdout.write(f" {used}, and {devices.SHARED_BYTES} bytes of shared memory in a launch\n")
    assert int(used["REG"]) <= 255
    assert (int(used["STACK"]), int(used["LOCAL"])) == (0, 0)
    assert int(used["SHARED"]) + devices.SHARED_BYTES <= 48 * 1024


@needs_nvrtc
def test_a_device_that_nvrtc_does_not_know_is_said() -> None:
    """An architecture too old or too new is one line."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="PyTorch without CUDA brings no NVRTC")
    with pytest.raises(errors.DeviceError, match="NVRTC does not compile for -arch=sm_35: .*"):
        compilers.compiled((3, 5))


def test_without_cuda_bindings_it_says_what_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch for the CPU alone has none."""
    for name in ("cuda", "cuda.bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        errors.DeviceError, match="engine 'cuda' needs cuda-bindings, which PyTorch's CUDA wheels bring"
    ):
        cuda.Cuda("cuda")


def test_it_trains_on_cuda_only() -> None:
    """Another device is refused with the reason."""
    with pytest.raises(errors.DeviceError, match="engine 'cuda' trains on CUDA devices only, got device 'cpu'"):
        cuda.Cuda("cpu")


@emulators.needed
def test_the_shared_memory_is_what_the_kernels_use() -> None:
    """What a launch asks for is what the source names."""
    source = (compilers.FOLDER / "products.cuh").read_text()
    values = dict(re.findall(r"#define (\w+) (\d+)", source))
    floats = int(values["THREADS"]) // 32 * int(values["FEW"]) * int(values["SPAN"])
    assert int(values["THREADS"]) == devices.THREADS
    assert 4 * (floats + 4) == devices.SHARED_BYTES
