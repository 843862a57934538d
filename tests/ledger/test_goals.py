"""What is said of the limits that end a study: status, JSON, metrics, what to type."""

import json

import pytest
from forgetful import Forgetful
from optuna.trial import TrialState
from prometheus_client import CollectorRegistry, generate_latest
from trials import Make, take

from search import cli
from search.dashboard import metrics
from search.ledger import allocations, claims, goals, orders, remarks, stops, studies, summaries
from search.storage import databases
from search.study import specs

LIMITS = 'target = 0.9\npatience = 3\ndeadline = "4h"'


@pytest.fixture
def ended(opened: databases.Database, make_study: Make) -> studies.Study:
    """A study that its patience has ended."""
    study = make_study(trials=20, more=LIMITS)
    for value in (0.8, 0.7, 0.8, 0.1):
        claims.tell(opened, take(opened, study), TrialState.COMPLETE, value, {})
    assert take(opened, study) is allocations.NoTrial.PATIENCE
    return study


def test_a_line_says_how_far_each_is(opened: databases.Database, ended: studies.Study) -> None:
    """And which has ended the study, with what to type."""
    found = summaries.summary(opened, ended)
    assert goals.lines(found) == [
        "target: the best accuracy is 0.8000, 0.9000 is enough",
        "patience: 3 of 3 finished trials without improvement: `search extend quick --patience N` lets it go on",
        "deadline: 4h from the begin of the run, 4.0 h left",
    ]
    assert goals.reason(found) == "its patience is used up, 3 of 3 finished trials without improvement"


def test_a_study_without_limits_says_nothing(opened: databases.Database, make_study: Make) -> None:
    """Its JSON has the keys all the same."""
    found = summaries.summary(opened, make_study(trials=2))
    assert (goals.lines(found), goals.reason(found)) == ([], None)
    assert set(goals.as_json(found).values()) == {None}


def test_commands_say_it(
    opened: databases.Database, ended: studies.Study, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status in lines and JSON, `extend` with what holds then; what cannot be is one line and exit code 2."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main([*words, "--storage", url])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    assert "patience: 3 of 3 finished trials without improvement" in run("status", "quick")[1]
    assert "ended: patience" in run("list")[1]
    found = json.loads(run("status", "quick", "--json")[1])
    names = ("target", "patience", "deadline", "regret", "unimproved", "regret_bound", "ended_by")
    assert [found[name] for name in names] == [0.9, 3, "4h", None, 3, None, "patience"]
    assert 14_000 < found["deadline_seconds"] <= 14_400
    code, out, _ = run("extend", "quick", "--trials", "5")
    assert (code, "its patience is used up" in out, "`search extend quick --patience N`" in out) == (0, True, True)
    code, out, _ = run("extend", "quick", "--patience", "2", "--target", "0.95", "--deadline", "none")
    assert (code, out.partition(";")[0]) == (
        0,
        "study 'quick': budget 25, target 0.95, patience 5, deadline none, 4 done",
    )
    for words, rule in (
        (("--target", "nan"), "extend: target must be a finite number, got nan"),
        (("--patience", "0"), "extend: patience must be >= 1, got 0"),
        (("--deadline", "soon"), "extend: deadline must be a time from the begin of a run"),
        (("--deadline", "2020-01-01T00:00:00Z"), "--deadline must lie ahead of the database's clock"),
        (("--regret", "0.1"), "--regret must not stand beside sampler.name 'random'"),
        (("--target", "much"), "'--target'"),
    ):
        code, out, err = run("extend", "quick", *words)
        assert (code, out, rule in err) == (2, "", True), err


def test_prometheus_has_them(opened: databases.Database, ended: studies.Study, make_study: Make) -> None:
    """Each where it is set; which of them has ended the study."""
    make_study(name="other", trials=2)
    registry = CollectorRegistry()
    registry.register(metrics.Collector(opened))
    found = generate_latest(registry).decode()
    for line in (
        'search_target{study="quick"} 0.9',
        'search_patience_trials{study="quick"} 3.0',
        'search_unimproved_trials{study="quick"} 3.0',
        'search_ended{limit="target",study="quick"} 0.0',
        'search_ended{limit="patience",study="quick"} 1.0',
    ):
        assert line in found
    assert 'search_deadline_seconds{study="quick"} 14' in found
    assert 'study="other"' not in "".join(line for line in found.splitlines() if "target" in line or "ended" in line)


def test_an_edited_file_is_told_what_takes_it_over(opened: databases.Database, make_study: Make) -> None:
    """By `extend` where it sets the key, by `amend` else."""
    study = make_study(trials=20, more=LIMITS)
    text = study.spec.text.replace("0.9", "0.95").replace("patience = 3", "patience = 9").replace('"4h"', '"1d"')
    order = opened.read(lambda connection: orders.read(connection, study))
    assert list(remarks.of(study.spec, specs.parse(text, "quick.toml"), order)) == [
        "budget.target of the file is 0.95, the study has 0.9: `search extend quick --target 0.95` takes it over",
        "budget.patience of the file is 9, the study has 3: `search amend quick` takes it over",
        "budget.deadline of the file is 1d, the study has 4h: `search extend quick --deadline 1d` takes it over",
    ]


def test_lost_acknowledgements_begin_a_run_once(url: str) -> None:
    """The first claim, a bound of the regret and more patience, each sent twice."""
    database = Forgetful(url, patience_seconds=30)

    from conftest import quick_text

    study = studies.create(database, specs.parse(quick_text(trials=9, more=LIMITS), "x"))
    bound = stops.Bound(0.5, 0)
    worker, watch = allocations.presence.Identity.this(), allocations.presence.Watch()
    claim = database.lossy(lambda: allocations.take(database, study, worker, watch, bound=bound))
    order = database.read(lambda connection: orders.read(connection, study))
    assert (order.begun_at is not None, order.bound, order.bound_trials) == (True, 0.5, 0)
    database.lossy(lambda: claims.tell(database, claim, TrialState.COMPLETE, 0.5, {}))
    assert summaries.summary(database, study).standing.unimproved == 0
    assert database.lossy(lambda: orders.extend(database, study, patience=2)).patience == 5
    database.close()
