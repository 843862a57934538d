"""Known results brought into a study: told apart, outside the budget, once, and never trained again."""

import contextlib
import json
import pathlib
from concurrent import futures
from typing import Any

import pytest
from conftest import quick_text
from forgetful import Forgetful
from trials import Make, begin, state, succeed, take

from search.ledger import (
    allocations,
    backups,
    checks,
    configurations,
    copies,
    digests,
    imports,
    queues,
    sentences,
    studies,
    summaries,
)
from search.space import spaces
from search.storage import databases, schema
from search.study import specs
from search.study.result_files import Record
from search.training import origins, spools


def spool(study: studies.Study, configurations: list[spaces.Params], value: float = 0.9, **more: Any) -> spools.Spool:
    found = spools.Spool("known.csv")
    for line, params in enumerate(configurations, 2):
        found.add(Record(f"known.csv:{line}", params, value, **more), study.spec)
    return found


def first(study: studies.Study, count: int) -> list[spaces.Params]:
    return [params for params, _ in zip(study.spec.space.configurations(), range(count), strict=False)]


def holds(database: databases.Database, study: studies.Study) -> None:
    assert [each for each in checks.look(database, study) if not each.holds] == []


def test_they_are_outside_the_budget_and_not_trained_again(opened: databases.Database, make_study: Make) -> None:
    """Complete and pruned ones reserve their configurations and count in no limit; the best says where it came from."""
    study = make_study(trials=2, sampler="grid")
    known = first(study, 3)
    with spool(study, known[:2], attributes={"mine": 1}, steps={1: 0.5}) as results:
        found = imports.take(opened, study, results)
    with spool(study, known[2:], 0.1, state="PRUNED") as results:
        imports.take(opened, study, results)
    assert (found.count, found.numbers, found.duplicates) == (2, (0, 2), 0)
    tried = []
    for _ in range(2):
        claim = begin(opened, study)
        tried.append(state(opened, study, claim.number).params)
        succeed(opened, claim)
    assert take(opened, study) is allocations.NoTrial.FINISHED
    assert [params for params in tried if params in known] == []
    summary = summaries.whole(opened, study)
    assert (summary.done, summary.added, summary.imported, summary.seconds, summary.failures) == (2, 3, 3, 0, 0)
    assert summary.best is not None
    assert (summary.best.number, summary.best.value) == (0, 0.9)
    assert summary.trials[1].user_attrs == {"mine": 1, "search:imported": "known.csv:3"}
    assert summary.trials[1].intermediate_values == {1: 0.5}
    assert [origins.state(trial) for trial in summary.trials[2:4]] == ["pruned, imported", "complete"]
    assert "(imported from known.csv:2)" in sentences.best(summary)
    assert sentences.foreign(summary) == ["3 results imported: outside the budget, and not trained again"]
    assert opened.read(lambda c: digests.read(c, [study]))[study.study_id].imported == 3
    holds(opened, study)


def test_the_same_again_changes_nothing(opened: databases.Database, make_study: Make) -> None:
    """A configuration that a trial has, whoever ran it or waits with it, is a duplicate, named with that trial."""
    study = make_study(trials=9, sampler="grid")
    ran, queued, new = first(study, 3)
    succeed(opened, begin(opened, study))
    queues.enqueue(opened, study, queued)
    with spool(study, [ran, queued, new, new]) as results:
        one, two = imports.take(opened, study, results), imports.take(opened, study, results)
    assert (one.count, one.duplicates) == (1, 3)
    assert one.named == {"known.csv:2": 0, "known.csv:3": 1, "known.csv:5": 2}
    assert (two.count, two.duplicates) == (0, 4)
    assert summaries.summary(opened, study).imported == 1
    holds(opened, study)


def test_a_lost_acknowledgement_is_noticed(url: str) -> None:
    """What was written is written once, and what is said of it is what was done."""
    database = Forgetful(url)
    study = studies.create(database, specs.parse(quick_text(trials=2), "quick.toml"))
    with spool(study, first(study, 5)) as results:
        found = database.lossy(lambda: imports.take(database, study, results))
    assert (found.count, found.duplicates) == (5, 0)
    assert summaries.summary(database, study).imported == 5
    holds(database, study)
    database.close()


