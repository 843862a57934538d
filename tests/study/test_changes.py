"""What a study file says now that its study does not: no key of a file is forgotten."""

import itertools
from typing import Any

import optuna
import pydantic
import pytest
import tomli_w
from trials import Make

from search import errors
from search.ledger import studies
from search.storage import databases
from search.study import changes, contrasts, sections, specs

BASE: dict[str, Any] = {
    "objective": "own:f",
    "study": {"name": "s", "direction": "minimize", "metric": "loss", "seed": 1},
    "space": {"x": [1, 2, 3], "y": [1, 2]},
    "sampler": {"name": "random"},
    "pruning": {"pruner": "percentile", "startup_trials": 3, "warmup_epochs": 1, "percentile": 20.0},
    "budget": {
        "trials": 5,
        "hours": 1.0,
        "epoch_seconds": 9.0,
        "max_failures": 4,
        "target": 0.5,
        "patience": 5,
        "deadline": "4h",
    },
    "enqueue": [{"x": 1, "y": 1}],
}
NETWORKS: dict[str, Any] = {
    "study": {"name": "s"},
    "training": {"dataset": "synthetic", "epochs": 3, "evaluate_on": "test", "engine": "auto", "record": []},
    "space": {"learning_rate": [0.1], "batch_size": [7, 8], "depth": [1], "width": [8], "activation": ["ReLU"]},
    "budget": {"trials": 2},
}
PAUSING: dict[str, Any] = {
    **BASE,
    "pruning": {"pruner": "asha", "reduction_factor": 3, "min_resource": 2, "max_resource": 27, "checkpoints": 5},
}
BOUNDED: dict[str, Any] = {**BASE, "sampler": {"name": "gp-cost"}, "budget": {"trials": 5, "regret": 0.01}}
TPE: dict[str, Any] = {**BASE, "sampler": {"name": "tpe", "startup_trials": 6}}
PROGRAM: dict[str, Any] = {
    **{key: value for key, value in BASE.items() if key != "objective"},
    "command": ["train", "--x", "{x}"],
    "metric": {"from": "stdout", "pattern": "loss=(.*)"},
}
RECORDING: dict[str, Any] = {**PROGRAM, "metric": {"from": "file", "path": "{trial_dir}/loss.jsonl"}}
WARM: dict[str, Any] = {**BASE, "warm_start": {"from": "other", "storage": "sqlite:///other.db"}}
OWN: dict[str, Any] = {**BASE, "trial": {"process": "fresh", "max_seconds": 9.0, "store": "kept"}}
PUBLISHED: dict[str, Any] = {**BASE, "publish": {"to": "tensorboard:board", "seconds": 30}}
TOLD: dict[str, Any] = {**BASE, "notify": {"urls_file": "urls", "quiet_minutes": 5.0}}
# a file to begin with, and another value of each key; None takes the key out
VALUES: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "objective": (BASE, ["own:g"]),
    "command": (PROGRAM, [["train", "{x}"], ["train", ["--x", "{x}"]]]),
    "metric.pattern": (PROGRAM, ["error=(.*)"]),
    "metric.path": (RECORDING, ["elsewhere.jsonl"]),
    "metric.value": (RECORDING, ["loss"]),
    "metric.step": (RECORDING, ["epoch"]),
    "trial.process": (OWN, ["warm", None]),
    "trial.max_seconds": (OWN, [10.0, None]),
    "trial.silent_seconds": (OWN, [60]),
    "trial.gpus": (OWN, [2]),
    "trial.store": (OWN, ["elsewhere", None]),
    "publish.to": (PUBLISHED, [["tensorboard:board", "wandb:runs"], None]),
    "publish.seconds": (PUBLISHED, [60, None]),
    "space": (BASE, [{"x": [1, 2], "y": [1, 2]}, {"x": [1, 2, 3], "y": [1, 2], "z": [0]}]),
    "study.direction": (BASE, ["maximize"]),
    "study.metric": (BASE, ["error", None]),
    "study.seed": (BASE, [2, None]),
    "training.dataset": (NETWORKS, ["fashion-mnist"]),
    "training.epochs": (NETWORKS, [4]),
    "training.evaluate_on": (NETWORKS, ["validation"]),
    "training.value": (NETWORKS, ["mean-of-last-3"]),
    "training.engine": (NETWORKS, ["reference"]),
    "training.precision": (NETWORKS, ["bf16", "tf32"]),
    "training.record": (NETWORKS, [["batch_losses"]]),
    "sampler.startup_trials": (TPE, [4, None]),
    "sampler.name": (BASE, ["tpe", "grid", None]),
    "pruning.hopeless": (NETWORKS, [False]),
    "pruning.pruner": (BASE, ["median"]),
    "pruning.startup_trials": (BASE, [4, None]),
    "pruning.warmup_epochs": (BASE, [0, None]),
    "pruning.percentile": (BASE, [30.0, None]),
    "pruning.reduction_factor": (BASE, [2]),
    "pruning.min_resource": (PAUSING, [1, None]),
    "pruning.max_resource": (PAUSING, [81]),
    "pruning.checkpoints": (PAUSING, [0, None]),
    "budget.trials": (BASE, [4, 6]),
    "budget.hours": (BASE, [0.5, 2.5, None]),
    "budget.epoch_seconds": (BASE, [1.5, None]),
    "budget.target": (BASE, [0.25, None]),
    "budget.patience": (BASE, [3, 9, None]),
    "budget.deadline": (BASE, ["2h", "2120-12-01T08:00:00Z", None]),
    "budget.regret": (BOUNDED, [0.1, None]),
    "budget.max_failures": (BASE, [3, 7, None]),
    "warm_start.from": (WARM, ["third"]),
    "warm_start.storage": (WARM, ["sqlite:///elsewhere.db", None]),
    "notify.urls_file": (TOLD, ["elsewhere"]),
    "notify.on": (TOLD, [["finished"]]),
    "notify.quiet_minutes": (TOLD, [6.0, None]),
    "notify.stalled_minutes": (TOLD, [90.0]),
    "enqueue": (BASE, [[], [{"x": 2, "y": 1}], [{"x": 1, "y": 1}, {"x": 3}]]),
}
OTHERS = {"study.name", "metric.from"}  # another study; what another source needs beside it is another too


