"""How workers train, from wherever it is told."""

import pathlib

import pytest

from search import errors
from search.cli import commands
from search.worker import settings
from search.worker.settings import Settings

OTHERS = {
    "workers": 3,
    "data_dir": pathlib.Path("elsewhere"),
    "device": "cuda:1",
    "engine": "reference",
    "grace_seconds": 7.5,
    "patience_seconds": 0.0,
    "save_seconds": 1.5,
    "slots": 4,
    "allow_objectives": "digits:objective,ours.*",
    "gpus": "0,2",
    "per_gpu": 2,
    "gpu_locks": pathlib.Path("locks"),
    "store": "s3://bucket/prefix",
    "trials_dir": pathlib.Path("/trials"),
    "log_format": "json",
}
NAMED = [(name, option) for name, option in settings.options() if option.variable]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, option in NAMED:
        monkeypatch.delenv(str(option.variable), raising=False)


@pytest.mark.parametrize(("name", "option"), NAMED, ids=[name for name, _ in NAMED])
def test_the_environment_stands_in(monkeypatch: pytest.MonkeyPatch, name: str, option: settings.Option) -> None:
    """What is not given, or None, is the environment's; what is given comes first; empty is as good as unset."""
    monkeypatch.setenv(str(option.variable), str(OTHERS[name]))
    assert getattr(Settings.from_environment(), name) == OTHERS[name]
    assert getattr(Settings.from_environment(**{name: None}), name) == OTHERS[name]
    default = getattr(Settings(), name)
    if default is not None:
        assert getattr(Settings.from_environment(**{name: default}), name) == default
    monkeypatch.setenv(str(option.variable), "")
    assert getattr(Settings.from_environment(), name) == default


def test_workers_of_ours_get_them_all() -> None:
    """`search work` understands what `search run` tells its workers, each setting but how many there are."""
    chosen = Settings(**OTHERS)
    context = commands.load("work").make_context("work", chosen.arguments("lab"))
    told = {name: context.params[name] for name in OTHERS if name != "workers"}
    assert told == {name: value for name, value in OTHERS.items() if name != "workers"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"slots": 0}, "slots: must be greater than or equal to 1, got 0"),
        ({"slots": 5_000}, "slots: must be less than or equal to 1024, got 5000"),
        ({"grace_seconds": 0.1}, "grace_seconds: must be greater than or equal to 0.3, got 0.1"),
        ({"workers": "many"}, "workers: must be a valid integer"),
        ({"per_gpu": 0}, "per_gpu: must be greater than or equal to 1, got 0"),
        ({"gpus": "cuda:0"}, "--gpus must be all, none, or numbers and UUIDs"),
        ({"patience_seconds": "nan?"}, "patience_seconds: must be a valid number"),
        ({"store": "ftp://host"}, "--store must be a folder or begin with one of s3://"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, object], message: str) -> None:
    """Name, rule and value, as bad input."""
    with pytest.raises(errors.InputError, match=message):
        Settings.from_environment(**given)


@pytest.mark.parametrize(
    ("device", "gpus", "trained_on"),
    [
        (None, None, "cpu"),
        (None, "all", "cuda"),
        (None, "0,2", "cuda"),
        (None, "none", "cpu"),
        ("cpu", "all", "cpu"),
        ("cuda:1", None, "cuda:1"),
    ],
)
def test_gpus_say_where_networks_are_trained(device: str | None, gpus: str | None, trained_on: str) -> None:
    """On CUDA where there are any, unless the device is named."""
    assert Settings(device=device, gpus=gpus).training_device == trained_on


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("all", {"digits:objective", "ours.nets:train", "os:system"}),
        ("none", set()),
        ("digits", {"digits:objective"}),
        ("digits:objective", {"digits:objective"}),
        ("digits:other", set()),
        ("digit", set()),
        ("ours", set()),
        ("ours.*", {"ours.nets:train"}),
        ("ours.*:train, digits", {"digits:objective", "ours.nets:train"}),
        ("ours.*:test", set()),
        ("none,digits", {"digits:objective"}),
        ("all,digits", {"digits:objective"}),
    ],
)
def test_objectives_are_allowed_by_name(value: str, allowed: set[str]) -> None:
    """All, none, or exactly the modules and functions that are named; a star stands for anything."""
    chosen = Settings(allow_objectives=value)
    assert {name for name in ("digits:objective", "ours.nets:train", "os:system") if chosen.allows(name)} == allowed


def test_an_unknown_setting_is_a_type_error() -> None:
    """As Python has it for an argument that a function does not take."""
    with pytest.raises(TypeError, match="'worker'; there are workers, data_dir"):
        Settings.from_environment(worker=2)