def test_an_end_in_the_middle_leaves_nothing(opened: databases.Database, make_study: Make) -> None:
    """All of an import is one transaction: broken off after two batches, no row of it is there; then all come in."""
    study = make_study(trials=2)

    def break_off(done: int, total: int) -> None:
        if done >= 400:
            raise KeyboardInterrupt

    with spool(study, first(study, 500)) as results:
        with contextlib.suppress(KeyboardInterrupt):
            imports.take(opened, study, results, break_off)
        assert summaries.summary(opened, study).total == 0
        assert opened.read(lambda c: c.execute(schema.claims.select()).all()) == []
        assert imports.take(opened, study, results).count == 500
    holds(opened, study)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "qmc", "gp", "gp-cost"])
def test_samplers_pass_by_what_is_known(opened: databases.Database, sampler: str) -> None:
    """Of twelve configurations ten are known: the two that are left are tried, then the space is exhausted."""
    text = quick_text(name="few", trials=9, sampler=sampler, hopeless="false")
    text = text.replace("{ low = 1, high = 128 }", "{ low = 5, high = 8 }").replace("{ low = 0, high = 6 }", "[0]")
    study = studies.create(opened, specs.parse(text, "few.toml"))
    every = first(study, 20)
    assert len(every) == 12
    with spool(study, every[:10], steps={1: 0.2, 2: 0.3}) as results:
        imports.take(opened, study, results)
    tried = []
    for _ in range(2):
        claim = begin(opened, study)
        tried.append(state(opened, study, claim.number).params)
        succeed(opened, claim)
    assert sorted(tried, key=json.dumps) == sorted(every[10:], key=json.dumps)
    assert take(opened, study) is allocations.NoTrial.EXHAUSTED
    assert summaries.summary(opened, study).is_answered
    holds(opened, study)


def test_target_and_patience_see_the_best(opened: databases.Database, make_study: Make) -> None:
    """A known result that reaches the target ends the study; patience counts trials of the budget after it."""
    study = make_study(trials=9, name="patient", more="patience = 2")
    with spool(study, first(study, 3)) as results:
        imports.take(opened, study, results)
    assert summaries.summary(opened, study).standing.unimproved == 0
    succeed(opened, begin(opened, study))
    assert summaries.summary(opened, study).standing.unimproved == 1
    succeed(opened, begin(opened, study))
    assert take(opened, study) is allocations.NoTrial.PATIENCE
    other = make_study(trials=9, name="aimed", more="target = 0.85")
    with spool(other, first(other, 1)) as results:
        imports.take(opened, other, results)
    assert take(opened, other) is allocations.NoTrial.TARGET


def test_imports_and_workers_at_once(opened: databases.Database, make_study: Make, url: str) -> None:
    """Two imports of the same results beside two workers: each configuration has one trial, each count is exact."""
    study = make_study(trials=20, sampler="grid")
    known = first(study, 450)

    def bring(_: int) -> imports.Import:
        database = databases.Database(url)
        with contextlib.closing(database), spool(study, known) as results:
            return imports.take(database, study, results)

    def work(_: int) -> int:
        database, count = databases.Database(url), 0
        with contextlib.closing(database):
            while not isinstance(claim := take(database, study), allocations.NoTrial):
                configurations.configure(database, study, claim, database.history(study.study_id))
                succeed(database, claim)
                count += 1
        return count

    with futures.ThreadPoolExecutor(4) as pool:
        brought, worked = pool.map(bring, range(2)), pool.map(work, range(2))
        one, two, done = *brought, sum(worked)
    summary = summaries.whole(opened, study)
    keys = [study.spec.space.key(trial.params) for trial in summary.trials]
    assert (done, summary.done) == (20, 20)
    assert len(set(keys)) == len(keys) == summary.imported + 20
    assert one.count + two.count == summary.imported
    assert one.duplicates + two.duplicates == 2 * len(known) - summary.imported
    holds(opened, study)


def test_they_are_copied_and_kept(opened: databases.Database, make_study: Make, tmp_path: pathlib.Path) -> None:
    """A copy and a backup hold them as what they are."""
    study = make_study(trials=2)
    with spool(study, first(study, 3)) as results:
        imports.take(opened, study, results)
    stored = studies.load_stored(opened, study.name)
    copied = copies.copy(opened, stored, "other")
    backups.write(opened, study, tmp_path / "a.db")
    restored = databases.Database(f"sqlite:///{tmp_path}/a.db")
    for database, each in ((opened, copied), (restored, studies.load(restored, study.name))):
        summary = summaries.summary(database, each)
        assert (summary.imported, summary.added, summary.done) == (3, 3, 0)
        holds(database, each)
    restored.close()