def keys() -> list[str]:
    """Every key that a study file may have, as the tables say."""
    found = []
    for name, field in sections.File.model_fields.items():
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        table = next((k for k in kinds if isinstance(k, type) and issubclass(k, pydantic.BaseModel)), None)
        found += [name] if table is None else [f"{name}.{f.alias or key}" for key, f in table.model_fields.items()]
    return found


def changed(base: dict[str, Any], key: str, value: Any) -> specs.StudySpec:
    raw = {name: dict(table) if isinstance(table, dict) else table for name, table in base.items()}
    section, _, name = key.partition(".")
    table, name = (raw.setdefault(section, {}), name) if name else (raw, section)
    if key == "pruning.pruner":  # its options are its own
        table.pop("percentile", None)
    if key == "pruning.reduction_factor":
        raw["pruning"] = {"pruner": "successive-halving"}
        table = raw["pruning"]
    if value is None:
        del table[name]
    else:
        table[name] = value
    return specs.parse(tomli_w.dumps(raw), "s.toml")


def test_the_walk_knows_every_key() -> None:
    """A key that is added to a table needs its row here, and so its note."""
    assert set(keys()) == set(VALUES) | OTHERS


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, (_, values) in VALUES.items() for value in values], ids=str
)
def test_no_key_changes_in_silence(opened: databases.Database, key: str, value: Any) -> None:
    """Each difference is refused by name where it defines the study, and else noted with the command that mends it."""
    base, _ = VALUES[key]
    original = specs.parse(tomli_w.dumps(base), "s.toml")
    studies.create(opened, original)
    edited = changed(base, key, value)
    if key.partition(".")[0] in changes.DEFINING:
        with pytest.raises(errors.StudyExists, match=key.removesuffix(".name").partition("metric.")[0] or "metric"):
            studies.find_same(opened, edited)
        return
    found = studies.find_same(opened, edited)
    assert found is not None
    noted = [note for note in found[1] if note.startswith(f"{key} of the file is ")]
    assert len(noted) == 1, found[1]
    assert noted[0].endswith("takes it over")
    assert "`search extend s --" in noted[0] or "`search amend s`" in noted[0]


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, (_, values) in VALUES.items() for value in values], ids=str
)
def test_no_key_is_missing_where_files_stand_side_by_side(key: str, value: Any) -> None:
    """Each difference is a row of the key, with what both say; but for what goes with it there is no other row."""
    base, _ = VALUES[key]
    pair = [specs.parse(tomli_w.dumps(base), "s.toml"), changed(base, key, value)]
    files = [contrasts.settings(spec, dict(spec.budget)) for spec in pair]
    rows = dict(contrasts.of(files, [True, True]))
    if key.startswith(("publish.", "notify.")):  # changes no result
        assert rows == {}
        return
    shown = [row for row in rows if row == key or row.startswith(f"{key}.") or row == key.partition("metric.")[0]]
    assert shown or (key.startswith("metric.") and "metric" in rows), rows
    assert all(len(set(values)) == 2 for values in rows.values())
    assert {row.partition(".")[0] for row in rows} == {key.partition(".")[0]}
    assert contrasts.of([files[0], files[0]], [True, True]) == []


