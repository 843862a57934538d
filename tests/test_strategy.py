import pathlib
from collections.abc import Callable

import optuna
import pytest

from search import space, store, strategy, study_file

LAB = study_file.load(pathlib.Path(__file__).parent.parent / "studies" / "lab.toml").space


def trial(number: int) -> optuna.trial.FrozenTrial:
    frozen = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
    frozen.number = number
    return frozen


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], optuna.Study]:
    """Makes studies with finished trials, better the shallower, as a worker's history of a real database."""

    def fill(count: int) -> optuna.Study:
        url = f"sqlite:///{tmp_path_factory.mktemp('history')}/search.db"
        study = optuna.create_study(direction="maximize", storage=url)
        for number in range(count):
            params = strategy.propose("random", LAB, study, trial(number), {}, seed=5)
            dists = {p.name: p.distribution for p in LAB.parameters if p.name in params}
            value = 1.0 - 0.1 * float(params["depth"])
            study.add_trial(optuna.trial.create_trial(params=params, distributions=dists, value=value))
        history = store.Store(url).history(study._study_id)
        history.refresh()
        return history.study()

    return fill


@pytest.mark.parametrize("name", sorted(strategy.SAMPLERS))
def test_proposals_are_whole_and_inside(name: str, filled: Callable[[int], optuna.Study]) -> None:
    """Every sampler proposes complete configurations of the space, with depth 0 having no branches."""
    study = filled(30)
    for number in range(30, 60):
        params = strategy.propose(name, LAB, study, trial(number), {}, seed=0)
        assert LAB.is_complete(params)
        assert LAB.trim(params) == (params, {})


@pytest.mark.parametrize("name", sorted(strategy.SAMPLERS))
def test_a_trial_is_sampled_the_same_by_any_worker(name: str, filled: Callable[[int], optuna.Study]) -> None:
    """The proposal follows from history, seed, number and attempt: not from who asks, nor from what it asked before."""
    study = filled(20)
    one = strategy.propose(name, LAB, study, trial(20), {}, seed=0)
    others = [strategy.propose(name, LAB, study, trial(n), {}, seed=0) for n in range(21, 30)]
    assert strategy.propose(name, LAB, study, trial(20), {}, seed=0) == one
    again = [strategy.propose(name, LAB, study, trial(20), {}, seed=0, attempt=n) for n in range(1, 10)]
    assert len({LAB.key(p) for p in [one, *others, *again]}) > 10


def test_fixed_values_stay(filled: Callable[[int], optuna.Study]) -> None:
    """What an enqueued configuration sets is kept, the rest is sampled."""
    params = strategy.propose("tpe", LAB, filled(20), trial(20), {"depth": 6, "width": 512}, seed=0)
    assert (params["depth"], params["width"]) == (6, 512)
    assert LAB.is_complete(params)


def test_tpe_learns_over_the_conditional_space(filled: Callable[[int], optuna.Study]) -> None:
    """With shallow networks better, TPE proposes shallower ones than chance does, depth 0 being in its model."""
    study = filled(60)
    depths = {
        name: [strategy.propose(name, LAB, study, trial(n), {}, seed=0)["depth"] for n in range(60, 100)]
        for name in ("tpe", "random")
    }
    assert sum(map(int, depths["tpe"])) < 0.5 * sum(map(int, depths["random"]))


def test_unseen_neighbour_finds_the_last_one() -> None:
    """With all configurations taken but one, that one is found from anywhere; with all taken, none."""
    small = space.Space.arrange(
        {
            p.name: p
            for p in (
                space.Parameter("a", optuna.distributions.IntDistribution(0, 9)),
                space.Parameter(
                    "b", optuna.distributions.CategoricalDistribution(["x", "y"]), space.Condition("a", ">", 4)
                ),
            )
        }
    )
    everything = {small.key({"a": a}) for a in range(5)}
    everything |= {small.key({"a": a, "b": b}) for a in range(5, 10) for b in "xy"}
    assert len(everything) == small.size
    last = {"a": 9, "b": "y"}
    assert strategy.unseen_neighbour(small, {"a": 0}, {}, everything - {small.key(last)}) == last
    assert strategy.unseen_neighbour(small, {"a": 0}, {}, everything) is None
    assert strategy.unseen_neighbour(small, {"a": 0}, {"a": 0}, {small.key({"a": 0})}) is None
