import pytest
import tabled

from search import errors
from search.simulations import experiments, methods


@pytest.fixture
def ground(tmp_path):
    file = tmp_path / "made.toml"
    file.write_text(tabled.TEXT, encoding="utf-8")
    return experiments.Ground.of(file, tabled.write(tmp_path / "t.jsonl", tabled.rows()))


def setting(trials=6, **more):
    return experiments.Setting(methods.Limit(trials), counts_asks=False, **more)


CHOSEN = methods.every(["random", "tpe"], ["none"], ["random"])


def test_runs_are_kept_and_not_run_again(ground, tmp_path):
    """A simulation that was interrupted goes on where it was, and one of another setting shares nothing with it."""
    kept, told = tmp_path / "runs.jsonl", []
    surface = ground.surface()
    first = experiments.run_all(ground, surface, setting(), CHOSEN, [0, 1], kept)
    lines = kept.read_text().splitlines()
    assert [(each.method, each.seed) for each in first] == [
        (name, seed) for name in ("random", "tpe", "optuna random") for seed in (0, 1)
    ]
    kept.write_text("".join(f"{line}\n" for line in lines[:4]))
    again = experiments.run_all(
        ground, surface, setting(), CHOSEN, [0, 1], kept, on_run=lambda done, total: told.append((done, total))
    )
    assert told == [(4, 6), (5, 6), (6, 6)]
    assert [(each.method, each.ends) for each in again] == [(each.method, each.ends) for each in first]
    experiments.run_all(ground, surface, setting(trials=3), CHOSEN[:1], [0], kept)
    assert len(kept.read_text().splitlines()) == 7


@pytest.mark.slow
def test_several_processes_find_the_same(ground):
    """Runs are independent: how many processes share them changes nothing."""
    surface = ground.surface()
    one, two = (experiments.run_all(ground, surface, setting(), CHOSEN, [0, 1], processes=count) for count in (1, 2))
    assert [_trials(each) for each in one] == [_trials(each) for each in two]


def _trials(record):
    return record.method, record.seed, [(end.spent, end.epochs, end.value) for end in record.ends]


def test_a_line_that_is_no_run_is_said(ground, tmp_path):
    """The file of runs is this command's own; anything else in it is refused with its line."""
    kept = tmp_path / "runs.jsonl"
    kept.write_text('{"of": {}}\n')
    with pytest.raises(errors.InputError, match=r"runs\.jsonl: line 1 must be a run of `search simulate`"):
        experiments.run_all(ground, ground.surface(), setting(), CHOSEN, [0], kept)


@pytest.mark.parametrize(
    ("samplers", "pruners", "said"),
    [
        (["tpa"], [], "sampler.name must be one of"),
        (["tpe"], ["medium"], "--pruner must be none or one of median"),
        (["tpe"], ["median:startup"], "--pruner must read NAME or NAME:OPTION=VALUE"),
        (["tpe"], ["median:startup_trials=x"], "pruning.startup_trials must be a valid integer"),
        (["cmaes"], [], "sampler.name must not be 'cmaes'"),
    ],
)
def test_a_method_that_does_not_fit_is_said_before_anything_runs(ground, samplers, pruners, said):
    """Names, options and what a sampler cannot do are checked as in a study file."""
    with pytest.raises(errors.InputError) as caught:
        experiments.run_all(ground, ground.surface(), setting(), methods.every(samplers, pruners, []), [0])
    assert said in str(caught.value)


def test_a_study_without_a_table_is_said(tmp_path):
    """Where none lies beside the study file, one has to be named."""
    file = tmp_path / "made.toml"
    file.write_text(tabled.TEXT, encoding="utf-8")
    with pytest.raises(
        errors.InputError, match=r"--table must name a table: there is no made\.table\.jsonl\.gz beside"
    ):
        experiments.Ground.of(file)


def test_names_of_methods_say_all_that_differs():
    """Options are part of a name, and no pruner is none of it."""
    found = methods.every(["tpe"], ["none", "median:startup_trials=4"], ["tpe+median", "tpe+median"])
    assert [each.name for each in found] == ["tpe", "tpe+median:startup_trials=4", "optuna tpe+median"]
    assert [each.name for each in methods.every([], [], ["tpe"])] == ["the study's", "optuna tpe"]
