"""What a GPU can do at most, by the properties of the device: float32 multiplications, and bytes of its memory."""

import dataclasses
import itertools
from typing import Any

from models.recipes import Recipe

LANES = {(7, 5): 64, (8, 0): 64}  # float32 units of a multiprocessor; every later one has 128
BYTES = 4


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of one device.

    Attributes:
        flops: a second; a fused multiplication and addition counts as two.
        memory: bytes a second, between the chip and its memory.
        cache: bytes that the chip keeps, which its memory need not give again.
    """

    flops: float
    memory: float
    cache: float

    def step_seconds(self, recipe: Recipe, together: int = 1) -> float:
        """What a step of a recipe takes at least, of each of so many networks that train at once.

        The sums are those of its products of matrices. Weights are read forwards and backwards and written once, from
        memory where those of all networks are more than the cache holds; images come as bytes.
        """
        weights = sum(a * b for a, b in itertools.pairwise(recipe.layer_sizes)) * BYTES
        traffic = recipe.batch_size * recipe.layer_sizes[0] + (3 * weights if together * weights > self.cache else 0)
        return max(step_flops(recipe) / self.flops, traffic / self.memory)


def step_flops(recipe: Recipe) -> float:
    """Products of a step: forward, gradients of the weights, and slopes of every layer but the first."""
    each = [a * b for a, b in itertools.pairwise(recipe.layer_sizes)]
    return 2.0 * recipe.batch_size * (2 * sum(each) + sum(each[1:]))


def of(device: str) -> Limits | None:
    """Those of a CUDA device, at its highest clock; None for any other, and where it does not say."""
    if not device.startswith("cuda"):
        return None
    import torch
    from cuda.bindings import driver

    torch.zeros(1, device=device)  # the driver's calls need its start
    properties, name = torch.cuda.get_device_properties(device), driver.CUdevice_attribute

    def ask(attribute: Any) -> int:
        answer = driver.cuDeviceGetAttribute(attribute, torch.device(device).index or 0)
        if int(answer[0]):
            raise OSError(f"the driver does not say {attribute}: {answer[0]}")
        return int(answer[1])

    lanes = LANES.get((properties.major, properties.minor), 128) * properties.multi_processor_count
    bits = ask(name.CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)
    # clocks are in kHz; memory of GPUs gives twice a tick
    flops = 2.0 * lanes * 1e3 * ask(name.CU_DEVICE_ATTRIBUTE_CLOCK_RATE)
    memory = 2.0 * bits / 8 * 1e3 * ask(name.CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)
    if not flops or not memory:  # virtual GPUs, and those that share the machine's memory, do not say
        return None
    return Limits(flops, memory, cache=float(ask(name.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)))