def test_a_study_without_a_file_differs_in_what_it_says_alone() -> None:
    """Its space is known whole, so a parameter that it lacks is a difference; what a file alone says is none."""
    spec = specs.parse(tomli_w.dumps(BASE), "s.toml")
    asked = contrasts.asked({"x": [optuna.distributions.IntDistribution(1, 9)]})
    found = contrasts.of([contrasts.settings(spec, dict(spec.budget)), asked], [True, False])
    assert found == [("space.x", ["1, 2, 3", "1 to 9"]), ("space.y", ["1, 2", "-"])]


def test_a_file_that_is_as_it_was_is_silent(opened: databases.Database, make_study: Make) -> None:
    """Comments, order and what defaults are spelt out are no difference."""
    studies.create(opened, specs.parse(tomli_w.dumps(NETWORKS), "s.toml"))
    spelt = {**NETWORKS, "sampler": {"name": "tpe"}, "pruning": {"hopeless": True}, "enqueue": []}
    spelt["budget"] = {"trials": 2, "max_failures": 10}
    for text in (tomli_w.dumps(NETWORKS), "# more\n" + tomli_w.dumps(dict(reversed(list(spelt.items()))))):
        found = studies.find_same(opened, specs.parse(text, "s.toml"))
        assert found is not None
        assert found[1] == []


BEFORE = {**NETWORKS, "training": {"dataset": "synthetic", "epochs": 3}}


def test_a_default_that_has_changed_is_no_difference(opened: databases.Database) -> None:
    """A study stored without the key keeps the test set, and its file, unsaid still, follows it; a word is one."""
    text = tomli_w.dumps(BEFORE)
    studies.create(opened, specs.parse_stored(text, "an earlier version's"))
    found = studies.find_same(opened, specs.parse(text, "s.toml"))
    assert found is not None
    assert (found[0].spec.training.evaluate_on, found[0].spec.text, found[1]) == ("test", text, [])
    said = changed(BEFORE, "training.evaluate_on", "test")
    assert specs.differences(found[0].spec, said) == []
    with pytest.raises(errors.StudyExists, match="training.evaluate_on is 'test', the file says 'validation'"):
        studies.find_same(opened, changed(BEFORE, "training.evaluate_on", "validation"))


def test_a_new_study_says_what_its_file_left_out(opened: databases.Database) -> None:
    """It is judged on the hold-out and its text says so: the same file is no difference, the test set is one."""
    text = tomli_w.dumps(BEFORE)
    studies.create(opened, specs.parse(text, "s.toml"))
    found = studies.find_same(opened, specs.parse(text, "s.toml"))
    assert found is not None
    assert specs.parse_stored(found[0].spec.text, "stored").training.evaluate_on == "validation"
    assert found[1] == []
    assert specs.differences(found[0].spec, changed(BEFORE, "training.evaluate_on", "validation")) == []
    with pytest.raises(errors.StudyExists, match="training.evaluate_on is 'validation', the file says 'test'"):
        studies.find_same(opened, changed(BEFORE, "training.evaluate_on", "test"))


def test_a_choice_that_was_taken_out_is_a_difference() -> None:
    """A file that said the test set and says nothing now asks for another study."""
    said = specs.parse(tomli_w.dumps({**BEFORE, "training": {"evaluate_on": "test"}}), "s.toml")
    left_out = specs.parse(tomli_w.dumps({**BEFORE, "training": {}}), "s.toml")
    assert specs.differences(said, left_out) == ["training.evaluate_on is 'test', the file says 'validation'"]


def test_every_table_is_either_the_study_s_definition_or_followed() -> None:
    """None is left between."""
    assert sorted(itertools.chain(changes.DEFINING, changes.FOLLOWED)) == sorted(sections.File.model_fields)
