"""The compiled CPU engine: its functions, its memory, and how soon it looks up."""

import hashlib
import math
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time

import numpy
import pytest
import torch
from conftest import ROOT

from models import data, engines
from models.engines import loops, pair_loops
from models.recipes import Recipe

GUARDED = '''
import ctypes, mmap, sys
import numpy
from models import data, engines
from models.engines import cpu, kernels
from models.recipes import Recipe

libc = ctypes.CDLL(None, use_errno=True)
PAGE = mmap.PAGESIZE
KEPT = []

def guarded(size, kind=numpy.float32, at_end=sys.argv[1] == "end"):
    """An array between two pages that may not be touched, against the one or the other."""
    size, item = int(size), numpy.dtype(kind).itemsize
    inside = -(-size * item // PAGE) * PAGE
    region = mmap.mmap(-1, inside + 2 * PAGE)
    base = ctypes.addressof(ctypes.c_char.from_buffer(region))
    for page in (base, base + PAGE + inside):
        assert libc.mprotect(ctypes.c_void_p(page), PAGE, 0) == 0
    KEPT.append(region)
    skip = PAGE + (inside - size * item if at_end else 0)
    return numpy.frombuffer(region, kind, size, skip)

if sys.argv[2:] == ["overrun"]:
    print(guarded(16)[0])
    ctypes.memset(guarded(16).ctypes.data + (64 if sys.argv[1] == "end" else -1), 0, 1)
cpu._buffer = guarded
def guarded_images(pixels, labels):
    copy = guarded(pixels.size, pixels.dtype).reshape(pixels.shape)
    copy[:] = pixels
    return cpu._Images(copy, labels)
cpu._images = guarded_images
plain = data.synthetic(train=101, test=20)
bytes_ = (plain.train_images * 255).round().astype(numpy.uint8)
for images in (plain.train_images, bytes_):
    small = data.Dataset("s", images, plain.train_labels, plain.test_images, plain.test_labels)
    shapes = ((0, None, None), (1, 1, "ReLU"), (2, 17, "Sigmoid"), (3, 129, "GELU"), (1, 272, "ReLU"))
    for depth, width, activation in shapes:
        for batch_size in (1, 2, 3, 4, 8, 9, 41, 100, 101, 500):
            for name in ("cpu", "cpu-bf16") if kernels.HAS_BF16 else ("cpu",):
                recipe = Recipe(0.01, batch_size, depth, width, activation, epochs=1)
                for epoch in engines.load(name).train(recipe, small):
                    epoch.state()
print("no page was touched")
'''


@pytest.mark.slow
@pytest.mark.parametrize("side", ["start", "end"])
def test_no_byte_outside_its_buffers_is_touched(tmp_path: pathlib.Path, side: str) -> None:
    """Every buffer lies against a page that kills whoever touches it: partial batches, odd sizes, bytes and floats."""
    script = tmp_path / "guarded.py"
    script.write_text(GUARDED)
    command = [sys.executable, str(script), side]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert "no page was touched" in done.stdout
    overrun = subprocess.run([*command, "overrun"], env=environment, capture_output=True, text=True, timeout=250)
    assert overrun.returncode < 0  # the guard is real


def alone(folder: pathlib.Path) -> dict[str, str]:
    """The environment of a process with a cache of its own: nobody else waits until it has compiled."""
    return {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "TMPDIR": str(folder)}


