"""Studies of any size, made in seconds: rows as our workers would have left them, of no training."""

import dataclasses
import datetime
import json
import math
import pathlib
import random
import uuid
from collections.abc import Iterator
from typing import Any

import optuna
import psycopg2.extras
import rich.progress
import sqlalchemy
from optuna.trial import TrialState

from search.ledger import studies
from search.space import spaces
from search.storage import databases, schema
from search.study import specs
from search.training import records

ROOT = pathlib.Path(__file__).resolve().parent.parent
EPOCHS = 10
BATCH_TRIALS = 1000
MOST_LISTED = 15_000  # trials over the lab's list of learning rates; more take a continuous one
OPEN = (TrialState.RUNNING,) * 3 + (TrialState.WAITING,) * 2  # the last ones
SHARES = {TrialState.COMPLETE: 0.71, TrialState.PRUNED: 0.28, TrialState.FAIL: 0.01}
WORKERS = 8
FULL_TRAINING = {"engine": "cpu", "device": "cpu", "data": "40a60860dd627049", "torch": "2.15.0", "target": "x86_64"}
GRACE_SECONDS = 1e9  # of the owners of running trials: nobody adopts them while something is measured
BEGUN = datetime.datetime(2026, 1, 1)


def create(
    database: databases.Database, name: str = "growth", trials: int = 1000, listed: bool = False
) -> studies.Study:
    """A new study of the lab's space, with a budget that leaves room, and one look of a pruner at each epoch.

    Args:
        listed: the lab's three learning rates, where otherwise it is log-uniform: 21,120 configurations.
    """
    text = (ROOT / "studies" / "lab.toml").read_text().replace('name = "lab"', f'name = "{name}"')
    text = text.replace("trials = 10", f"trials = {2 * trials + 10_000}\nmax_failures = {trials + 10_000}")
    text = text.replace("hopeless = true", 'hopeless = true\npruner = "median"')
    if not listed:
        text = text.replace("[1e-4, 1e-2, 1e-1]", "{ low = 1e-4, high = 1e-1, log = true }")
    return studies.create(database, specs.parse(text, name))


@dataclasses.dataclass
class Trial:
    """A trial as a worker leaves it."""

    number: int
    state: TrialState
    params: spaces.Params
    key: str
    worker: int
    begun: datetime.datetime
    seconds: float
    curve: list[float]
    losses: list[float]
    reason: str | None = None


class Maker:
    """Trials of a space, each of another configuration, with curves of a formula and noise."""

    def __init__(self, space: spaces.Space, seed: int = 0) -> None:
        self._space, self._random, self._taken = space, random.Random(seed), set[str]()

    def make(self, number: int, state: TrialState) -> Trial:
        """The next one."""
        chance, params, key = self._random, self._params(), ""
        while (key := self._space.key(params)) in self._taken:
            params = self._params()
        self._taken.add(key)
        best, ends = self._accuracy(params), EPOCHS
        if state is TrialState.PRUNED:
            ends = chance.choice((0, 0, 1, 1, 2, 3, 4, 6, 8))
        elif state is not TrialState.COMPLETE:
            ends = 0 if state is TrialState.WAITING else chance.randrange(EPOCHS)
        curve = [round(best * (1 - math.exp(-0.9 * e)) + chance.gauss(0, 0.004), 4) for e in range(1, ends + 1)]
        losses = [2.3 * (1 - value) + chance.random() * 0.01 for value in curve]
        begun = BEGUN + datetime.timedelta(seconds=2.0 * number + chance.random())
        seconds = round((0.01 + 1.5 * ends) * (0.8 + 0.4 * chance.random()), 3)
        return Trial(
            number,
            state,
            params,
            key,
            chance.randrange(WORKERS),
            begun,
            seconds,
            curve,
            losses,
            self._reason(number, state, curve),
        )

    def _reason(self, number: int, state: TrialState, curve: list[float]) -> str | None:
        if state is TrialState.FAIL:
            return f"RuntimeError: of its own, {number}"
        if state is not TrialState.PRUNED:
            return None
        if curve:
            return f"median pruner after epoch {len(curve)}: {curve[-1]:.4f} is below the median of {number} trials"
        rate = self._random.random()
        return f"hopeless before training: the signal can grow by {rate:.2g} % an epoch at most, over 10"

    def _params(self) -> spaces.Params:
        return self._space.complete(lambda parameter, _: parameter.at(self._random.random()))

    def _accuracy(self, params: spaces.Params) -> float:
        """Something like the lab's landscape, best at (0.05, 24, 2, 512, ReLU)."""
        rate, batch = math.log10(float(params["learning_rate"])), math.log2(float(params["batch_size"]))
        found = 0.88 - 0.05 * (rate + 1.3) ** 2 - 0.003 * (batch - 4.5) ** 2 - 0.008 * abs(int(params["depth"]) - 2)
        found += {"ReLU": 0.01, "GELU": 0.005, "Sigmoid": -0.1}.get(str(params.get("activation")), 0.0)
        found += 0.002 * math.log2(float(params.get("width", 32)))
        return min(0.9, max(0.1, found + self._random.gauss(0, 0.004)))


