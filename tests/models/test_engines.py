"""What every engine must pass, each on the devices it has; a new engine is one more name in `engines.ENGINES`."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator

import emulators
import numpy
import pytest
import torch
from torch.nn import functional

from models import backends, data, engine, engines, errors, network
from models import weights as weights_of
from models.engines import cpu_bf16, cuda, kernels, rounded, selfchecks
from models.recipes import Recipe

SMALL = data.synthetic(train=203, test=60)
needs_bf16 = pytest.mark.skipif(not kernels.HAS_BF16, reason="this processor has no avx512_bf16")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device on this machine")


EMULATED = ("cuda", "emulated")  # the cuda engine's own code, its kernels compiled for the CPU
HERE = [(name, "cpu") for name in ("cpu", "reference")]
HERE += [EMULATED] if emulators.COMPILER else []
HERE += [(name, "cuda") for name in ("cuda", "reference")] if torch.cuda.is_available() else []
NARROW = [("cuda-tf32", "emulated"), ("cuda-bf16", "emulated")]  # whose factors are rounded
NARROW_HERE = NARROW if emulators.COMPILER else []
NARROW_HERE += [(name, "cuda") for name, _ in NARROW] if torch.cuda.is_available() else []
EVERY = {
    **{(name, "cpu"): () for name in ("cpu", "reference")},
    ("cpu-bf16", "cpu"): needs_bf16,
    **dict.fromkeys((EMULATED, *NARROW), emulators.needed),
    **{(name, "cuda"): needs_cuda for name in sorted(engines.names("cuda"))},
}
# TF32 and bf16 are one source but for two instructions: what is no matter of numbers is judged of bf16 alone
ALL = [pytest.param(where, marks=marks) for where, marks in EVERY.items() if where != ("cuda-tf32", "emulated")]


def load(name: str, device: str) -> engine.Engine:
    if device == "emulated":
        return emulators.engine(engines.CUDA[name])
    if name in engines.CUDA:
        return engines.make(name, device)  # not the reference in its place
    return engines.load(name, device)


@pytest.fixture(params=ALL, ids="-on-".join)
def each(request: pytest.FixtureRequest) -> Iterator[engine.Engine]:
    torch.set_num_threads(1)
    strict = torch.are_deterministic_algorithms_enabled()
    yield load(*request.param)
    torch.use_deterministic_algorithms(strict)


def truth(recipe: Recipe, small: data.Dataset) -> tuple[list[float], list[torch.Tensor]]:
    """The same training in float64, written out: batch losses and final weights."""
    weights = [torch.from_numpy(w).double().requires_grad_() for w in weights_of.initial(recipe)]
    activation = {"ReLU": torch.relu, "Sigmoid": torch.sigmoid, "GELU": functional.gelu}.get(str(recipe.activation))
    images, labels = network.tensor(small.train_images), torch.from_numpy(small.train_labels)
    losses = []
    for epoch in range(1, recipe.epochs + 1):
        for batch in torch.from_numpy(data.order(recipe.seed, epoch, len(images))).split(recipe.batch_size):
            values = images[batch].double()
            for index in range(0, len(weights), 2):
                values = values @ weights[index].T + weights[index + 1]
                if index < len(weights) - 2:
                    assert activation is not None
                    values = activation(values)
            loss = functional.cross_entropy(values, labels[batch])
            gradients = torch.autograd.grad(loss, weights)
            losses.append(loss.item())
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight -= recipe.learning_rate * gradient
    return losses, [w.detach() for w in weights]


RECIPES = [
    # a small rate keeps float32 rounding from growing: ReLU training is chaotic
    Recipe(0.01, batch_size, depth, width, activation, epochs=2, seed=3)
    for (depth, width), activation, batch_size in itertools.chain(
        itertools.product([(1, 33), (3, 17)], ["ReLU", "Sigmoid", "GELU"], [1, 41]),
        itertools.product([(7, 8)], ["Sigmoid"], [2, 3]),
        itertools.product([(0, None)], [None], [1, 127, 128, 203, 500]),
        itertools.product([(2, 130)], ["ReLU", "GELU"], [1, 5, 64]),  # wider than a panel of the compiled engine
        itertools.product([(1, 300)], ["Sigmoid"], [1, 13]),
    )
]


UNIT = {"tf32": 2.0**-11, "bf16": 2.0**-8}  # half of what lies between a number and the next: eleven and eight digits


def slack(of: engine.Engine, recipe: Recipe) -> float:
    """How much farther from float64 than float32 losses may be where factors are rounded: u for each layer.

    A sum over K products whose factors are each off by a part of at most u is off by at most 2 u sum |w h| (Higham,
    Accuracy and Stability, 3.1). The roundings of K products are independent, so that it is off by about
    u sqrt(sum (w h)^2) instead, which at weights within 1 / sqrt(K) and values up to 1 is less than u / sqrt(3). A loss
    is as much off as its logits are, and every layer adds to them. What tensor cores cut off of float32 sums is some
    2^-23 of them, and lost in this.
    """
    return (recipe.depth + 1) * UNIT.get(backends.of(of).precision, 0.0)


def is_judged(where: tuple[str, str], recipe: Recipe) -> bool:
    """Up to some samples nothing is rounded, and all is judged with the float32 engine; of TF32 the small ones are."""
    if where[0] in ("cpu", "cuda", "reference"):
        return True
    return engines.is_coarser(where[0], recipe) and (where[0] != "cuda-tf32" or (recipe.width or 0) < 100)


@pytest.mark.parametrize(
    ("each", "recipe"),
    [
        pytest.param(where, recipe, marks=marks, id=f"{'-on-'.join(where)}-{recipe}")
        for where, marks in EVERY.items()
        for recipe in RECIPES
        if is_judged(where, recipe)
    ],
    indirect=["each"],
)
def test_training_is_plain_sgd_on_cross_entropy(each: engine.Engine, recipe: Recipe) -> None:
    """The loss of every batch and the final weights agree with a float64 run over the same samples.

    Of rounded factors losses by `slack`, and weights by four times that part of what they have moved in all: a
    gradient is a sum of products of two that are off, and sums whose products cancel are off by more of themselves.
    """
    epochs = list(each.train(recipe, SMALL))
    losses, weights = truth(recipe, SMALL)
    assert [epoch.number for epoch in epochs] == [1, 2]
    ours = numpy.concatenate([epoch.batch_losses for epoch in epochs])
    assert all(len(epoch.batch_losses) == recipe.steps_per_epoch(203) for epoch in epochs)
    numpy.testing.assert_allclose(ours, losses, rtol=2e-4, atol=2e-5 + slack(each, recipe))
    for got, wanted, start in zip(epochs[-1].state().weights, weights, weights_of.initial(recipe), strict=True):
        moved = float((wanted - torch.from_numpy(start)).abs().max())
        atol = 1e-4 + 4 * slack(each, recipe) * moved
        torch.testing.assert_close(torch.from_numpy(got).double(), wanted, rtol=1e-3, atol=atol)


NETWORKS = [(0, None, None), *itertools.product([1], [33], ["ReLU", "Sigmoid", "GELU"])]
NETWORKS += [*itertools.product([3], [17], ["ReLU", "Sigmoid", "GELU"])]
NETWORKS += [*itertools.product([7], [9], ["ReLU", "Sigmoid", "GELU"])]


SIZES = (1, 2, 3, 41, 127, 128)


def distances(
    trained: engine.Engine, recipe: Recipe, prime: data.Dataset, losses: list[float], weights: list[torch.Tensor]
) -> tuple[float, float]:
    """How far losses and weights are from the true ones, at most."""
    (epoch,) = trained.train(recipe, prime)
    pairs = zip(epoch.state().weights, weights, strict=True)
    weights_off = max(float((torch.from_numpy(got) - wanted).abs().max()) for got, wanted in pairs)
    return float(numpy.abs(epoch.batch_losses - losses).max()), weights_off


def against_autograd(
    shape: tuple[int, int | None, str | None], each: dict[str, engine.Engine], sizes: tuple[int, ...] = SIZES
) -> dict[str, float]:
    """Median deviations from float64 over 5 seeds and all kinds of batches, in those of autograd on the CPU."""
    prime = data.synthetic(train=137, test=10)  # so that every batch size but 1 leaves a smaller last batch
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in each}
    for seed, batch_size in itertools.product(range(5), sizes):
        recipe = Recipe(0.01, batch_size, *shape, epochs=1, seed=seed)
        wanted = truth(recipe, prime)
        for name, trained in each.items():
            found[name].append(distances(trained, recipe, prime, *wanted))
    medians = {name: numpy.median(off, axis=0) for name, off in found.items()}
    return {name: float((off / medians["reference-on-cpu"]).max()) for name, off in medians.items()}


@pytest.mark.parametrize("shape", NETWORKS, ids=str)
def test_no_further_from_the_truth_than_autograd(shape: tuple[int, int | None, str | None]) -> None:
    """Over 5 seeds and all kinds of batches, an engine's median deviation from float64 is at most 1.5 x autograd's.

    Each engine on its own devices: what a GPU rounds away shows on the GPU alone.
    """
    loaded = {"-on-".join(where): load(*where) for where in HERE}
    found = against_autograd(shape, loaded)
    assert all(off <= 1.5 for off in found.values()), found


@emulators.needed
def test_float32_that_is_not_is_told() -> None:
    """The same engine with factors of TF32's eleven digits passes for nothing: it is far beyond what rule 2 allows."""
    worse = emulators.engine(defined=("-DROUNDED",))
    found = against_autograd((1, 33, "ReLU"), {"reference-on-cpu": load("reference", "cpu"), "rounded": worse})
    assert found["rounded"] > 15, found