OTHER_TARGET = """
import re, sys
import numpy
from llvmlite import binding
from models import data, engines
from models.engines import kernels, loops
from models.recipes import Recipe

assert (kernels.TILE_ROWS, kernels.TILE_VECTORS) == (4, 1), "the tile of AVX-512 needs its 32 registers"
small = data.synthetic(train=101, test=20)
for batch_size in (1, 3, 41):
    recipe = Recipe(0.01, batch_size, 2, 40, "GELU", epochs=1)
    ours, theirs = (next(iter(engines.load(name).train(recipe, small))) for name in ("cpu", "reference"))
    numpy.testing.assert_allclose(ours.batch_losses, theirs.batch_losses, rtol=1e-5)
    for got, wanted in zip(ours.state().weights, theirs.state().weights, strict=True):
        numpy.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)
if sys.argv[1:] == ["arm64"]:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    (code,) = loops._multiply.inspect_llvm().values()
    code = re.sub(r"target (datalayout|triple) = .*", "", code)
    code = re.sub(r" #[0-9]+", "", re.sub(r"attributes #[0-9]+ = .*", "", code))
    triple = "aarch64-unknown-linux-gnu"
    machine = binding.Target.from_triple(triple).create_target_machine(cpu="neoverse-n1", opt=2)
    assembly = machine.emit_assembly(binding.parse_assembly(f'target triple = "{triple}"\\n' + code))
    assert assembly.count("fmla\\t") > 30, "no vector code"
print("right")
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the targets are those of x86-64")
@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2"}, []),
        ({"NUMBA_CPU_NAME": "generic"}, ["arm64"]),
    ],
    ids=["AVX2", "generic x86-64, and arm64 generated"],
)
def test_other_targets_choose_their_tile_and_stay_right(
    tmp_path: pathlib.Path, target: dict[str, str], arguments: list[str]
) -> None:
    """Without AVX-512 the tile is smaller and the training the same; for arm64 vector code comes out, not run here."""
    environment = {**alone(tmp_path), "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path), **target}
    command = [sys.executable, "-c", OTHER_TARGET, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    assert done.stdout == "right\n", done.stderr


TRAINS = """
import logging
logging.basicConfig(level=logging.INFO, format="%(message)s")
from models import data, engines
from models.engines import cpu, loops
from models.recipes import Recipe
cpu.ANNOUNCED_SECONDS = 2.0
next(iter(engines.load("cpu").train(Recipe(0.01, 3, 1, 8, "ReLU", epochs=1), data.synthetic(train=20, test=5))))
print(sum(loops.batches.stats.cache_hits.values()), sum(loops.batches.stats.cache_misses.values()))
"""

# one function of the many, in a second
ACTIVATES = """
import numpy
from models.engines import loops
vector = numpy.zeros(8, numpy.float32)
loops._activate(vector, loops.RELU, vector, 8)
print(sum(loops._activate.stats.cache_hits.values()), sum(loops._activate.stats.cache_misses.values()))
"""


@pytest.mark.slow
def test_the_cache_serves_until_the_source_changes(tmp_path: pathlib.Path) -> None:
    """The first process compiles and says so, the next finds it done; edited kernels are compiled anew."""
    shutil.copytree(ROOT / "models", tmp_path / "models", ignore=shutil.ignore_patterns("__pycache__"))

    def run(code: str) -> tuple[str, str]:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=alone(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=250)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip(), done.stderr

    answer, said = run(TRAINS)
    assert answer == "0 1"
    assert "event=compiling engine=cpu" in said
    assert "event=compiled engine=cpu" in said
    answer, said = run(TRAINS)
    assert answer == "1 0"
    assert "event=compiling" not in said
    assert run(ACTIVATES)[0] == "1 0"
    with (tmp_path / "models" / "engines" / "kernels.py").open("a") as source:
        source.write("# edited\n")
    assert run(ACTIVATES)[0] == "0 1"


def test_the_cache_is_of_these_kernels() -> None:
    """The lines in loops.py and pair_loops.py name the sources as they are: without them nothing is cached."""
    content = (ROOT / "models" / "engines" / "kernels.py").read_bytes()
    assert hashlib.sha256(content).hexdigest()[:16] == loops.KERNELS
    content += (ROOT / "models" / "engines" / "loops.py").read_bytes()
    assert hashlib.sha256(content).hexdigest()[:16] == pair_loops.SOURCES


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root to mount read-only")
def test_a_read_only_file_system_does_not_break_it(tmp_path: pathlib.Path) -> None:
    """Where nothing can be written, neither beside the source nor at home, it compiles for this process alone."""
    shutil.copytree(ROOT / "models", tmp_path / "models", ignore=shutil.ignore_patterns("__pycache__"))
    script = tmp_path / "train.py"
    script.write_text(TRAINS)
    mount = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro {tmp_path}"
    command = ["unshare", "--mount", "sh", "-c", f"{mount} && exec {sys.executable} -B {script}"]
    # nothing is cached, and so code that is not optimised serves as well
    environment = {**alone(tmp_path), "TMPDIR": str(tmp_path.parent), "HOME": str(tmp_path), "NUMBA_OPT": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("models/engines/__pycache__/*"))


@pytest.mark.parametrize("name", ["ReLU", "Sigmoid", "GELU"])
def test_activations_and_slopes(name: str) -> None:
    """Each agrees with float64 to float32's rounding, from denormals to what overflows; nan stays nan."""
    kind = {"ReLU": loops.RELU, "Sigmoid": loops.SIGMOID, "GELU": loops.GELU}[name]
    function = {"ReLU": torch.relu, "Sigmoid": torch.sigmoid, "GELU": torch.nn.functional.gelu}[name]
    z = numpy.concatenate(
        [numpy.linspace(-120, 120, 40_001), numpy.geomspace(1e-40, 1e30, 500), -numpy.geomspace(1e-40, 1e30, 500)]
    ).astype(numpy.float32)
    h, slope = z.copy(), numpy.empty_like(z)
    loops._activate(h, kind, slope, len(z))
    exact = torch.from_numpy(z).double().requires_grad_()
    values = function(exact)
    values.sum().backward()
    assert exact.grad is not None
    numpy.testing.assert_allclose(h, values.detach().numpy(), rtol=3e-6, atol=2e-7)
    wanted = exact.grad.numpy()
    chosen = z != 0
    numpy.testing.assert_allclose(slope[chosen], wanted[chosen], rtol=3e-6, atol=3e-7)
    odd = numpy.array([numpy.nan, numpy.inf, -numpy.inf], numpy.float32)
    h, slope = odd.copy(), numpy.empty_like(odd)
    loops._activate(h, kind, slope, 3)
    assert math.isnan(h[0])
    assert h[1] == (1 if name == "Sigmoid" else numpy.inf)
    assert h[2] == 0 or math.isnan(h[2])


