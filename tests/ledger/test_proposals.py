import math
import re
import warnings
from collections.abc import Callable, Sequence

import numpy
import optuna
import pytest
from conftest import ROOT, quick_text
from optuna import distributions

from search import errors
from search.ledger import proposals
from search.space import candidates, conditions, parameters, spaces
from search.storage import databases
from search.study import specs

LAB = specs.load(ROOT / "studies" / "lab.toml").space
NUMBERS = spaces.Space.arrange(
    {
        "learning_rate": parameters.Parameter("learning_rate", distributions.FloatDistribution(1e-4, 0.1, log=True)),
        "momentum": parameters.Parameter("momentum", distributions.FloatDistribution(0.0, 1.0)),
        "batch_size": parameters.Parameter("batch_size", distributions.IntDistribution(1, 128)),
        "depth": parameters.Parameter("depth", distributions.IntDistribution(1, 6)),
        "activation": parameters.Parameter("activation", distributions.CategoricalDistribution(["ReLU"])),
    }
)
SPACES = {name: NUMBERS if name == "cmaes" else LAB for name in proposals.SAMPLERS}


def trial(number: int) -> optuna.trial.FrozenTrial:
    frozen = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
    frozen.number = number
    return frozen


def propose(
    name: str, study: optuna.Study, number: int, fixed: spaces.Params | None = None, seed: int = 0, attempt: int = 0
) -> spaces.Params:
    return proposals.propose(name, proposals.Ask(SPACES[name], study, trial(number), fixed or {}, seed, attempt))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., optuna.Study]:
    """Makes studies with finished trials, better the shallower, as a worker's history of a real database."""

    def fill(
        count: int, tree: spaces.Space = LAB, direction: str = "maximize", values: Sequence[float] = ()
    ) -> optuna.Study:
        url = f"sqlite:///{tmp_path_factory.mktemp('history')}/search.db"
        study = optuna.create_study(direction=direction, storage=url)
        for number in range(count):
            question = proposals.Ask(tree, study, trial(number), {}, seed=5)
            params = proposals.propose("random", question)
            dists = {p.name: p.distribution for p in tree.parameters if p.name in params}
            value = values[number % len(values)] if values else 1.0 - 0.1 * float(params["depth"])
            study.add_trial(optuna.trial.create_trial(params=params, distributions=dists, value=value))
        return databases.Database(url).history(study._study_id).study(fresh=True)

    return fill


@pytest.mark.parametrize("name", sorted(proposals.SAMPLERS))
def test_proposals_are_whole_and_inside(name: str, filled: Callable[..., optuna.Study]) -> None:
    """Every sampler proposes complete configurations of the space, with depth 0 having no branches."""
    tree = SPACES[name]
    study = filled(30, tree)
    for number in range(30, 36 if name == "gp" else 60):
        params = propose(name, study, number)
        assert tree.is_complete(params)
        assert tree.trim(params) == (params, {})


@pytest.mark.parametrize("name", sorted(proposals.SAMPLERS))
def test_a_trial_is_sampled_the_same_by_any_worker(name: str, filled: Callable[..., optuna.Study]) -> None:
    """The proposal follows from history, seed, number and attempt: not from who asks, nor from what it asked before."""
    study = filled(20, SPACES[name])
    one = propose(name, study, 20)
    others = [propose(name, study, n) for n in range(21, 24)]
    assert propose(name, study, 20) == one
    if name != "gp":  # its best point is one point, whatever the seed
        again = [propose(name, study, 20, attempt=n) for n in range(1, 4) if proposals.SAMPLERS[name].asks_again]
        assert len({LAB.key(p) for p in [one, *others, *again]}) > 3
        assert propose(name, study, 20, seed=1) != one


@pytest.mark.parametrize("name", ["tpe", "cmaes", "gp"])
def test_samplers_learn_from_the_trials(name: str, filled: Callable[..., optuna.Study]) -> None:
    """Where shallow networks were better, those that learn propose shallower ones than chance would."""
    tree = SPACES[name]
    study = filled(60, tree)
    depths = [int(propose(name, study, n)["depth"]) for n in range(60, 66 if name == "gp" else 90)]
    chance = next(p.values for p in tree.parameters if p.name == "depth")
    assert chance is not None
    assert numpy.mean(depths) < numpy.mean([float(v) for v in chance]) - 0.7


def test_tpe_learns_after_its_startup_trials(filled: Callable[..., optuna.Study]) -> None:
    """Before as many trials as the file says it draws as the random sampler does, whatever there is; then it learns."""
    six, none = filled(6), filled(0)

    def depths(study: optuna.Study, startup: int | None) -> list[object]:
        asks = [proposals.Ask(LAB, study, trial(n), {}, 0, startup_trials=startup) for n in range(6, 26)]
        return [proposals.propose("tpe", ask)["depth"] for ask in asks]

    by_chance = depths(none, None)
    assert depths(six, None) == depths(six, 7) == by_chance
    learned = depths(six, 6)
    assert learned != by_chance
    assert sum(map(int, learned)) < sum(map(int, by_chance))  # type: ignore[call-overload]  # better the shallower