@pytest.mark.parametrize("where", [pytest.param(each, marks=emulators.needed) for each in NARROW], ids="-on-".join)
@pytest.mark.parametrize("shape", [(1, 33, "ReLU"), (3, 17, "GELU")], ids=str)
def test_rounded_no_further_than_autograd_that_rounds(
    shape: tuple[int, int | None, str | None], where: tuple[str, str]
) -> None:
    """The same rule for rounded factors: the measure is plain PyTorch that rounds so, and coarser ones are told."""
    precision = engines.CUDA[where[0]]
    each = {"reference-on-cpu": selfchecks.yardstick(precision)}
    each |= {"-on-".join(one): load(*one) for one in NARROW_HERE if one[0] == where[0]}
    found = against_autograd(shape, each, sizes=(41, 128))
    assert all(off <= 1.5 for off in found.values()), found


@needs_bf16
@pytest.mark.parametrize("network", [(0, None, None), (1, 33, "ReLU"), (3, 40, "GELU"), (2, 130, "Sigmoid")], ids=str)
def test_bf16_is_no_further_from_the_truth_than_its_factors(
    monkeypatch: pytest.MonkeyPatch, network: tuple[int, int | None, str | None]
) -> None:
    """At most 1.5 x as far as plain PyTorch with factors rounded to eight digits: all else is float32."""
    monkeypatch.setattr(selfchecks, "NETWORKS", (network,))
    monkeypatch.setattr(selfchecks, "SEEDS", range(3))
    monkeypatch.setattr(selfchecks, "BATCH_SIZES", (cpu_bf16.FEW + 1, 41, 127, 128))
    (found,) = selfchecks.check(engines.load("cpu-bf16"))
    assert found.agrees, found
    if network[0]:
        assert min(found.losses, found.weights) > 0.1, found  # it is bf16


