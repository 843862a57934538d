"""A database that the last release left, brought up to date; and what other versions are answered."""

import json
import logging
import multiprocessing
import pathlib
import shutil
import subprocess
import sys
import threading
from typing import Any

import optuna
import pytest
import releases
import sqlalchemy
from alembic import config, script
from conftest import ROOT, Server
from optuna.trial import TrialState

from search import cli, errors
from search.ledger import backups, checks, orders, studies, summaries
from search.storage import connections, databases, schema, storages, upgrades, versions
from search.training import networks
from search.worker import loops
from search.worker.settings import Settings

Row = tuple[Any, ...]


@pytest.fixture(params=["sqlite", "postgres"])
def released(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """The address of a database as the release of version 0001 left it, of either kind."""
    if request.param == "sqlite":
        return releases.sqlite(tmp_path / "search.db")
    return releases.postgres(request.getfixturevalue("postgres"))


@pytest.fixture
def fresh(released: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """The address of an empty database of the same kind."""
    if released.startswith("sqlite"):
        return f"sqlite:///{tmp_path}/fresh.db"
    server: Server = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def capture(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A command by its words: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def rows(url: str, query: str) -> list[Row]:
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        found = connection.exec_driver_sql(query)
        result = [tuple(row) for row in found] if found.returns_rows else []
    engine.dispose()
    return result


def attributes(url: str, study: str, number: int) -> dict[str, Any]:
    """What any Optuna tool sees of a trial; texts and lists by their type."""
    trial = optuna.load_study(study_name=study, storage=url).trials[number]
    return dict(trial.user_attrs)


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("list",),
        ("report", "release"),
        ("enqueue", "release", "depth=0"),
        ("extend", "release", "--trials", "1"),
        ("work", "release"),
        ("backup", "release", "copy.db"),
        ("restore", "backup.db"),
    ],
    ids=" ".join,
)
def test_before_the_upgrade_every_command_says_what_to_type(
    released: str, capture: Any, words: tuple[str, ...]
) -> None:
    """One line with the command, exit code 2; nothing is written."""
    releases.sqlite(pathlib.Path("backup.db"), kind="backup")
    before = releases.content(released)
    code, out, err = capture(*words, "--storage", released)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "was made by an older version (0001, this one is 0004): `search upgrade` brings it up to date" in err
    assert releases.content(released) == before


def test_an_upgraded_database_is_like_a_fresh_one(released: str, fresh: str) -> None:
    """Columns, keys, constraints, indexes and triggers are those of a database that this version makes."""
    databases.Database(fresh).close()
    done = upgrades.upgrade(released)
    assert (done.before, done.after, done.is_change) == ("0001", schema.HEAD, True)
    assert releases.shape(released) == releases.shape(fresh)
    assert not upgrades.upgrade(released).is_change
    databases.Database(released).close()


@pytest.mark.parametrize("release", ["0002", "0003"])
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_counts_of_an_upgraded_database_are_those_of_its_rows(
    kind: str, release: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> None:
    """Of version 0002, whose trials nobody had counted, and later ones: what studies promise holds, a backup's too."""
    server = None if kind == "sqlite" else request.getfixturevalue("postgres")
    url = releases.postgres(server, release) if server else releases.sqlite(tmp_path / "search.db", release)
    empty = server.new_database() if server else f"sqlite:///{tmp_path}/fresh.db"
    done = upgrades.upgrade(url)
    assert (done.before, done.after) == (release, schema.HEAD)
    fresh = databases.Database(empty)
    releases.sqlite(tmp_path / "backup.db", release, "backup")
    backups.read(fresh, tmp_path / "backup.db")
    assert releases.shape(url) == releases.shape(empty)
    upgraded = databases.Database(url)
    for database, name in ((upgraded, "release"), (upgraded, "own"), (fresh, "release")):
        assert [each for each in checks.look(database, studies.load(database, name)) if not each.holds] == []
        database.close()


@pytest.mark.parametrize(
    ("reason", "counts"),
    [
        ("its worker died 3 times in a row without getting further", 0),
        ("DuplicateConfiguration: other trials have every configuration with {} already", 0),
        ("ValueError: it died", 1),
    ],
)
def test_old_failures_count_by_the_new_rules(released: str, reason: str, counts: int) -> None:
    """Verdicts of death, which a step of the clock could bring about, and entries of the queue that could not be."""
    rows(released, "UPDATE search_claims SET told = true")
    found = rows(
        released,
        "SELECT trial_id FROM trials WHERE state = 'FAIL' AND study_id = "
        "(SELECT study_id FROM studies WHERE study_name = 'release')",
    )
    assert found
    for (trial_id,) in found:
        text = json.dumps(reason).replace("'", "''")
        rows(released, f"DELETE FROM trial_user_attributes WHERE trial_id = {trial_id} AND key = 'reason'")
        rows(
            released,
            f"INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES ({trial_id}, 'reason', '{text}')",
        )
    upgrades.upgrade(released)
    database = databases.Database(released)
    assert summaries.whole(database, studies.load(database, "release")).failures == counts * len(found)
    database.close()


def test_all_steps_from_nothing_make_what_a_fresh_database_has(released: str, fresh: str) -> None:
    """The migrations, from the first on, make the tables of that release and those of this version."""
    storage = storages.Storage(fresh, {})
    storage.prepare()
    engine = storage.engine
    with upgrades._transaction(engine) as connection:
        upgrades.migrate(connection)
    engine.dispose()
    upgrades.upgrade(released)
    assert releases.shape(fresh) == releases.shape(released)
    databases.Database(fresh).close()


def test_the_steps_are_those_that_are_known() -> None:
    """Each has a file, in their order, and the last one makes the present tables."""
    settings = config.Config()
    settings.set_main_option("script_location", str(upgrades.MIGRATIONS))
    known = [step.revision for step in script.ScriptDirectory.from_config(settings).walk_revisions()]
    assert tuple(reversed(known)) == versions.KNOWN
    assert known[0] == schema.HEAD


def test_the_rows_mean_what_they_meant(released: str) -> None:
    """Orders have the rules of the study's file, running trials an owner that is nobody here, added ones are known."""
    owner = "SELECT owner, generation, beat, reached, worker FROM search_claims WHERE trial_id = 6"
    before = rows(released, owner)
    assert rows(released, "SELECT count(*) FROM search_workers") == [(1,)]
    upgrades.upgrade(released)
    found = rows(released, "SELECT study_id, trials, max_failures, epoch_seconds, reason FROM search_orders")
    assert {row[:1] + row[2:] for row in found} == {(1, 4, 600.0, None), (2, 10, None, None)}
    assert [row[1] for row in found if row[0] == 1] == [4, 10, 10, 10]
    assert rows(released, owner) == before
    claims = "SELECT DISTINCT pid, pid_started, grace_seconds, deaths, faults, fault_host FROM search_claims"
    assert rows(released, claims) == [(0, 0.0, 30.0, 0, 0, "")]
    assert rows(released, "SELECT * FROM search_added") in ([(9, 1, 0, 0)], [(9, 1, False, False)])
    assert rows(released, "SELECT * FROM search_workers") == []
    assert rows(released, "SELECT trial_id, epoch FROM search_checkpoints ORDER BY trial_id") == [(6, 2), (7, 2)]


def test_names_of_ours_get_their_prefix_and_a_user_s_stay(released: str) -> None:
    """All of a study with [training]; beside an objective of the user's own only what ours wrote; others' none."""
    before = {
        (name, number): attributes(released, name, number)
        for name, count in (("release", 9), ("own", 6), ("plain", 2))
        for number in range(count)
    }
    upgrades.upgrade(released)
    # ours in studies of the user's own function: at the end of a trial, seconds and worker replaced the user's
    ended = {"seconds", "worker"}
    ours: dict[int, set[str]] = {
        0: ended,
        1: ended | {"reason"},
        2: ended | {"reason", "traceback"},
        3: ended,
        4: set(),
        5: set(),
    }
    for (name, number), attrs in before.items():
        renamed = set(attrs) if name == "release" else ours[number] if name == "own" else set()
        wanted = {f"search:{key}" if key in renamed else key: value for key, value in attrs.items()}
        if (name, number) == ("own", 3):  # a repeat whose user set an attribute of that name
            assert attrs["repeat"] == 7
            wanted["search:repeat"] = 1
        assert attributes(released, name, number) == wanted, (name, number)
    assert attributes(released, "own", 4)["seconds"] == 1.5
    assert attributes(released, "plain", 1) == {"reason": "theirs", "seconds": 3}


def test_it_goes_on_where_it_was(released: str, capture: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Status, list and report show the study as it was; the running trial goes on from its checkpoint."""
    code, out, _ = capture("upgrade", "--storage", released, "--json")
    answer = json.loads(out)
    assert (code, answer["before"], answer["after"], answer["changed"]) == (0, "0001", "0004", True)
    code, out, _ = capture("status", "release", "--json", "--storage", released)
    found = json.loads(out)
    assert found["trials"] == {"complete": 4, "pruned": 1, "failed": 1, "running": 1, "waiting": 2}
    assert (code, found["budget"], found["state"], found["budget_hours"]) == (0, 10, "active", 8.0)
    for words in (["status"], ["list"], ["report", "release", "own"]):
        assert capture(*words, "--storage", released)[0] == 0
    page = pathlib.Path("report/report.md").read_text()
    assert "hopeless before training" in page
    database = databases.Database(released, patience_seconds=30)
    study = studies.load(database, "release")
    stored = attributes(released, "release", 5)["search:avg_losses"]
    orders.extend(database, study, to=8)
    caplog.set_level(logging.INFO, "search")
    network = networks.NetworkObjective(study.spec, pathlib.Path("unused"), engine="reference")
    loops.Worker(database, study, network, threading.Event(), Settings(grace_seconds=1)).run()
    trials = summaries.whole(database, study).trials
    database.close()
    assert "trial=5 event=adopted" in caplog.text
    assert "trial=5 event=resumed epoch=2" in caplog.text
    assert "trial=6 event=resumed epoch=2" in caplog.text
    assert [trial.state for trial in trials[5:8]] == [TrialState.COMPLETE] * 3
    losses = trials[5].user_attrs["search:avg_losses"]
    assert (len(losses), losses[:2]) == (4, stored)


def alter(url: str, after: int) -> int:
    """Upgrades until so many statements were sent, and fails then; returns how many were sent."""
    sent = 0

    def count(*_: object) -> None:
        nonlocal sent
        sent += 1
        if sent > after:
            raise OSError("no more")

    engine = sqlalchemy.create_engine(url)
    sqlalchemy.event.listen(engine, "before_cursor_execute", count)
    try:
        with upgrades._transaction(engine) as connection:
            upgrades.migrate(connection)
    except OSError:
        pass
    finally:
        engine.dispose()
    return sent


def test_an_error_anywhere_leaves_it_as_it_was(released: str) -> None:
    """Whichever statement fails: nothing of it stays, and a second upgrade works."""
    before = releases.content(released)
    after = 0
    while alter(released, after) > after:
        assert releases.content(released) == before, after
        after += 7
    assert after > 30
    databases.Database(released).close()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["search.storage.triggers.create", "alembic.command.upgrade"])
def test_a_kill_in_the_middle_leaves_it_as_it_was(released: str, moment: str) -> None:
    """SIGKILL after the tables have changed, or before: a second upgrade begins with the same database."""
    before = releases.content(released)
    module, _, function = moment.rpartition(".")
    program = (
        f"import os, sys, signal, importlib; module = importlib.import_module({module!r})\n"
        f"module.{function} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from search.storage import upgrades; upgrades.upgrade(sys.argv[1])"
    )
    killed = subprocess.run([sys.executable, "-c", program, released], cwd=ROOT, check=False, timeout=60)
    assert killed.returncode == -9
    assert releases.content(released) == before
    assert upgrades.upgrade(released).after == schema.HEAD
    databases.Database(released).close()


def upgrade(url: str) -> upgrades.Upgrade:
    return upgrades.upgrade(url)


@pytest.mark.slow
def test_two_may_upgrade_at_once(released: str) -> None:
    """One does it, the other waits and finds it done."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        done = pool.map(upgrade, [released] * 2, chunksize=1)
    assert sorted(each.before or "" for each in done) == ["0001", "0004"]
    assert {each.after for each in done} == {schema.HEAD}


def test_workers_that_live_are_not_broken(released: str, capture: Any) -> None:
    """While one was seen within its grace, by the database's clock, it refuses; --yes upgrades anyway."""
    now = "(julianday('now') - 2440587.5) * 86400.0" if released.startswith("sqlite") else "extract(epoch FROM now())"
    rows(released, f"UPDATE search_workers SET seen_at = {now} - 5")
    before = releases.content(released)
    code, _, err = capture("upgrade", "--storage", released)
    assert (code, err.count("\n")) == (2, 1)
    assert "workers are alive (1 of 'release')" in err
    assert releases.content(released) == before
    assert capture("upgrade", "--storage", released, "--yes")[0] == 0


def test_what_the_command_says(released: str, capture: Any) -> None:
    """From which version to which, then that it is current; an empty database has nothing to upgrade."""
    code, out, _ = capture("upgrade", "--storage", released)
    assert code == 0
    assert ": 0001 -> 0004\n" in out
    assert ("as it was: " in out) == released.startswith("sqlite")
    code, out, _ = capture("upgrade", "--storage", released)
    assert (code, out.count("\n")) == (0, 1)
    assert out.endswith(" is current (0004)\n")
    code, out, err = capture("upgrade", "--storage", "sqlite:///nowhere.db")
    assert (code, out, err) == (2, "", "search: no database at nowhere.db; there is nothing to upgrade\n")
    assert not pathlib.Path("nowhere.db").exists()


def test_a_copy_is_kept_of_a_file(tmp_path: pathlib.Path, capture: Any) -> None:
    """The file as it was, its log included, under a name that is free; none where none is wanted."""
    url = releases.sqlite(tmp_path / "search.db")
    rows(url, "PRAGMA journal_mode = WAL")
    before = releases.content(url)
    done = upgrades.upgrade(url)
    assert done.copy == tmp_path / "search.db.before-0004"
    assert releases.content(f"sqlite:///{done.copy}") == before
    shutil.copyfile(done.copy, tmp_path / "search.db")
    assert upgrades.upgrade(url).copy == tmp_path / "search.db.before-0004-1"
    other = releases.sqlite(tmp_path / "other.db")
    assert capture("upgrade", "--storage", other, "--no-copy")[0] == 0
    assert not list(tmp_path.glob("*before*.part")) + list(tmp_path.glob("other.db.before*"))


def test_a_copy_without_room_stops_it(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no copy can be kept, nothing is changed."""
    url = releases.sqlite(tmp_path / "search.db")
    before = releases.content(url)
    (tmp_path / "search.db.before-0004.part").mkdir()
    with pytest.raises(errors.StorageError, match="was not upgraded: "):
        upgrades.upgrade(url)
    assert releases.content(url) == before


@pytest.mark.parametrize("command", ["status", "upgrade"])
def test_a_newer_version_is_refused(url: str, capture: Any, command: str) -> None:
    """Tables that a later program made are left alone, in one line."""
    rows(url, "UPDATE search_version SET version_num = '0107'")
    code, _, err = capture(command, "--storage", url)
    assert (code, err.count("\n")) == (2, 1)
    assert "was made by a newer version of this program: its tables are 0107, this one knows those up to 0004" in err


def test_tables_of_an_older_optuna_are_upgraded_too(released: str) -> None:
    """Optuna's own upgrade runs first; until then the answer names the command."""
    rows(released, "DROP INDEX ix_trials_study_id")  # which that upgrade makes, under another name
    rows(released, "UPDATE alembic_version SET version_num = 'v3.0.0.d'")
    with pytest.raises(errors.InputError, match="`search upgrade`"):
        databases.Database(released)
    done = upgrades.upgrade(released)
    assert (done.optuna_before, done.optuna_after, done.after) == ("v3.0.0.d", storages.HEAD, schema.HEAD)
    assert "trials_study_id_key" in repr(releases.shape(released)["trials"])
    rows(released, "DROP INDEX trials_study_id_key")
    rows(released, "UPDATE alembic_version SET version_num = 'v3.0.0.d'")
    with pytest.raises(errors.InputError, match=r"an older Optuna's \(v3\.0\.0\.d.*`search upgrade`"):
        databases.Database(released)
    done = upgrades.upgrade(released)
    assert (done.before, done.after, done.is_change) == (schema.HEAD, schema.HEAD, True)
    databases.Database(released).close()


def test_a_newer_optuna_is_refused(released: str) -> None:
    """What Optuna cannot bring up to date stays as it is."""
    rows(released, "UPDATE alembic_version SET version_num = 'v9.9.9.z'")
    before = releases.content(released)
    with pytest.raises(errors.InputError, match="a newer Optuna's") as refused:
        upgrades.upgrade(released)
    assert "\n" not in str(refused.value)
    assert releases.content(released) == before


def test_a_first_start_that_is_cut_off_leaves_no_half_schema(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables without their version would be taken for those of the first: there are all of ours, or none."""

    def cut(_: object) -> None:
        raise OSError("cut off")

    monkeypatch.setattr(connections.triggers, "create", cut)
    with pytest.raises(OSError, match="cut off"):
        databases.Database(empty_url)
    monkeypatch.undo()
    assert not [name for name in releases.shape(empty_url) if name.startswith("search_")]
    databases.Database(empty_url).close()
    assert rows(empty_url, "SELECT version_num FROM search_version") == [(schema.HEAD,)]


@pytest.mark.parametrize("what", ["folder", "notes"])
def test_what_is_no_database_is_left_alone(tmp_path: pathlib.Path, what: str) -> None:
    """One line, and no lock beside it."""
    place = tmp_path / what
    if what == "folder":
        place.mkdir()
    else:
        place.write_text("these are my notes, longer than a header of SQLite would be, and then some more of them")
    with pytest.raises(errors.InputError, match="must name a file, got the folder|file is not a database"):
        upgrades.upgrade(f"sqlite:///{place}")
    assert list(tmp_path.iterdir()) == [place]
