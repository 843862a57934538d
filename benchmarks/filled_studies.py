"""Studies of any size, made in seconds: rows as our workers would have left them, of no training."""

import argparse
import datetime
import json
import pathlib
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from typing import Any

import made_trials
import optuna
import psycopg2.extras
import rich.progress
import sqlalchemy
from optuna.trial import TrialState

from search.ledger import counts, studies
from search.space import spaces
from search.storage import databases, schema
from search.study import specs
from search.training import records

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH_TRIALS = 1000
MOST_LISTED = 15_000  # trials over the lab's list of learning rates; more take a continuous one
GRACE_SECONDS = 1e9  # of the owners of running trials: nobody adopts them while something is measured


def create(
    database: databases.Database, name: str = "growth", trials: int = 1000, listed: bool = False
) -> studies.Study:
    """A new study of the lab's space, with a budget that leaves room, and one look of a pruner at each epoch.

    Args:
        listed: the lab's three learning rates, where otherwise it is log-uniform: 21,120 configurations.
    """
    return studies.create(database, specs.parse(text(name, trials, listed), name))


def text(name: str, trials: int, listed: bool = False) -> str:
    """The study's file."""
    text = (ROOT / "studies" / "lab.toml").read_text().replace('name = "lab"', f'name = "{name}"')
    text = text.replace("trials = 10", f"trials = {2 * trials + 10_000}\nmax_failures = {trials + 10_000}")
    text = text.replace('"gp-cost"', '"tpe"').replace('pruner = "asha"', 'pruner = "median"')
    if not listed:
        text = text.replace("[1e-4, 1e-2, 1e-1]", "{ low = 1e-4, high = 1e-1, log = true }")
    return text


def fill(database: databases.Database, study: studies.Study, trials: int, quiet: bool = True) -> None:
    """Adds so many trials to a new study, a thousand in a transaction."""
    _fill(database.write, study.study_id, study.spec.space, trials, quiet)
    if hasattr(counts, "fold"):  # as workers do now and then; older versions keep no counts
        database.write(lambda connection: counts.fold(connection, study.study_id))
    _settle(database.engine)


def fill_plain(url: str, name: str, trials: int, quiet: bool = True) -> None:
    """The same trials in a study that Optuna makes, in a storage that has nothing of ours."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(url)
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize")

    def write(transaction: Callable[[sqlalchemy.Connection], None]) -> None:
        with storage.engine.begin() as connection:
            transaction(connection)

    _fill(write, study._study_id, specs.parse(text(name, trials), name).space, trials, quiet, but_not={schema.claims})
    _settle(storage.engine)


def _fill(
    write: Callable[[Callable[[sqlalchemy.Connection], None]], None],
    study_id: int,
    space: spaces.Space,
    trials: int,
    quiet: bool,
    but_not: Collection[sqlalchemy.Table] = (),
) -> None:
    maker, wanted = made_trials.Maker(space), made_trials.states(trials)
    found = [optuna.distributions.distribution_to_json(p.distribution) for p in space.parameters]
    kinds = dict(zip([p.name for p in space.parameters], found, strict=True))
    with rich.progress.Progress(disable=quiet, transient=True) as shown:
        for first in shown.track(range(0, trials, BATCH_TRIALS), description="filling"):
            numbers = range(first, min(trials, first + BATCH_TRIALS))
            made = [maker.make(number, wanted[number]) for number in numbers]
            rows = {
                t.number: [each for each in _rows(t, study_id, space, kinds) if each[0] not in but_not] for t in made
            }
            write(lambda connection, made=made, rows=rows: _insert(connection, study_id, made, rows))  # type: ignore[misc]


def _settle(engine: sqlalchemy.Engine) -> None:
    """Statistics for the planner, as the server gathers by itself some minutes later; SQLite gathers none."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")


def _insert(
    connection: sqlalchemy.Connection, study_id: int, made: list[made_trials.Trial], found: dict[int, list[Any]]
) -> None:
    """As the ledger does: RUNNING with a claim, everything that is reported, and then the end."""
    rows = [
        {
            "study_id": study_id,
            "number": trial.number,
            "state": TrialState.WAITING if trial.state is TrialState.WAITING else TrialState.RUNNING,
            "datetime_start": None if trial.state is TrialState.WAITING else trial.begun,
        }
        for trial in made
    ]
    ids = schema.trials.insert().returning(schema.trials.c.trial_id, schema.trials.c.number)
    trial_ids = {row.number: row.trial_id for row in connection.execute(ids, rows)}
    tables: dict[sqlalchemy.Table, list[dict[str, Any]]] = {}
    for trial in made:
        trial_id = trial_ids[trial.number]
        for table, row in found[trial.number]:
            tables.setdefault(table, []).append({"trial_id": trial_id, **row})
    for table, each in tables.items():
        _put(connection, table, each)
    ended = [
        {"this": trial_ids[t.number], "ends": t.state, "at": t.begun + datetime.timedelta(seconds=t.seconds)}
        for t in made
        if t.state.is_finished()
    ]
    _end(connection, ended)


