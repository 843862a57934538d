import pathlib

import optuna
import pytest
from conftest import ROOT

from search import errors
from search.study import specs

STUDIES = ROOT / "studies"
LAB = (STUDIES / "lab.toml").read_text()
BRANCH = ', when = "depth > 0" }'
ENQUEUE = "trials = 10\n[[enqueue]]\n"


def test_the_lab_is_read() -> None:
    """The shipped search is the lab's."""
    spec = specs.load(STUDIES / "lab.toml")
    assert (spec.name, spec.budget.trials, spec.training.epochs) == ("lab", 10, 10)
    assert (spec.sampler.name, spec.pruning.hopeless, spec.training.evaluate_on) == ("gp-cost", True, "test")
    assert spec.pruning.pruner == "asha"
    assert spec.text == LAB


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_lab_s_studies_say_the_test_set(path: pathlib.Path) -> None:
    """Each names what the lab judged by, so that no default decides it."""
    spec = specs.load(path)
    assert "evaluate_on" in spec.said - spec.decided
    assert (spec.training.evaluate_on, spec.text) == ("test", path.read_text())


def test_a_default_is_written_into_the_text() -> None:
    """Of a new study; a stored text means the test set where it says nothing, and is left alone."""
    text = LAB.replace('evaluate_on = "test" # the lab\'s way\n', "")
    assert "evaluate_on" not in text
    spec = specs.parse(text, "lab.toml")
    line = 'evaluate_on = "validation" # the default when the study was made\n'
    assert (spec.training.evaluate_on, spec.written) == ("validation", text)
    assert spec.text == text.replace("[training]\n", f"[training]\n{line}")
    assert specs.parse_stored(spec.text, "stored") == spec
    before = specs.parse_stored(text, "stored")
    assert (before.training.evaluate_on, before.text) == ("test", text)
    assert specs.kept(before, spec) == before
    assert specs.kept(spec, spec) == spec


def test_the_replay_has_the_published_configurations() -> None:
    """The replay enqueues the ten published trials, in order, over the same space as the search."""
    replay, lab = specs.load(STUDIES / "lab-replay.toml"), specs.load(STUDIES / "lab.toml")
    assert replay.space == lab.space
    assert [(p["learning_rate"], p["batch_size"], p["depth"]) for p in replay.enqueue] == [
        (0.01, 127, 0), (0.1, 41, 3), (0.01, 104, 6), (1e-4, 35, 3), (0.01, 65, 1),
        (1e-4, 33, 6), (0.1, 72, 0), (1e-4, 1, 6), (0.01, 78, 2), (0.1, 76, 1),
    ]  # fmt: skip
    assert not replay.pruning.hopeless
    assert replay.notes == ()


@pytest.mark.parametrize(
    ("name", "factor", "values"),
    [
        ("learning-rate", "learning_rate", (1e-4, 1e-2, 1e-1)),
        ("batch-size", "batch_size", (1, 32, 128)),
        ("depth", "depth", (0, 1, 3, 7)),
        ("width", "width", (32, 128, 512)),
        ("activation", "activation", ("Sigmoid", "ReLU", "GELU")),
        ("baseline", "depth", (3,)),
    ],
)
def test_the_labs_one_factor_studies(name: str, factor: str, values: tuple[object, ...]) -> None:
    """Each varies its factor over the lab's values, all else as in the baseline, and trains all of them to the end."""
    spec = specs.load(STUDIES / f"{name}.toml")
    assert spec.name == name
    baseline = {"learning_rate": 1e-3, "batch_size": 64, "depth": 3, "width": 128, "activation": "ReLU"}
    expected = []
    for value in values:
        params = {**baseline, factor: value}
        expected.append({k: v for k, v in params.items() if params["depth"] or k not in ("width", "activation")})
    assert list(spec.space.configurations()) == expected
    assert (spec.budget.trials, spec.sampler.name, spec.pruning.hopeless) == (len(values), "grid", False)