class Fewer(rounded.Rounded):
    """Plain PyTorch with factors of so many digits, which says that they are bf16."""

    def __init__(self, digits: int) -> None:
        super().__init__("bf16")
        self._digits = digits

    def _rounded(self, values: torch.Tensor) -> torch.Tensor:
        fraction, exponent = torch.frexp(values)
        return torch.ldexp(torch.round(torch.ldexp(fraction, torch.tensor(self._digits))), exponent - self._digits)

    def network(self, recipe: Recipe, start: weights_of.Weights | None) -> torch.nn.Module:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(rounded.ROUNDINGS, "bf16", self._rounded)
            return super().network(recipe, start)


@pytest.mark.parametrize(("digits", "agrees"), [(8, True), (7, False), (6, False)])
def test_fewer_digits_than_bf16_are_told(monkeypatch: pytest.MonkeyPatch, digits: int, agrees: bool) -> None:
    """Factors rounded to one digit less end beyond what the rule allows bf16."""
    monkeypatch.setattr(selfchecks, "NETWORKS", ((1, 33, "ReLU"),))
    monkeypatch.setattr(selfchecks, "SEEDS", range(3))
    monkeypatch.setattr(selfchecks, "BATCH_SIZES", (9, 41, 128))
    (found,) = selfchecks.check(Fewer(digits))
    assert found.agrees == agrees, found


