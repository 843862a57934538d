"""The short form of `own_kills.py`: a network in plain PyTorch is killed at random, and ends with the same bits."""

import pathlib

import own_kills
import pytest


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_change_no_bit_of_a_training_of_one_s_own(data_dir: pathlib.Path) -> None:
    """Four kills of workers and of processes: values of all epochs and the last weights are those of a quiet run."""
    found = own_kills.run(4, 3, 7, data_dir.resolve(), lambda: None)
    assert found.faults == []
    assert found.equal == 3
    assert sum(found.kills.values()) == 4