def test_a_grid_needs_a_finite_space() -> None:
    """A grid over a continuous dimension is refused with the name of the dimension."""
    text = LAB.replace("[1e-4, 1e-2, 1e-1]", "{ low = 1e-4, high = 1e-1 }").replace('"gp-cost"', '"grid"')
    with pytest.raises(errors.StudyFileError, match="must not be 'grid' since learning_rate is continuous"):
        specs.parse(text, "lab.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 0", 'seed = "a"', "study.seed must be a valid integer, got 'a'"),
        ("seed = 0", "seed = -1", "study.seed must be >= 0, got -1"),
        ("seed = 0", "sed = 0", "study.sed is not a known key, got 0"),
        ('name = "lab"', 'name = "a/b"', "study.name must not hold '/' or"),
        ('name = "lab"', "", "study.name is missing"),
        ("[sampler]", "[samplr]", "samplr is not a known key"),
        ('"maximize"', '"minimize"', "study.direction must be 'maximize' beside [training], got 'minimize'"),
        ("epochs = 10", "epochs = 0", "training.epochs must be >= 1, got 0"),
        ("epochs = 10", "epochs = 2.5", "training.epochs must be a valid integer, got 2.5"),
        ('"test"', '"tset"', "training.evaluate_on must be 'test' or 'validation', got 'tset'"),
        ("hopeless = true", "hopeless = 1", "pruning.hopeless must be a valid boolean, got 1"),
        (
            'name = "gp-cost"',
            'name = "gp-cost"\nstartup_trials = 5',
            "sampler.startup_trials is an option of the samplers tpe, got 'gp-cost'",
        ),
        ('name = "gp-cost"', 'name = "tpe"\nstartup_trials = -1', "sampler.startup_trials must be >= 0, got -1"),
        ('name = "gp-cost"', 'name = "tpo"', "sampler.name must be one of tpe, random, qmc, cmaes, gp, gp-cost, grid, got 'tpo'"),
        ("[1e-4, 1e-2, 1e-1]", "[]", "space.learning_rate.choices must not be empty, got []"),
        ("[1e-4, 1e-2, 1e-1]", "[0.1, 0.1]", "space.learning_rate[1] must not repeat an earlier choice, got 0.1"),
        ("[1e-4, 1e-2, 1e-1]", "[0.1, 0]", "space.learning_rate[1] must be a number > 0, got 0"),
        ("[1e-4, 1e-2, 1e-1]", "[0.1, nan]", "space.learning_rate.choices[1] must be a finite number, a string, true, false or { none = true }, got nan"),
        ("[1e-4, 1e-2, 1e-1]", "0.1", "space.learning_rate must be a list of choices or a table with low and high, got 0.1"),
        ("{ low = 1, high = 128 }", "{ low = 0, high = 128 }", "space.batch_size.low must be an integer >= 1, got 0"),
        ("{ low = 1, high = 128 }", "{ low = 2, high = 1 }", "space.batch_size.low must be <= high, got low = 2 and high = 1"),
        ("{ low = 1, high = 128 }", "{ low = 1 }", "space.batch_size.high is missing"),
        ("{ low = 1, high = 128 }", "{ low = 1, high = 128, step = 2 }", "space.batch_size.step must divide high - low = 127, got 2"),
        ("{ low = 1, high = 128 }", "{ low = 1, hihg = 2 }", "space.batch_size.hihg is not a known key, got 2"),
        ("{ low = 1, high = 128 }", "{ choices = [1], low = 1 }", "space.batch_size.low must not stand beside choices, got 1"),
        ("batch_size =", "batchsize =", "space.batchsize is not a known key"),
        ("batch_size = { low = 1, high = 128 }", "", "space.batch_size is missing"),
        ('"GELU"]', '"Tanh"]', "space.activation[2] must be one of ReLU, Sigmoid, GELU, got 'Tanh'"),
        ('512], when = "depth > 0"', '512], when = "depht > 0"', "space.width.when must name a parameter of the space"),
        ('512], when = "depth > 0"', '512], when = "depth"', "space.width.when must read NAME OPERATOR VALUE"),
        ('512], when = "depth > 0"', '512], when = "depth > 2"', "since a network of depth 1 needs a width, got 'depth > 2'"),
        ('512], when = "depth > 0"', "512]", "since a network of depth 0 has no width, got None"),
        ('high = 6 }', 'high = 6, when = "width > 1" }', "space.depth.when must not form a circle"),
        ('[1e-4, 1e-2, 1e-1]', '{ choices = [0.1], when = "depth > 0" }', "space.learning_rate.when must not be given"),
        ("trials = 10", "trials = 0", "budget.trials must be >= 1, got 0"),
        ("trials = 10", 'trials = "10"', "budget.trials must be a valid integer, got '10'"),
        ("[budget]\ntrials = 10", "", "budget is missing"),
        ("trials = 10", ENQUEUE + "learning_rate = 0.2", "enqueue[0].learning_rate must be one of 0.0001, 0.01, 0.1, got 0.2"),
        ("trials = 10", ENQUEUE + "momentum = 0.2", "enqueue[0].momentum must be a parameter of the space"),
        ("trials = 10", ENQUEUE + "depth = [1]", "enqueue[0].depth must be a finite number, a string, true, false or { none = true }, got [1]"),
        ("trials = 10", "trials = 99999999999999999999", "budget.trials must be <= 2147483647, got 99999999999999999999"),
        ("high = 6", "high = 9999999", "space.depth.high must be <= 1000, got 9999999"),
        ("seed = 0", "seed = 1979-05-27", "study.seed must be a valid integer, got 1979-05-27"),
        ("[budget]\ntrials = 10", "[[budget]]\ntrials = 10", "budget must be a table, got [{'trials': 10}]"),
        ("[study]", "[study", "must be TOML: "),
        ("[study]", 'objective = "mine:f"\n[study]', "[training] must not stand beside objective, got 'mine:f'"),
        ("[study]", 'objective = "mine"\n[study]', "objective must be package.module:function, got 'mine'"),
        ('"accuracy"', '"loss"', "study.metric must be 'accuracy' beside [training], got 'loss'"),
        ("epochs = 10", 'precision = "half"', "training.precision must be 'float32', 'tf32' or 'bf16', got 'half'"),
        ("epochs = 10", 'value = "mean"', "training.value must be 'last' or 'mean-of-last-3', got 'mean'"),
        ("trials = 10", "trials = 10\nhours = 0", "budget.hours must be > 0, got 0"),
        ("trials = 10", "trials = 10\nepoch_seconds = -1.5", "budget.epoch_seconds must be > 0, got -1.5"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused(old: str, new: str, message: str) -> None:
    """A wrong study file is refused with file, key, rule and value."""
    assert old in LAB
    with pytest.raises(errors.StudyFileError) as raised:
        specs.parse(LAB.replace(old, new, 1), "lab.toml")
    assert str(raised.value).startswith("lab.toml: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


OWN = """
objective = "mine:objective"

[study]
name = "own"
direction = "minimize"
metric = "loss"

[space]
alpha = { low = 1e-6, high = 1, log = true }
ratio = { low = 0, high = 1.0, step = 0.25 }
size = { low = 1, high = 1024, log = true }
loss = ["hinge", "log_loss"]
early = [true, false]
patience = { choices = [1, 5], when = "size > 3" }

[budget]
trials = 10
"""


def test_an_own_objective_takes_any_space() -> None:
    """With an objective of one's own: any names, floats where a bound is one, booleans, minimize, nothing hopeless."""
    spec = specs.parse(OWN + "[[enqueue]]\nratio = 1\nearly = false\n", "own.toml")
    assert (spec.objective, spec.training, spec.pruning.is_on) == ("mine:objective", None, False)
    by_name = {p.name: p.distribution for p in spec.space.parameters}
    assert by_name["alpha"] == optuna.distributions.FloatDistribution(1e-6, 1.0, log=True)
    assert by_name["ratio"] == optuna.distributions.FloatDistribution(0.0, 1.0, step=0.25)
    assert by_name["size"] == optuna.distributions.IntDistribution(1, 1024, log=True)
    assert by_name["early"] == optuna.distributions.CategoricalDistribution([True, False])
    assert spec.enqueue == ({"ratio": 1.0, "early": False},)
    assert spec.space.parse("early", "TRUE") is True
    assert spec.space.parse("size", "7") == 7
    assert spec.space.parse("alpha", "1") == 1.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("step = 0.25", "step = 0.3", "space.ratio.step must divide high - low = 1, got 0.3"),
        ("low = 1e-6", 'low = "a"', "space.alpha.low must be a finite number, got 'a'"),
        ('"size > 3"', '"loss > 3"', "space.patience.when must compare with == or != where values are no numbers"),
        ("low = 1e-6", "low = 0.0", "space.alpha.log must have low > 0 and no step, got low = 0.0"),
        ("alpha =", '"alpha " =', "space.'alpha ' must be a name without blanks at its start or end, got 'alpha '"),
        ('"log_loss"]', '"hinge"]', "space.loss[1] must not repeat an earlier choice, got 'hinge'"),
        ("[budget]", "[pruning]\nhopeless = true\n[budget]", "pruning.hopeless must be false beside objective"),
        ("[budget]", '[pruning]\npruner = "hyperband"\n[budget]', "pruning.max_resource must say how many steps"),
        (
            "[budget]",
            '[training]\nvalue = "mean-of-last-3"\n[budget]',
            "training.value must not stand beside objective: a trial's value is what the function returns or yields "
            "last, got 'mean-of-last-3'",
        ),
        ('"minimize"', '"down"', "study.direction must be 'maximize' or 'minimize', got 'down'"),
    ],
)
def test_a_wrong_file_of_an_own_objective_is_refused(old: str, new: str, message: str) -> None:
    """What an objective of one's own does not allow is named in the same form."""
    assert old in OWN
    with pytest.raises(errors.StudyFileError) as raised:
        specs.parse(OWN.replace(old, new, 1), "own.toml")
    assert message in str(raised.value)