def _put(connection: sqlalchemy.Connection, table: sqlalchemy.Table, rows: list[dict[str, Any]]) -> None:
    if connection.dialect.name == "sqlite":
        connection.execute(table.insert(), rows)
        return
    names = ", ".join(f'"{name}"' for name in rows[0])
    cursor = connection.connection.cursor()
    insert = f"INSERT INTO {table.name} ({names}) VALUES %s"  # noqa: S608  # a name of ours
    psycopg2.extras.execute_values(cursor, insert, [tuple(row.values()) for row in rows], page_size=1000)


def _end(connection: sqlalchemy.Connection, ended: list[dict[str, Any]]) -> None:
    if not ended:
        return
    if connection.dialect.name == "sqlite":
        this, state, at = (sqlalchemy.bindparam(name) for name in ("this", "ends", "at"))
        update = schema.trials.update().where(schema.trials.c.trial_id == this)
        connection.execute(update.values(state=state, datetime_complete=at), ended)
        return
    cursor = connection.connection.cursor()
    update = (
        "UPDATE trials SET state = found.state::trialstate, datetime_complete = found.at FROM (VALUES %s) "
        "AS found (trial_id, state, at) WHERE trials.trial_id = found.trial_id"
    )
    values = [(row["this"], row["ends"].name, row["at"]) for row in ended]
    psycopg2.extras.execute_values(cursor, update, values, page_size=1000)


def _rows(
    trial: made_trials.Trial, study_id: int, space: spaces.Space, kinds: dict[str, str]
) -> Iterator[tuple[sqlalchemy.Table, dict[str, Any]]]:
    """What a trial has beside its own row."""
    is_waiting, is_done = trial.state is TrialState.WAITING, trial.state.is_finished()
    name = f"worker-{trial.worker}:{4000 + trial.worker}"
    for parameter in space.parameters:
        if parameter.name in trial.params and not is_waiting:
            stored = parameter.distribution.to_internal_repr(trial.params[parameter.name])
            row = {"param_name": parameter.name, "param_value": stored, "distribution_json": kinds[parameter.name]}
            yield schema.params, row
    for step, value in enumerate(trial.curve, 1):
        yield schema.steps, {"step": step, "intermediate_value": value, "intermediate_value_type": "FINITE"}
    if trial.curve and trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
        yield schema.values, {"objective": 0, "value": trial.curve[-1], "value_type": "FINITE"}
    if is_waiting:
        yield schema.system_attributes, {"key": records.FIXED_PARAMS, "value_json": json.dumps(trial.params)}
    for key, value in made_trials.attributes(trial, name).items():
        yield schema.attributes, {"key": key, "value_json": json.dumps(value)}
    who = {
        "owner": uuid.UUID(int=trial.number).hex,
        "generation": 1,
        "beat": 2,
        "worker": name,
        "host": f"3fc33db6-3d61-4ecc-ac05-b905c6f24c44/host-{trial.worker}/pid:[4026531836]",
        "pid": 4000 + trial.worker,
        "pid_started": 3802874.0,
        "grace_seconds": 30.0 if is_done else GRACE_SECONDS,
    }
    nobody = {"owner": "", "generation": 0, "beat": 0, "worker": "", "host": "", "pid": 0, "pid_started": 0.0}
    claim = {
        "study_id": study_id,
        "config": trial.key,
        "repeat": 0,
        "reached": len(trial.curve),
        "stalls": -1 if trial.curve else 0,
        "deaths": 0,
        "adoptions": 0,
        "faults": 0,
        "fault_host": "",
        "excused": False,
        "seconds": 0.0 if is_waiting else trial.seconds,
        "told": is_done,
        **({**nobody, "grace_seconds": 30.0} if is_waiting else who),
    }
    yield schema.claims, claim


def run(options: argparse.Namespace) -> int:
    """What `growth.py fill` does."""
    started, quiet = time.perf_counter(), not sys.stderr.isatty()
    if options.listed and options.trials > MOST_LISTED:
        print(f"--trials must be at most {MOST_LISTED} with --listed, got {options.trials}", file=sys.stderr)
        return 2
    if options.plain:
        fill_plain(options.storage, options.name, options.trials, quiet)
    else:
        database = databases.Database(options.storage)
        for name, trials in ((options.name, options.trials), *((f"small-{n}", 10) for n in range(options.beside))):
            fill(database, create(database, name, trials, options.listed), trials, quiet)
        database.close()
    print(f"study {options.name!r}: {options.trials} trials in {time.perf_counter() - started:.1f} s")
    return 0
