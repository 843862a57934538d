"""What the last bits of a training depend on beside its recipe: engine, device, target, versions, data."""

import functools
import hashlib
import pathlib
import platform

import numba
from llvmlite import binding

from models import backends
from models.data import Dataset, pixels
from models.engine import Engine
from models.engines import kernels
from models.engines.cuda import compilers

ROWS = 1_000  # of float32 pixels at once


def of(engine: Engine, data: Dataset) -> dict[str, str]:
    """Where two trainings of one recipe agree in all of this, they agree to the last bit."""
    found = {"engine": engine.name, "device": engine.device, "data": checksum(data)}
    if engine.name != "cpu":  # whose numbers do not come from torch
        import torch

        found["torch"] = str(torch.__version__)
        if engine.name.startswith("cuda"):
            found["kernels"] = compilers.checksum(backends.of(engine).precision)
        if engine.device != "cpu":
            return {**found, "target": torch.cuda.get_device_name(engine.device), "cuda": str(torch.version.cuda)}
    found["target"] = f"{platform.machine()} {binding.get_host_cpu_name()}"
    if engine.name == "cpu":
        tile = f"{kernels.TILE_ROWS} x {kernels.TILE_VECTORS * kernels.LANES}"
        found |= {"tile": tile, "loops": _loops(), "numba": numba.__version__}
    return found


def checksum(data: Dataset) -> str:
    """SHA-256 of images and labels, in the order they are trained on and evaluated; its first 16 digits."""
    return data.checksum or compute(data)


def compute(data: Dataset) -> str:
    """The same, of the content that is there."""
    digest = hashlib.sha256()
    for images, labels in ((data.train_images, data.train_labels), (data.test_images, data.test_labels)):
        for first in range(0, len(images), ROWS):
            digest.update(pixels(images[first : first + ROWS]).data)
        digest.update(labels.data)
    return digest.hexdigest()[:16]


@functools.cache
def _loops() -> str:
    """Which version of the compiled loops."""
    from models.engines import loops

    files = (kernels.__file__, loops.__file__)
    return hashlib.sha256(b"".join(pathlib.Path(str(file)).read_bytes() for file in files)).hexdigest()[:16]
