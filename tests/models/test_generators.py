"""PyTorch's random numbers without PyTorch."""

import numpy
import pytest
import torch

from models.generators import Generator

SEEDS = [0, 1, 7, 2**31, 2**32 - 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_numbers_are_pytorchs(seed: int) -> None:
    """One after the other from one generator, to the last bit: floats, whole numbers and shuffles of any length."""
    ours, theirs = Generator(seed), torch.Generator().manual_seed(seed)
    for n in (0, 1, 2, 13, 1_000, 60_000, 2**16 + 1):
        for low, high in ((0.0, 1.0), (-1 / 28, 1 / 28), (-0.1767766952966369, 0.1767766952966369)):
            wanted = torch.empty(n).uniform_(low, high, generator=theirs).numpy()
            assert ours.uniform(n, low, high).tobytes() == wanted.tobytes()
        assert numpy.array_equal(ours.integers(10, n), torch.randint(10, (n,), generator=theirs).numpy())
        assert numpy.array_equal(ours.permutation(n), torch.randperm(n, generator=theirs).numpy())


def test_32_bits_of_the_seed_count() -> None:
    """As with PyTorch: a larger one gives what its lower half gives."""
    wanted = torch.empty(5).uniform_(generator=torch.Generator().manual_seed(2**32 + 3)).numpy()
    assert Generator(2**32 + 3).uniform(5).tobytes() == wanted.tobytes()


def test_nobodys_random_numbers_are_disturbed() -> None:
    """The global generators of NumPy and PyTorch go on as if nothing had been drawn."""
    numpy.random.seed(1)
    torch.manual_seed(1)
    before = numpy.random.get_state()[1].tobytes(), torch.get_rng_state()  # type: ignore[index, union-attr]
    Generator(3).permutation(100)
    assert numpy.random.get_state()[1].tobytes() == before[0]  # type: ignore[index, union-attr]
    assert torch.equal(torch.get_rng_state(), before[1])