@pytest.mark.parametrize("count", [1, 15, 16, 41])
def test_losses_of_many_have_the_bits_of_one_by_one(count: int) -> None:
    """Sixteen at once and the rest alone; infinite logits and those that are no number too."""
    drawn = numpy.random.default_rng(0)
    logits = numpy.zeros((64, 16), numpy.float32)
    logits[:, :10] = drawn.normal(0, 10, (64, 10)) * 10.0 ** drawn.integers(-3, 3, (64, 1))
    logits[3, 2], logits[5, 9], logits[7, 0] = numpy.inf, -numpy.inf, numpy.nan
    logits[:, 10:] = 7  # what padding holds counts for nothing
    labels, order = drawn.integers(0, 10, 100), drawn.permutation(100)
    share = numpy.float32(1 / count)
    expected, losses = numpy.full((64, 16), 9, numpy.float32), numpy.full(64, 9, numpy.float32)
    slopes, tile, each = expected.copy(), numpy.empty(18 * 16, numpy.float32), losses.copy()
    for place in range(count):
        label = labels[order[5 + place]]
        losses[place] = loops._loss_and_slopes(logits[place], label, 10, share, expected[place])
    loops._losses_and_slopes(logits.ravel(), labels, order, 5, count, 10, share, slopes.ravel(), tile, each)
    numpy.testing.assert_array_equal(each, losses)
    numpy.testing.assert_array_equal(slopes, expected)
    assert numpy.isnan(losses[:count]).sum() == (count > 3) + (count > 7)


def test_it_looks_up_often_enough(data_dir: pathlib.Path) -> None:
    """A long epoch asks whether to stop at least every half second, however dear a step is."""
    whole = data.fashion_mnist(data_dir)
    looks: list[float] = []

    def tick() -> None:
        looks.append(time.monotonic())
        if len(looks) > 14:
            raise KeyboardInterrupt

    recipe = Recipe(0.01, 128, 6, 512, "GELU", epochs=1)
    next(iter(engines.load("cpu").train(Recipe(0.01, 128, 0, epochs=1), whole)))  # compiled
    with pytest.raises(KeyboardInterrupt):
        next(iter(engines.load("cpu").train(recipe, whole, tick=tick)))
    assert numpy.median(numpy.diff(looks)) < 0.5


def test_it_trains_on_the_cpu_only() -> None:
    """Another device is refused with the reason."""
    from models import errors
    from models.engines import cpu

    with pytest.raises(errors.DeviceError, match="engine 'cpu' trains on the cpu only, got device 'cuda'"):
        cpu.Cpu("cuda")