@needs_bf16
def test_bf16_in_few_samples_and_narrow_layers_is_float32() -> None:
    """Where it would be no faster the engine gives the bits of float32; with a sample more it does not."""
    few, narrow = Recipe(0.1, cpu_bf16.FEW, 2, 40, "ReLU", epochs=1), Recipe(0.1, 64, 2, cpu_bf16.NARROW - 1, "ReLU", 1)
    for recipe in (few, narrow, Recipe(0.1, 64, 0, epochs=1)):
        one, two = (next(iter(engines.load(name).train(recipe, SMALL))) for name in ("cpu", "cpu-bf16"))
        assert one.batch_losses.tobytes() == two.batch_losses.tobytes()
    recipe = Recipe(0.1, cpu_bf16.FEW + 1, 2, cpu_bf16.NARROW, "ReLU", epochs=1)
    one, two = (next(iter(engines.load(name).train(recipe, SMALL))) for name in ("cpu", "cpu-bf16"))
    assert one.batch_losses.tobytes() != two.batch_losses.tobytes()


@needs_bf16
def test_a_state_moves_between_bf16_and_float32() -> None:
    """Weights are float32 in either: begun by one and ended by the other, they end as close as digits allow."""
    recipe = Recipe(0.05, 16, 2, 40, "GELU", epochs=2, seed=1)
    for one, other in itertools.permutations(["cpu", "cpu-bf16"], 2):
        state = next(iter(engines.load(one).train(recipe, SMALL))).state()
        *_, moved = engines.load(other).train(recipe, SMALL, resume=state)
        *_, alone = engines.load(other).train(recipe, SMALL)
        for got, wanted, start in zip(
            moved.state().weights, alone.state().weights, weights_of.initial(recipe), strict=True
        ):
            off, way = numpy.linalg.norm(got - wanted), numpy.linalg.norm(wanted - start)
            assert 0 < off <= 16 * UNIT["bf16"] * way