def test_a_circle_of_branches_is_refused() -> None:
    """Two branches that wait for each other are named with their conditions."""
    text = LAB.replace('512], when = "depth > 0"', "512], when = \"activation == 'ReLU'\"")
    text = text.replace('"GELU"], when = "depth > 0"', '"GELU"], when = "width > 32"')
    with pytest.raises(errors.StudyFileError) as raised:
        specs.parse(text, "lab.toml")
    assert str(raised.value) == (
        "lab.toml: space.width.when must not form a circle, "
        "got width (when activation == 'ReLU') -> activation (when width > 32)"
    )


def test_width_at_depth_zero_is_dropped_and_said() -> None:
    """An enqueued configuration of depth 0 loses its width and activation, with a note that names them."""
    text = LAB + '[[enqueue]]\nlearning_rate = 0.1\nbatch_size = 72\ndepth = 0\nwidth = 128\nactivation = "ReLU"\n'
    spec = specs.parse(text, "lab.toml")
    assert spec.enqueue == ({"learning_rate": 0.1, "batch_size": 72, "depth": 0},)
    assert spec.notes == ("enqueue[0]: width and activation dropped: they do not exist at depth 0",)


def test_enqueued_twice_is_refused() -> None:
    """The same configuration twice in a file is refused, also where only a dropped value differs."""
    one = "[[enqueue]]\nlearning_rate = 0.1\nbatch_size = 72\ndepth = 0\n"
    with pytest.raises(errors.StudyFileError, match=r"enqueue\[1\] must differ from enqueue\[0\]"):
        specs.parse(LAB + one + one + "width = 32\n", "lab.toml")


