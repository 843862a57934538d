import math

import numpy
import optuna
import pytest
import tabled

from search import errors
from search.simulations import clocks, plains
from search.space import expectations


@pytest.fixture(scope="module")
def surface(tmp_path_factory):
    return tabled.surface(tmp_path_factory.mktemp("made"))


def simulate(surface, name, seed=0, trials=10, seconds=math.inf, workers=1):
    clock = clocks.Clock()
    plain = plains.Plain(name, seed, surface, clock, trials, seconds, counts_asks=False)
    clock.run([plain.life(number) for number in range(workers)])
    return plain.run, clock


@pytest.mark.parametrize("name", ["tpe", "tpe+median", "tpe+hyperband", "random+successive-halving"])
def test_it_is_what_optuna_does(surface, name):
    """One worker does what `study.optimize` does with the same sampler, pruner and seed, all parameters flat."""
    sampler, pruner = plains.split(name)
    study = optuna.create_study(
        study_name=f"{name} 3", sampler=plains.SAMPLERS[sampler](3), pruner=plains.PRUNERS[pruner](surface.steps)
    )

    def objective(trial):
        params = {
            "rate": trial.suggest_int("rate", 0, 3),
            "size": trial.suggest_int("size", 0, 4),
            "kind": trial.suggest_categorical("kind", ["plain", "deep"]),
        }
        layers = trial.suggest_int("layers", 1, 3)
        if params["kind"] == "deep":
            params["layers"] = layers
        for epoch, value in enumerate(surface.training(params).values, 1):
            trial.report(value, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    study.optimize(objective, n_trials=30)
    run, _ = simulate(surface, name, seed=3, trials=30)
    ends = [(trial.state.name.lower(), trial.value, len(trial.intermediate_values)) for trial in study.trials]
    assert [(end.state, end.value, end.epochs) for end in run.ends] == ends


def test_random_search_agrees_with_its_closed_form(surface):
    """The mean best after so many trials, and the mean time to a good one, are what the closed forms say."""
    population, draws, seeds = surface.population(), numpy.array([1, 3, 10]), 150
    bar = float(numpy.sort(population.values)[-12])
    bests, times = [], []
    for seed in range(seeds):
        run, _ = simulate(surface, "random", seed, trials=60)
        values = -numpy.array([end.value for end in run.ends])
        bests.append(numpy.maximum.accumulate(values)[draws - 1])
        times.append(run.ends[int(numpy.argmax(values >= bar))].spent)
    expected = expectations.after_draws(population.values, population.weights, draws, surface.worst)
    assert expected == pytest.approx(numpy.mean(bests, axis=0), abs=4 * numpy.std(bests) / seeds**0.5)
    time = expectations.seconds_to(population.values, population.costs, population.weights, bar)
    assert time == pytest.approx(numpy.mean(times), abs=4 * numpy.std(times) / seeds**0.5)


def test_a_name_that_optuna_has_not_is_said():
    """One line says which there are."""
    with pytest.raises(errors.InputError, match=r"--plain must be .* got 'tpe\+medium'; did you mean median\?"):
        plains.split("tpe+medium")