def states(count: int, seed: int = 0) -> list[TrialState]:
    """Of so many trials: a few open ones at the end, the others as they come."""
    drawn = random.Random(seed).choices(list(SHARES), list(SHARES.values()), k=max(0, count - len(OPEN)))
    return [*drawn, *OPEN][:count]


def fill(database: databases.Database, study: studies.Study, trials: int, quiet: bool = False) -> None:
    """Adds so many trials to a new study, a thousand in a transaction."""
    maker = Maker(study.spec.space)
    found = [optuna.distributions.distribution_to_json(p.distribution) for p in study.spec.space.parameters]
    kinds = dict(zip([p.name for p in study.spec.space.parameters], found, strict=True))
    wanted = states(trials)
    with rich.progress.Progress(disable=quiet, transient=True) as shown:
        for first in shown.track(range(0, trials, BATCH_TRIALS), description="filling"):
            numbers = range(first, min(trials, first + BATCH_TRIALS))
            made = [maker.make(number, wanted[number]) for number in numbers]
            database.write(lambda connection, made=made: _insert(connection, study, made, kinds))
    _settle(database)


def _settle(database: databases.Database) -> None:
    """Statistics for the planner, as the server gathers by itself some minutes later; SQLite gathers none."""
    if database.engine.dialect.name == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")


def _insert(connection: sqlalchemy.Connection, study: studies.Study, made: list[Trial], kinds: dict[str, str]) -> None:
    """As the ledger does: RUNNING with a claim, everything that is reported, and then the end."""
    rows = [
        {
            "study_id": study.study_id,
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
        for table, row in _rows(trial, study, kinds):
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
    trial: Trial, study: studies.Study, kinds: dict[str, str]
) -> Iterator[tuple[sqlalchemy.Table, dict[str, Any]]]:
    """What a trial has beside its own row."""
    is_waiting, is_done = trial.state is TrialState.WAITING, trial.state.is_finished()
    name = f"worker-{trial.worker}:{4000 + trial.worker}"
    for parameter in study.spec.space.parameters:
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
    for key, value in _attributes(trial, name).items():
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
        "study_id": study.study_id,
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


def _attributes(trial: Trial, worker: str) -> dict[str, Any]:
    """User attributes, as `search/training/records.py` names them, in the order in which a worker stores them."""
    found: dict[str, Any] = {records.AVG_LOSSES.name: trial.losses} if trial.losses else {}
    if not trial.state.is_finished():
        return found
    if trial.state is not TrialState.FAIL:
        found |= {records.ENGINE.name: "cpu", records.DEVICE.name: "cpu"}
    if trial.reason:
        found[records.REASON.name] = trial.reason
    if trial.state is TrialState.FAIL:
        found[records.TRACEBACK.name] = f'Traceback (most recent call last):\n  File "own.py", line 7\n{trial.reason}'
    elif trial.losses:
        part = {"from": 1, "to": len(trial.curve), "with": FULL_TRAINING}
        found |= {records.AVG_LOSS.name: trial.losses[-1], records.SEED.name: 0, records.TRAINED.name: [part]}
        found[records.CPU_SECONDS.name] = trial.seconds
    return {**found, records.SECONDS.name: trial.seconds, records.WORKER.name: worker}
