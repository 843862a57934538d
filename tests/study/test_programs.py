"""A program of the user's own: what a study file may say of it, and the arguments of a configuration."""

import pytest

from search import errors
from search.study import programs, specs

TEXT = """\
command = ["python", "train.py", "--lr", "{lr}", ["--width", "{width}"], "--out={trial_dir}", "{{raw}}"]
metric = { from = "stdout", pattern = 'acc=(?P<value>\\S+)' }

[study]
name = "program"

[space]
lr = { low = 1e-4, high = 1.0, log = true }
depth = [0, 1]
width = { choices = [8, 16], when = "depth > 0" }
early = [true, false]

[budget]
trials = 3
"""


def test_arguments_hold_the_configuration() -> None:
    """Names in braces are filled in, a list without its parameter is left out, and doubled braces are braces."""
    spec = specs.parse(TEXT, "s.toml")
    assert spec.command is not None
    with_width = programs.fill(spec.command, {"lr": 0.25, "depth": 1, "width": 8}, {"trial_dir": "/t"})
    assert with_width == ["python", "train.py", "--lr", "0.25", "--width", "8", "--out=/t", "{raw}"]
    without = programs.fill(spec.command, {"lr": 1e-4, "depth": 0}, {"trial_dir": "a b"})
    assert without == ["python", "train.py", "--lr", "0.0001", "--out=a b", "{raw}"]


def test_the_environment_holds_it_too() -> None:
    """Names become upper case, other signs an underscore; values are written as in a study file."""
    found = programs.variables({"model.lr": 0.5, "early": True, "warm": None, "kind": "a b"})
    assert found == {
        "SEARCH_PARAM_MODEL_LR": "0.5",
        "SEARCH_PARAM_EARLY": "true",
        "SEARCH_PARAM_WARM": "none",
        "SEARCH_PARAM_KIND": "a b",
    }


def test_a_program_has_its_objective_to_itself() -> None:
    """The name that a program is allowed by has its words, and its checksum tells what a join of words does not."""
    spec = specs.parse(TEXT, "s.toml")
    assert str(spec.code).startswith("command:python train.py --lr {lr} --width {width}")
    other = specs.parse(TEXT.replace('"--lr", "{lr}"', '"--lr {lr}"'), "s.toml")
    assert other.code == spec.code
    assert other.code_checksum != spec.code_checksum


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"{lr}"', '"{rate}"', "command[3] must name what there is (depth, early, lr, width, number, seed, "),
        ('["--width", "{width}"]', '"{width}"', "command[4]: width does not exist in every configuration"),
        ('"python"', "3", "command must be a list of strings, or of lists of them, none empty, got 3"),
        ('["--width", "{width}"]', "[]", "command must be a list of strings, or of lists of them, none empty, got []"),
        ("(?P<value>\\S+)", "", "metric.pattern must have a group called value"),
        ("(?P<value>\\S+)", "(", "metric.pattern must be a regular expression: "),
        ("(?P<value>\\S+)", "(.)(.)", "metric.pattern must have a group called value"),
        ('"stdout"', '"file"', "metric must have a path beside from = 'file'"),
        ('"stdout"', '"stderr"', "metric.from must be 'stdout' or 'file', got 'stderr'"),
        ("metric =", "# metric =", "metric is missing: where the command says its values"),
        ("command =", "objective = 'a:b'\ncommand =", "command must not stand beside objective, got 'a:b'"),
        ("[study]", "[training]\n[study]", "[training] must not stand beside command"),
        ("depth = [0", "seed = [1]\ndepth = [0", "space.seed must have another name beside command"),
    ],
)
def test_what_cannot_be_run_is_refused(old: str, new: str, told: str) -> None:
    """Each mistake in one line that names place, rule and value."""
    with pytest.raises(errors.StudyFileError) as refused:
        specs.parse(TEXT.replace(old, new, 1), "s.toml")
    assert str(refused.value).startswith(f"s.toml: {told}")
    assert "\n" not in str(refused.value)


def test_a_metric_or_a_process_of_nothing_is_refused() -> None:
    """`metric` beside an objective, and [trial] beside the lab's networks, say where they belong."""
    own = TEXT.replace(TEXT.splitlines()[0], 'objective = "a:b"')
    with pytest.raises(errors.StudyFileError, match="metric must stand beside command"):
        specs.parse(own, "s.toml")
    lab = '[study]\nname = "l"\n[trial]\n[space]\nlearning_rate = [0.1]\n[budget]\ntrials = 1'
    with pytest.raises(errors.StudyFileError, match=r"\[trial\] must stand beside objective or command"):
        specs.parse(lab, "s.toml")


def test_a_store_holds_no_secret() -> None:
    """A study file is stored with the study: a password in its store's URL is refused, and not shown."""
    with_store = TEXT.replace("[study]", '[trial]\nstore = "{}"\n[study]', 1)
    assert specs.parse(with_store.replace("{}", "s3://bucket/a"), "s.toml").trial.store == "s3://bucket/a"
    with pytest.raises(errors.StudyFileError, match=r"^s\.toml: trial\.store must hold no password") as refused:
        specs.parse(with_store.replace("{}", "s3://key:pa55@bucket/a"), "s.toml")
    assert "pa55" not in str(refused.value)


def test_a_path_of_values_names_what_there_is() -> None:
    """A mistyped place is refused before a study is made, as one in the command is."""
    metric = TEXT.splitlines()[1]
    written = TEXT.replace(metric, 'metric = { from = "file", path = "{trial_dirr}/l" }')
    assert "trial_dirr" in written
    with pytest.raises(errors.StudyFileError, match=r"metric.path must name what there is .* got \{trial_dirr\}"):
        specs.parse(written, "s.toml")
