"""What the kernels of the cuda engine use of a device, as NVRTC compiles them and cuobjdump reads that."""

import pathlib
import re
import subprocess
import sys

import pytest

from models.engines.cuda import compilers

needs_nvrtc = pytest.mark.skipif(sys.platform != "linux", reason="PyTorch's wheels bring NVRTC on Linux")


def resources(capability: tuple[int, int], precision: str, folder: pathlib.Path) -> dict[str, str]:
    """Of a compute capability: registers of a thread (REG), stack and spills (STACK, LOCAL), shared memory (SHARED)."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="PyTorch without CUDA brings no NVRTC")
    triton = pytest.importorskip("triton", reason="PyTorch without CUDA brings no cuobjdump")
    path = folder / "kernels.cubin"
    path.write_bytes(compilers.compiled(capability, precision))
    cuobjdump = pathlib.Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    said = subprocess.run([cuobjdump, "-res-usage", path], capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"(REG|STACK|SHARED|LOCAL):(\d+)", said[said.index("Function train") :]))
