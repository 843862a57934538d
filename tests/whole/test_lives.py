"""Studies deleted, made anew and renamed under real workers."""

import re

import pytest
from conftest import Processes, quick_text
from processes import ends, until
from trials import Make

from search.ledger import lives, orders, rosters, studies, summaries
from search.storage import databases, statements
from search.study import specs

pytestmark = pytest.mark.slow
DELETED = "search: the study was deleted while this process worked on it; nothing more is done\n"


def row(database: databases.Database, name: str = "quick") -> studies.Stored:
    found = studies.stored(database, name)
    assert found is not None
    return found


def delete_at_once(database: databases.Database, study: studies.Stored) -> None:
    """As `search delete`, but that it does not ask for workers."""

    def transaction(connection: object) -> None:
        assert lives.lock(connection, study)  # type: ignore[arg-type]
        statements.delete_study(connection, study.study_id)  # type: ignore[arg-type]

    database.write(transaction)


def test_delete_wants_a_stop_first(opened: databases.Database, make_study: Make, processes: Processes) -> None:
    """Refused under workers, with --yes too; after `search stop --now` it is done, and nothing was lost on the way."""
    study = make_study(trials=50, epochs=100_000, hopeless="false", slow=True)
    workers = [processes.start("work", "quick", "--stay") for _ in range(2)]
    until(lambda: sum(len(m.trials) for m in rosters.read(opened, study.study_id).members) == 2)
    for command in (["delete", "quick", "--yes"], ["rename", "quick", "new"], ["copy", "quick", "new"]):
        code, said = processes.run(*command)
        assert (code, said.count("\n")) == (2, 1), said
        assert re.search(r"while 2 workers are alive, 2 trials in training: `search stop quick --now` ends them", said)
    assert len(summaries.whole(opened, study).trials) >= 2
    assert processes.run("stop", "quick", "--now")[0] == 0
    assert ends(workers) == [0, 0]
    code, said = processes.run("delete", "quick", "--yes")
    assert (code, said.startswith("study 'quick' deleted: ")) == (0, True), said
    assert studies.all_stored(opened) == []


def test_deleting_races_with_workers(opened: databases.Database, make_study: Make, processes: Processes) -> None:
    """While real workers claim, report and tell, the first try deletes; each worker ends with one line."""
    study = make_study(trials=10_000, epochs=2)
    workers = [processes.start("work", "quick", "--stay") for _ in range(3)]
    until(lambda: summaries.whole(opened, study).done >= 10)
    delete_at_once(opened, row(opened))
    assert studies.all_stored(opened) == []
    assert [worker.wait(60) for worker in workers] == [2, 2, 2]
    for worker in workers:
        said = worker.stdout.read() if worker.stdout else ""
        assert said.endswith(DELETED)
        assert (said.count("search: "), "Traceback" in said) == (1, False)


def test_a_worker_does_not_go_over_to_the_next_study(
    opened: databases.Database, make_study: Make, processes: Processes
) -> None:
    """Idle or in training, one whose study was deleted and made anew at once ends, and has touched nothing of it."""
    for more in ({"trials": 1}, {"trials": 50, "epochs": 250, "hopeless": "false", "slow": True}):
        study = make_study(**more)
        worker = processes.start("work", "quick", "--stay")
        if more["trials"] == 1:
            until(lambda: summaries.whole(opened, study).done == 1)  # noqa: B023
        else:
            until(lambda: summaries.whole(opened, study).trials)  # noqa: B023
        delete_at_once(opened, row(opened))
        again = studies.create(opened, specs.parse(quick_text(trials=3), "x"))
        if opened.engine.dialect.name == "sqlite":
            assert again.study_id == study.study_id  # else the test shows nothing
        assert worker.wait(60) == 2
        said = worker.stdout.read() if worker.stdout else ""
        assert (said.endswith(DELETED), "Traceback" in said) == (True, False), said
        assert summaries.whole(opened, again).trials == ()
        assert rosters.read(opened, again.study_id).members == ()
        lives.delete(opened, row(opened))


def test_who_works_goes_on_under_a_new_name(opened: databases.Database, make_study: Make, processes: Processes) -> None:
    """Workers that wait in a paused study hold its id: renamed and resumed, it is finished by them."""
    study = make_study(trials=3)
    orders.set_state(opened, study, orders.StudyState.PAUSED)
    worker = processes.start("work", "quick")
    until(lambda: rosters.read(opened, study.study_id).members)
    assert processes.run("rename", "quick", "monday")[0] == 0
    assert processes.run("resume", "monday")[0] == 0
    assert ends([worker]) == [0]
    found = studies.find(opened, "monday")
    assert found is not None
    assert summaries.whole(opened, found).done == 3
