"""Attributes of other tools and of users beside ours: whatever their names and values are, nothing breaks of them."""

import json
import math
from typing import Any

import optuna
import pytest
from conftest import quick_text
from prometheus_client import exposition, registry
from trials import trained

from search import cli
from search.dashboard import curves, metrics
from search.ledger import studies, summaries
from search.storage import databases, statements
from search.study import specs
from search.training import records

pytestmark = pytest.mark.usefixtures("own_folder")

ODD: tuple[Any, ...] = ("12 s", "fold-3", {"a": [1]}, True, None, [], [["x"]], 0.5, -7, 10**30, float("nan"))
USERS = (
    "avg_loss",
    "seconds",
    "repeat",
    "trained",
    "cpu_seconds",
    "reason",
    "worker",
    "batch_losses",
    "seed",
    "engine",
)
ONE_FACTOR = (
    quick_text(name="depths", trials=2, epochs=2, sampler="grid", hopeless="false")
    .replace("[1e-4, 1e-2, 1e-1]", "[0.1]")
    .replace("{ low = 1, high = 128 }", "[32]")
    .replace("{ low = 0, high = 6 }", "[1, 2]")
    .replace("[8, 16, 32]", "[8]")
    .replace('["ReLU", "Sigmoid", "GELU"]', '["ReLU"]')
    .replace('dataset = "synthetic"', 'dataset = "synthetic"\nrecord = ["train_accuracy", "batch_losses"]')
)


def test_a_user_s_names_and_a_tool_s_lies_break_nothing(
    opened: databases.Database, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """status, list, report, replay, metrics and curves of trials whose every attribute another tool has overwritten."""
    for name, text in (("depths", ONE_FACTOR), ("search", quick_text(name="search", trials=2, hopeless="false"))):
        study = studies.create(opened, specs.parse(text, "x.toml"))
        for _ in range(2):
            trained(opened, study)
        for shift in range(0, len(ODD), 4):
            for trial in optuna.load_study(study_name=name, storage=url).trials:
                overwrite(opened, trial._trial_id, shift)
            look(opened, study, capsys)


def overwrite(database: databases.Database, trial_id: int, shift: int) -> None:
    """As a careless tool does with SQL: Optuna itself changes no finished trial."""
    names = [*records.ATTRIBUTES, *USERS]
    values = {name: ODD[(place + shift) % len(ODD)] for place, name in enumerate(names)}
    database.write(lambda connection: statements.put_attributes(connection, trial_id, values))


def look(database: databases.Database, study: studies.Study, capsys: pytest.CaptureFixture[str]) -> None:
    name = study.name
    for words in (["status", name], ["list"], ["report", name], ["replay", name, "0"]):
        capsys.readouterr()
        code = cli.main([*words, "--storage", database.url])
        printed = capsys.readouterr()
        assert code in (0, 1), printed.err
        assert "Traceback" not in printed.err
    capsys.readouterr()
    assert cli.main(["status", name, "--json", "--storage", database.url]) == 0
    json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    found = registry.CollectorRegistry()
    found.register(metrics.Collector(database))
    assert f'search_trials{{state="complete",study="{name}"}} 2.0' in exposition.generate_latest(found).decode()
    for trial in summaries.whole(database, study).trials:
        assert curves._picture(trial.intermediate_values, "t", "m", records.REASON.read(trial, ""))


@pytest.mark.parametrize(("value", "shown"), [(math.inf, "+Inf"), (-math.inf, "-Inf"), (1e308, "1e+308")])
def test_prometheus_reads_any_best_value(opened: databases.Database, url: str, value: float, shown: str) -> None:
    """As it writes such numbers itself."""
    space = "x = { low = 0.0, high = 1.0 }"
    text = f'objective = "os:getcwd"\n[study]\nname = "own"\n[space]\n{space}\n[budget]\ntrials = 1\n'
    study = studies.create(opened, specs.parse(text, "own.toml"))
    kinds = {"x": study.spec.space.parameters[0].distribution}
    plain = optuna.load_study(study_name="own", storage=url)
    plain.add_trial(optuna.trial.create_trial(params={"x": 0.5}, distributions=kinds, value=value))
    found = registry.CollectorRegistry()
    found.register(metrics.Collector(opened))
    assert f'search_best_value{{study="own"}} {shown}\n' in exposition.generate_latest(found).decode()
