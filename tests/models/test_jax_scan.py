"""The rival: it does the same work as ours, and is left out where JAX is not installed."""

import dataclasses
import os
import sys
import threading
import time

import numpy
import pytest

from models import data, engines, errors, jax_scan
from models.recipes import Recipe

SMALL = data.synthetic(train=203, test=60)
BYTES = dataclasses.replace(
    SMALL,
    train_images=(SMALL.train_images * 255).astype(numpy.uint8),
    test_images=(SMALL.test_images * 255).astype(numpy.uint8),
)
needs_jax = pytest.mark.skipif(jax_scan.version() is None, reason="JAX is not installed: it is an extra")


@pytest.fixture(scope="module")
def rival() -> jax_scan.Scan:
    return jax_scan.Scan()


@needs_jax
@pytest.mark.parametrize(
    ("recipe", "images"),
    [
        (Recipe(0.05, 29, 2, 20, "GELU", epochs=2, seed=3), BYTES),
        (Recipe(0.05, 1, 1, 8, "ReLU", epochs=1, seed=1), BYTES),
        (Recipe(0.05, 7, 1, 9, "Sigmoid", epochs=1, seed=1), SMALL),
        (Recipe(0.05, 128, 0, epochs=1, seed=2), SMALL),  # its last batch is a smaller one, which is compiled too
    ],
    ids=["gelu", "one-image", "sigmoid", "linear"],
)
def test_it_trains_as_ours(rival: jax_scan.Scan, recipe: Recipe, images: data.Dataset) -> None:
    """Every batch's loss, the evaluation and the weights are those of our engine: no sample less, no step cheaper."""
    pairs = list(zip(rival.train(recipe, images), engines.load("cpu").train(recipe, images), strict=True))
    assert len(pairs) == recipe.epochs
    for theirs, ours in pairs:
        assert theirs.number == ours.number
        numpy.testing.assert_allclose(theirs.batch_losses, ours.batch_losses, rtol=2e-4, atol=2e-5)
        assert theirs.loss == pytest.approx(ours.loss, rel=2e-4)
        assert theirs.accuracy == ours.accuracy
        assert theirs.batch_losses.dtype == numpy.float32
    for theirs, ours in zip(pairs[-1][0].state().weights, pairs[-1][1].state().weights, strict=True):
        numpy.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-4)


@needs_jax
def test_it_takes_one_core_and_leaves_the_others(rival: jax_scan.Scan) -> None:
    """JAX starts seeing one core, so it has one thread for its products; the process may run where it could before."""
    before = os.sched_getaffinity(0)
    with jax_scan._one_core():
        assert len(os.sched_getaffinity(0)) == 1
        done = threading.Event()
        threading.Thread(target=done.wait).start()
    assert {frozenset(os.sched_getaffinity(each)) for each in jax_scan._threads()} == {frozenset(before)}
    done.set()
    assert len(rival._jax.devices()) == 1


@needs_jax
def test_its_products_are_done_by_one_thread(rival: jax_scan.Scan) -> None:
    """What a training takes, once it is compiled, is taken by the thread that asks for it, to a tenth."""
    recipe = Recipe(0.05, 203, 1, 512, "ReLU", epochs=1)
    list(rival.train(recipe, SMALL))
    began = time.process_time(), time.thread_time()
    list(rival.train(dataclasses.replace(recipe, epochs=10), SMALL))
    everyone, this = time.process_time() - began[0], time.thread_time() - began[1]
    assert everyone < 1.1 * this


def test_without_jax_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for where it is not, it names the extra."""
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(errors.DeviceError, match=r'needs JAX .*: pip install "optuna-search-service\[jax\]"'):
        jax_scan.Scan()
