"""How a GPU's driver is called: the real cuda-bindings before a library that stands for the driver."""

import os
import pathlib
import shutil
import subprocess
import sys

import emulators
import pytest
from conftest import ROOT

from models.engines.cuda import devices

COMPILER = shutil.which("gcc") or shutil.which("cc")
CODE = """
import contextlib, types
import numpy
from cuda.bindings import driver
from models.engines.cuda import devices, layouts

class Table:  # what stands for a tensor on a device
    reshape = to = lambda self, *how: self
    data_ptr = lambda self: 0xabcdef0
    copy_ = lambda self, other: None

devices._code = lambda capability, precision: b"code\\0"
nothing = lambda *of: contextlib.nullcontext()
gpu = object.__new__(devices.Gpu)
gpu._torch = types.SimpleNamespace(from_numpy=lambda jobs: Table())
gpu._torch.cuda = types.SimpleNamespace(device=nothing, stream=nothing)
gpu._driver, gpu._device, gpu._stream = driver, None, types.SimpleNamespace(cuda_stream=0x5eed)
gpu._kernel = gpu._load((9, 0), "float32")
print("cooperates", gpu._can_cooperate(), flush=True)
for teams in ([1, 1, 1], [1, 2, 2], [2] * 10):
    jobs = numpy.zeros(len(teams), layouts.JOB)
    jobs["team"] = teams
    try:
        gpu.run(jobs)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
"""


@pytest.mark.skipif(
    COMPILER is None or emulators.COMPILER is None, reason="no C compiler on this machine, or not Linux"
)
def test_the_driver_is_called_as_its_header_says(tmp_path: pathlib.Path) -> None:
    """Plainly where no network has a team, cooperatively where one has; what is too large for that is an error."""
    pytest.importorskip("cuda.bindings.driver", reason="PyTorch without CUDA brings no cuda-bindings")
    source, built = pathlib.Path(__file__).parent / "driver.c", tmp_path / "libcuda.so.1"
    subprocess.run([str(COMPILER), "-shared", "-fPIC", source, "-o", built, "-ldl"], check=True)
    env = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    size = devices.SHARED_BYTES
    assert done.stdout.splitlines() == [
        "load code",
        "function train of 0x11",
        f"occupancy of 0x22 by 256 threads, {size} bytes",
        "attribute 95 of 3",  # CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH
        "cooperates True",
        f"plain launch of 0x22 in 3x1x1 of 256x1x1, {size} bytes, stream 0x5eed, jobs at 0xabcdef0",
        f"cooperative launch of 0x22 in 3x1x1 of 256x1x1, {size} bytes, stream 0x5eed, jobs at 0xabcdef0",
        "DeviceError CUDA error: CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE",
    ], done.stderr