def test_bf16_is_refused_where_the_processor_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name it is an error that says what is missing, on any device; `auto` passes it by."""
    monkeypatch.setattr(kernels, "HAS_BF16", False)
    with pytest.raises(
        errors.DeviceError, match="'cpu-bf16' needs a processor with avx512_bf16, which this one has not"
    ):
        engines.load("cpu-bf16")
    assert engines.names("cpu") == ("cpu", "reference")
    assert engines.load("auto").name == "cpu"


@emulators.needed
def test_bf16_in_the_clothes_of_tf32_is_told() -> None:
    """Three digits less are some eight times as far: beyond the 1.5 of the rule. TF32 as float32: the test below."""
    each = {"reference-on-cpu": selfchecks.yardstick("tf32"), "dressed": emulators.engine("tf32", made_for="bf16")}
    found = against_autograd((1, 33, "ReLU"), each, sizes=(41, 128))
    assert found["dressed"] > 4, found


def test_a_state_moves_between_engines() -> None:
    """A training begun by one engine and ended by another gives what one of them gives alone, up to rounding."""
    recipe = Recipe(0.05, 10, 2, 20, "GELU", epochs=2, seed=1)
    for one, other in itertools.permutations(HERE, 2):
        state = next(iter(load(*one).train(recipe, SMALL))).state()
        *_, moved = load(*other).train(recipe, SMALL, resume=state)
        *_, alone = load(*one).train(recipe, SMALL)
        for got, wanted in zip(moved.state().weights, alone.state().weights, strict=True):
            numpy.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@emulators.needed
def test_a_state_moves_between_precisions() -> None:
    """Begun in float32 and ended with rounded factors, or the other way, a training ends where it does alone."""
    recipe = Recipe(0.05, 10, 2, 20, "GELU", epochs=2, seed=1)
    narrow, reference = load("cuda-bf16", "emulated"), load("reference", "cpu")
    *_, alone = reference.train(recipe, SMALL)
    for one, other in ((narrow, reference), (reference, narrow)):
        state = next(iter(one.train(recipe, SMALL))).state()
        *_, moved = other.train(recipe, SMALL, resume=state)
        for got, wanted, start in zip(
            moved.state().weights, alone.state().weights, weights_of.initial(recipe), strict=True
        ):
            atol = 1e-5 + 4 * slack(narrow, recipe) * float(numpy.abs(wanted - start).max())
            numpy.testing.assert_allclose(got, wanted, rtol=1e-4, atol=atol)


def test_same_recipe_same_bits(each: engine.Engine) -> None:
    """One recipe gives the same losses, accuracy and weights twice, bit for bit."""
    recipe = Recipe(0.1, 7, 2, 19, "GELU", epochs=2)
    first, second = list(each.train(recipe, SMALL)), list(each.train(recipe, SMALL))
    for one, two in zip(first, second, strict=True):
        assert one.batch_losses.tobytes() == two.batch_losses.tobytes()
        assert (one.loss, one.accuracy) == (two.loss, two.accuracy)
    for one, two in zip(first[-1].state().weights, second[-1].state().weights, strict=True):
        assert one.tobytes() == two.tobytes()


def test_evaluation_figures_are_those_of_the_state(each: engine.Engine) -> None:
    """An epoch's loss and accuracy are the lab's evaluation of its weights, by products as they are trained with.

    Train accuracy comes where asked for.
    """
    recipe = Recipe(0.1, 16, 1, 16, "ReLU", epochs=3)
    for epoch in each.train(recipe, SMALL, train_accuracy=True):
        precision = backends.of(each).precision if each.name in engines.CUDA else backends.FLOAT32
        net = selfchecks.yardstick(precision).network(recipe, epoch.state().weights)
        loss, accuracy = network.evaluate(
            net, network.tensor(SMALL.test_images), torch.from_numpy(SMALL.test_labels), 16
        )
        assert epoch.loss == pytest.approx(loss, rel=1e-6)
        assert epoch.accuracy == accuracy
        train = network.evaluate(net, network.tensor(SMALL.train_images), torch.from_numpy(SMALL.train_labels), 16)[1]
        assert epoch.train_accuracy == train
    assert epoch.number == 3
    assert next(iter(each.train(recipe, SMALL))).train_accuracy is None


@pytest.mark.parametrize("stop", [1, 2])
def test_resume_equals_the_uninterrupted_run(each: engine.Engine, stop: int) -> None:
    """Stopping after an epoch and going on from its State gives the same bits as never stopping."""
    recipe = Recipe(0.1, 10, 2, 12, "ReLU", epochs=4)
    whole = list(each.train(recipe, SMALL))
    state = next(e.state() for e in each.train(recipe, SMALL) if e.number == stop)
    rest = list(each.train(recipe, SMALL, resume=state))
    assert [epoch.number for epoch in rest] == list(range(stop + 1, 5))
    for one, two in zip(whole[stop:], rest, strict=True):
        assert one.batch_losses.tobytes() == two.batch_losses.tobytes()
    for one, two in zip(whole[-1].state().weights, rest[-1].state().weights, strict=True):
        assert one.tobytes() == two.tobytes()


def test_a_state_resumes_its_own_recipe_only(each: engine.Engine) -> None:
    """A state of another recipe is refused."""
    recipe = Recipe(0.1, 64, 0, epochs=2)
    state = next(iter(each.train(recipe, SMALL))).state()
    with pytest.raises(errors.RecipeError, match="cannot resume"):
        next(iter(each.train(dataclasses.replace(recipe, learning_rate=0.2), SMALL, resume=state)))


def test_a_state_is_a_copy(each: engine.Engine) -> None:
    """Training on does not change a state that was taken."""
    epochs = each.train(Recipe(0.5, 8, 1, 8, "ReLU", epochs=2), SMALL)
    state = next(iter(epochs)).state()
    before = [weight.copy() for weight in state.weights]
    list(epochs)
    assert all(numpy.array_equal(a, b) for a, b in zip(before, state.weights, strict=True))


@pytest.mark.parametrize("activation", ["ReLU", "Sigmoid", "GELU"])
@pytest.mark.parametrize("batch_size", [1, 3, 41])
def test_divergence_is_that_of_autograd(batch_size: int, activation: str) -> None:
    """At a learning rate of 10 losses become inf or nan where those of autograd do, give or take a few steps."""
    recipe = Recipe(10.0, batch_size, 3, 65, activation, epochs=2)
    lasting = {}
    for where in HERE + (NARROW_HERE if batch_size > backends.FEW else []):
        losses = numpy.concatenate([epoch.batch_losses for epoch in load(*where).train(recipe, SMALL)])
        finite = numpy.isfinite(losses)
        lasting[where] = len(losses) if finite.all() else int(numpy.argmin(finite))
        assert finite[: lasting[where]].all()
    reference = lasting["reference", "cpu"]
    for found in lasting.values():
        assert abs(found - reference) <= max(3, 0.05 * reference), lasting


def test_divergence_is_no_crash(each: engine.Engine) -> None:
    """A learning rate of 10 ends in inf or nan losses, reported as such, and training goes on."""
    epochs = list(each.train(Recipe(10.0, 4, 3, 64, "ReLU", epochs=3), SMALL))
    assert len(epochs) == 3
    assert not math.isfinite(epochs[-1].loss) or epochs[-1].loss > 2
    assert 0 <= epochs[-1].accuracy <= 1


def test_tick_ends_the_training(each: engine.Engine) -> None:
    """What `tick` raises comes out at once, within an epoch, so that signals are answered."""
    calls = 0

    def tick() -> None:
        nonlocal calls
        calls += 1
        if calls > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(each.train(Recipe(0.1, 1, 0), SMALL, tick=tick))
    assert calls == 21


RULES = [
    test_same_recipe_same_bits,
    test_evaluation_figures_are_those_of_the_state,
    functools.partial(test_resume_equals_the_uninterrupted_run, stop=1),
    test_a_state_is_a_copy,
    test_divergence_is_no_crash,
    test_tick_ends_the_training,
    *(
        functools.partial(test_training_is_plain_sgd_on_cross_entropy, recipe=recipe)
        for recipe in RECIPES
        if recipe.batch_size in (5, 13)
    ),
]


@pytest.fixture(
    params=[pytest.param("emulated", marks=emulators.needed), pytest.param("cuda", marks=needs_cuda, id="team-on-cuda")]
)
def in_a_team(request: pytest.FixtureRequest) -> cuda.Cuda:
    """The engine with several blocks for a network."""
    return emulators.engine(team=3) if request.param == "emulated" else cuda.Cuda("cuda").in_teams(8)


@pytest.mark.parametrize("rule", RULES, ids=[*map(str, range(len(RULES)))])
def test_a_team_keeps_the_rules(in_a_team: cuda.Cuda, rule: Callable[..., None]) -> None:
    """What every engine must pass holds of a network that several blocks share."""
    rule(in_a_team)


def test_learns(each: engine.Engine) -> None:
    """A linear model learns the synthetic set."""
    *_, last = each.train(Recipe(0.1, 10, 0, epochs=3), data.synthetic())
    assert last.accuracy > 0.95


def test_unknown_engine_and_device_are_refused() -> None:
    """A wrong name says which there are; a device that is not there says so."""
    with pytest.raises(errors.DeviceError, match="engine must be one of auto, .*reference.*, got 'fast'"):
        engines.load("fast")
    with pytest.raises(errors.DeviceError, match="device must be cpu, cuda or cuda:N, got 'tpu'"):
        engines.load("auto", "tpu")
    with pytest.raises(errors.DeviceError, match="cuda:99' is not there"):
        engines.load("auto", "cuda:99")


@needs_cuda
def test_cuda_agrees_with_the_cpu_and_repeats_itself() -> None:
    """The reference on CUDA gives the same bits twice, and the CPU's figures up to rounding."""
    recipe = Recipe(0.05, 16, 2, 32, "GELU", epochs=2)
    on_cuda = engines.load("reference", "cuda")
    one, two = (list(on_cuda.train(recipe, SMALL)) for _ in range(2))
    cpu = list(engines.load("reference", "cpu").train(recipe, SMALL))
    for first, second, third in zip(one, two, cpu, strict=True):
        assert first.batch_losses.tobytes() == second.batch_losses.tobytes()
        numpy.testing.assert_allclose(first.batch_losses, third.batch_losses, rtol=1e-3, atol=1e-4)