def test_an_unreadable_file_is_one_line(tmp_path: pathlib.Path) -> None:
    """A missing or binary file is an error that names it."""
    with pytest.raises(errors.StudyFileError, match="nothing.toml: cannot be read"):
        specs.load(tmp_path / "nothing.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(errors.StudyFileError, match="binary.toml: cannot be read"):
        specs.load(binary)


def test_differences_name_what_cannot_change() -> None:
    """Space and training are compared key by key; budget, sampler and pruning may differ."""
    one = specs.parse(LAB, "a")
    same = LAB.replace("trials = 10", "trials = 99").replace("hopeless = true", "hopeless = false")
    assert specs.differences(one, specs.parse(same, "b")) == []
    other = LAB.replace("epochs = 10", "epochs = 3").replace("high = 128", "high = 64")
    found = specs.differences(one, specs.parse(other, "b"))
    assert found[0] == "training.epochs is 10, the file says 3"
    assert found[1].startswith("space.batch_size is IntDistribution(high=128")
    assert len(found) == 2


def test_ranges_and_constants() -> None:
    """A continuous learning rate and one-value lists make a space too; an integer rate is read as a float."""
    text = LAB.replace("[1e-4, 1e-2, 1e-1]", "{ low = 1e-4, high = 1, log = true }").replace(
        "{ low = 1, high = 128 }", "[64]"
    )
    spec = specs.parse(text, "lab.toml")
    assert spec.space.size is None
    assert specs.parse(LAB.replace("[1e-4, 1e-2, 1e-1]", "[1]"), "lab.toml").space.size == 128 * 55
