"""Studies that begin with what another one has found."""

import contextlib
import dataclasses
import pathlib
from concurrent import futures

import optuna
import pytest
from conftest import quick_text
from forgetful import Forgetful
from trials import Make, begin, fail, succeed

from search import errors
from search.ledger import amendments, checks, studies, summaries, warm_starts
from search.storage import databases
from search.study import specs

WARM = '\n[warm_start]\nfrom = "quick"\n'


def spec(more: str = WARM, name: str = "next", **settings: object) -> specs.StudySpec:
    return specs.parse(quick_text(name=name, trials=3, **settings) + more, "next.toml")  # type: ignore[arg-type]


def worked(database: databases.Database, make_study: Make, count: int = 4) -> studies.Study:
    """A study with so many results, a failure and one that runs."""
    study = make_study(trials=9, sampler="grid")
    for _ in range(count):
        succeed(database, begin(database, study))
    fail(database, begin(database, study), "why not")
    begin(database, study)
    return study


def test_a_study_begins_with_another_s_results(opened: databases.Database, make_study: Make) -> None:
    """Those that fit come in, once, before what is enqueued; the others are counted, with the reason."""
    source = worked(opened, make_study)
    first = next(source.spec.space.configurations())
    lines = "\n".join(f"{name} = {value!r}" for name, value in first.items())
    study, notes = warm_starts.create(opened, spec(f"{WARM}[[enqueue]]\n{lines}\n[[enqueue]]\ndepth = 0\n"))
    assert notes == [
        "4 results of study 'quick' imported as trials 0 to 3, outside the budget",
        "1 result left out: without a result: FAIL (study quick, trial 4)",
        "1 result left out: without a result: RUNNING (study quick, trial 5)",
    ]
    summary = summaries.whole(opened, study)
    assert (summary.imported, summary.total, summary.done) == (4, 5, 0)
    assert summary.trials[3].user_attrs["search:imported"] == "study quick, trial 3"
    assert all(check.holds for check in checks.look(opened, study))


def test_once_whatever_is_lost_and_whoever_makes_it(url: str, make_study: Make, opened: databases.Database) -> None:
    """A lost acknowledgement, and four who make it at one moment: one study, with the results once."""
    worked(opened, make_study)
    database = Forgetful(url)
    study, _ = database.lossy(lambda: warm_starts.create(database, spec()))
    assert summaries.summary(database, study).imported == 4
    database.close()

    def make(_: int) -> bool:
        database = databases.Database(url)
        with contextlib.closing(database):
            try:
                warm_starts.create(database, spec(name="together"))
            except errors.StudyExists:
                return False
            return True

    with futures.ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(make, range(4))) == 1
    assert summaries.summary(opened, studies.load(opened, "together")).imported == 4


def test_an_end_in_the_middle_leaves_no_study(opened: databases.Database, make_study: Make) -> None:
    """The study and its results are one transaction."""
    worked(opened, make_study)

    def break_off(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        warm_starts.create(opened, spec(), break_off)
    assert studies.names(opened) == ["quick"]


def test_from_another_storage(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """Plain Optuna's study in a file: looked at only; one that is not there is said with the key."""
    place = f"sqlite:///{tmp_path}/plain.db"
    plain = optuna.create_study(study_name="plain", storage=place, direction="maximize")
    kinds = {p.name: p.distribution for p in spec().space.parameters}
    params = {"learning_rate": 0.1, "batch_size": 9, "depth": 0}
    own = {name: kinds[name] for name in params}
    for batch in (9, 9, 200):
        wide = {**own, "batch_size": optuna.distributions.IntDistribution(1, 300)}
        trial = optuna.trial.create_trial(params={**params, "batch_size": batch}, distributions=wide, value=0.5)
        plain.add_trial(trial)
    more = f'\n[warm_start]\nfrom = "plain"\nstorage = "{place}"\n'
    _, notes = warm_starts.create(opened, spec(more))
    assert notes == [
        "1 result of study 'plain' imported as trial 0, outside the budget",
        "1 configuration there already, left as they are: study plain, trial 1 (trial 0)",
        "1 result left out: batch_size must be an integer from 1 to 128, got 200 (study plain, trial 2)",
    ]
    for wrong, message in (
        (
            more.replace('"plain"', '"plane"'),
            r"other: warm_start.from: no study 'plane' in .*; did you mean plain",
        ),
        (more.replace("plain.db", "away.db"), "other: warm_start.storage: no database at"),
    ):
        with pytest.raises(errors.StudyNotFound, match=message):
            warm_starts.create(opened, spec(wrong, name="other"))


@pytest.mark.parametrize(
    ("directions", "metric", "message"),
    [
        (["minimize"], None, "a study must maximize, as 'next' does, got 'plain', which minimizes"),
        (["maximize", "minimize"], None, "a study must have one objective, got 2"),
        (["maximize"], "loss", "the metric of a study must be 'accuracy', as that of 'next', got loss of 'plain'"),
    ],
)
def test_one_that_seeks_something_else_is_refused(
    opened: databases.Database, url: str, directions: list[str], metric: str | None, message: str
) -> None:
    """Another direction, another metric, several objectives; and no study is made."""
    plain = optuna.create_study(study_name="plain", storage=url, directions=directions)
    if metric is not None:
        plain.set_metric_names([metric])
    with pytest.raises(errors.InputError, match=f"next: warm_start.from: {message}"):
        warm_starts.create(opened, spec(WARM.replace("quick", "plain")))
    assert studies.find(opened, "next") is None


def test_an_edited_file_is_followed(opened: databases.Database, make_study: Make) -> None:
    """`[warm_start]` is noted where the study has none, and `search amend` imports, the second time nothing."""
    worked(opened, make_study)
    study, _ = warm_starts.create(opened, spec(""))
    known = studies.find_same(opened, spec())
    assert known is not None
    assert known[1] == ["warm_start.from of the file is quick, the study has none: `search amend next` takes it over"]
    assert warm_starts.follow(opened, study, spec())[0].startswith("4 results of study 'quick' imported")
    amendments.amend(opened, study, spec())
    assert summaries.summary(opened, study).imported == 4
    again = studies.load(opened, "next")
    assert warm_starts.follow(opened, again, spec()) == []


def test_a_study_without_it_is_made_as_ever(opened: databases.Database) -> None:
    """No notes but those of the file."""
    study, notes = warm_starts.create(opened, dataclasses.replace(spec(""), notes=("one",)))
    assert (summaries.summary(opened, study).total, notes) == (0, ["one"])