def test_qmc_covers_the_space_evenly(filled: Callable[..., optuna.Study]) -> None:
    """64 points of the sequence hit each quarter of a dimension 16 times, give or take one, choices included."""
    study = filled(0)
    points = [propose("qmc", study, n) for n in range(64)]
    quarters = numpy.bincount([(int(p["batch_size"]) - 1) // 32 for p in points])
    assert set(quarters) <= {15, 16, 17}
    rates = [sum(p["learning_rate"] == rate for p in points) for rate in (1e-4, 1e-2, 1e-1)]
    assert set(rates) <= {20, 21, 22, 23}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampler": "cmaes"}, "sampler.name must not be 'cmaes' while [pruning] is on"),
        (
            {"sampler": "cmaes", "hopeless": "false"},
            "'cmaes' since it moves along numbers, and learning_rate, width, activation has choices",
        ),
        (
            {"sampler": "annealing"},
            "sampler.name must be one of tpe, random, qmc, cmaes, gp, gp-cost, grid, got 'annealing'",
        ),
    ],
)
def test_samplers_that_cannot_work_are_refused(settings: dict[str, str], message: str) -> None:
    """A study file with a sampler that its space or pruning defeats is refused, with the reason."""
    with pytest.raises(errors.StudyFileError, match=re.escape(message)):
        specs.parse(quick_text(**settings), "quick.toml")


@pytest.mark.parametrize("name", ["tpe", "random", "qmc", "gp"])
def test_the_samplers_that_can_work_are_taken(name: str) -> None:
    """Every other combination with the lab's space is accepted."""
    spec = specs.parse(quick_text(sampler=name, hopeless=str(name != "gp").lower()), "quick.toml")
    assert spec.sampler.name == name


@pytest.mark.parametrize(
    "distribution",
    [
        distributions.FloatDistribution(1e-4, 0.1, log=True),
        distributions.FloatDistribution(-1.0, 2.0),
        distributions.IntDistribution(1, 128),
        distributions.IntDistribution(4, 40, step=4),
        distributions.IntDistribution(1, 1024, log=True),
        distributions.CategoricalDistribution([32, 128, 512]),
    ],
    ids=lambda d: f"{type(d).__name__}-{d}"[:40],
)
def test_positions_and_values_are_inverse(distribution: distributions.BaseDistribution) -> None:
    """Each position from 0 to 1 has a value inside, and that value's position gives the value again."""
    axis = parameters.Parameter("x", distribution)
    for position in numpy.linspace(0, 1, 101):
        value = axis.at(float(position))
        axis.check(value)
        assert 0 <= axis.position(value) <= 1
        assert axis.at(axis.position(value)) == pytest.approx(value)


def test_fixed_values_stay(filled: Callable[[int], optuna.Study]) -> None:
    """What an enqueued configuration sets is kept, the rest is sampled."""
    params = propose("tpe", filled(20), 20, {"depth": 6, "width": 512})
    assert (params["depth"], params["width"]) == (6, 512)
    assert LAB.is_complete(params)


def test_unseen_neighbour_finds_the_last_one() -> None:
    """With all configurations taken but one, that one is found from anywhere; with all taken, none."""
    small = spaces.Space.arrange(
        {
            p.name: p
            for p in (
                parameters.Parameter("a", optuna.distributions.IntDistribution(0, 9)),
                parameters.Parameter(
                    "b", optuna.distributions.CategoricalDistribution(["x", "y"]), conditions.Condition(">", "a", (4,))
                ),
            )
        }
    )
    everything = {small.key({"a": a}) for a in range(5)}
    everything |= {small.key({"a": a, "b": b}) for a in range(5, 10) for b in "xy"}
    assert len(everything) == small.size
    last = {"a": 9, "b": "y"}

    def unseen(params: spaces.Params, fixed: spaces.Params, taken: set[str]) -> spaces.Params | None:
        around = candidates.neighbourhood(small, params, fixed)
        return candidates.first_free(around, lambda keys: taken & set(keys), portion=2)

    assert unseen({"a": 0}, {}, everything - {small.key(last)}) == last
    assert unseen({"a": 0}, {}, everything) is None
    assert unseen({"a": 0}, {"a": 0}, {small.key({"a": 0})}) is None


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("name", sorted(proposals.SAMPLERS))
def test_any_values_are_learned_from(filled: Callable[..., optuna.Study], name: str, direction: str) -> None:
    """Infinities and the largest numbers among the trials so far: a configuration of the space, and no warning."""
    odd = [math.inf, -math.inf, 1e308, -1e308, 0.5, 5e-324, 1e308, 0.25]
    study = filled(2 * len(odd), SPACES[name], direction, odd)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        assert SPACES[name].holds(propose(name, study, 16))
