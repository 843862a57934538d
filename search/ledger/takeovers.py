"""Plain Optuna studies that become ours: they get a file and a budget, and their trials count from then on."""

import dataclasses
import json
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy
from optuna import distributions
from optuna.trial import FrozenTrial, TrialState

from search import errors, words
from search.ledger import counts, imports, orders, outsiders, studies
from search.storage import batches, schema, statements
from search.storage import trials as stored_trials
from search.storage.databases import Database
from search.study import drafts, notes, specs

Kinds = dict[str, distributions.BaseDistribution]


@dataclasses.dataclass
class Past:
    """What the trials of a study say of its objective.

    Attributes:
        space: each parameter's distribution, the widest of those that differ in their bounds alone.
        changed: parameters whose distribution was another one once: the last one holds.
        whole: the values of trials that are complete; `cut`: of pruned and failed ones.
        running: numbers of trials that run, or were left running.
        done: how many have finished.
    """

    space: Kinds = dataclasses.field(default_factory=dict)
    changed: list[str] = dataclasses.field(default_factory=list)
    whole: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    cut: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    running: list[int] = dataclasses.field(default_factory=list)
    done: int = 0
    is_pruned: bool = False

    def seen(self) -> drafts.Seen:
        """The same as a draft of a study file takes it."""
        return drafts.Seen(self.space, self.whole, self.cut, (), False, self.is_pruned, False)


def check(database: Database, name: str) -> tuple[studies.Stored, outsiders.Outsider]:
    """A study of Optuna's own that can become ours.

    Raises:
        errors.StudyNotFound: there is none.
        errors.InputError: it is ours already, or has several objectives.
    """
    study = studies.load_stored(database, name)
    if study.token is not None:
        raise errors.InputError(f"study {name!r} is one of ours already: `search run {words.typed(name)}` goes on")
    if study.file is not None:
        study.read()  # says what to do with a copy
    found = outsiders.read(database, study)
    if len(found.directions) != 1:
        raise errors.InputError(
            f"study {name!r}: adopt takes a study of one objective, got {len(found.directions)}: {found.goal}"
        )
    return study, found


def look(database: Database, study: studies.Stored) -> Past:
    """Reads all of its trials, some at a time.

    Raises:
        errors.InputError: it is constrained, or no trial has a parameter.
    """
    past, ids = Past(), database.read(lambda connection: stored_trials.ids_of(connection, study.study_id))
    for start in range(0, len(ids), batches.BATCH_TRIALS):
        for trial in _read(database, study, ids[start : start + batches.BATCH_TRIALS]):
            if outsiders.CONSTRAINTS in trial.system_attrs:
                raise errors.InputError(
                    f"study {study.name!r}: adopt takes a study without constraints, which no study of ours knows, got "
                    f"those of trial {trial.number}"
                )
            past.done += trial.state in counts.COUNTED
            past.is_pruned |= trial.state == TrialState.PRUNED
            if trial.state == TrialState.RUNNING:
                past.running.append(trial.number)
            if trial.state in counts.ENDED and trial.params:
                (past.whole if trial.state == TrialState.COMPLETE else past.cut).append(trial.params)
                for parameter, kind in trial.distributions.items():
                    _widen(past, parameter, kind)
    if not past.space:
        raise errors.InputError(
            f"study {study.name!r}: adopt takes a study with a trial that has ended and has parameters, got none: "
            "`search init` writes a file from the objective alone"
        )
    return past


def _read(database: Database, study: studies.Stored, ids: Sequence[int]) -> list[FrozenTrial]:
    return database.read(lambda connection: stored_trials.read(connection, study.study_id, ids, steps=False))


def _widen(past: Past, name: str, new: distributions.BaseDistribution) -> None:
    """The distribution of a parameter after another trial."""
    old = past.space.get(name)
    if old == new:
        return
    wider = None if old is None else _union(old, new)
    if old is not None and wider is None and name not in past.changed:
        past.changed.append(name)
    past.space[name] = new if wider is None else wider


def _union(old: Any, new: Any) -> distributions.BaseDistribution | None:
    """Of ranges that differ in their bounds alone."""
    numeric = (distributions.FloatDistribution, distributions.IntDistribution)
    if type(old) is not type(new) or not isinstance(new, numeric):
        return None
    steps = None if isinstance(new, distributions.FloatDistribution) else 1
    if (old.log, old.step) != (new.log, new.step) or new.step != steps:
        return None
    return type(new)(min(old.low, new.low), max(old.high, new.high), log=new.log)


def take_over(
    database: Database, study: studies.Stored, spec: specs.StudySpec, on_trials: imports.OnTrials = imports.SILENT
) -> studies.Study:
    """Makes it ours, all or nothing: its file, its budget, and its configurations reserved. Its trials stay.

    Raises:
        errors.InputError: it became ours in this moment, or was deleted.
    """
    token = uuid.uuid4().hex
    new = studies.Study(study.study_id, spec, token)

    def transaction(connection: sqlalchemy.Connection) -> None:
        if orders.is_written(connection, token) is not None:
            return
        s, o = schema.studies.c, schema.orders.c
        row = sqlalchemy.select(s.study_id).where(s.study_id == study.study_id, s.study_name == study.name)
        ordered = sqlalchemy.select(o.order_id).where(o.study_id == study.study_id).limit(1)
        if connection.execute(row.with_for_update()).first() is None:
            raise errors.StudyNotFound(f"study {study.name!r} was deleted or renamed in this moment; nothing was done")
        if connection.execute(ordered).first() is not None:
            raise errors.InputError(f"study {study.name!r} was adopted in this moment by somebody else")
        _describe(connection, new)
        orders.write(connection, study.study_id, orders.Order.first(spec.budget), token)
        done, total = 0, batches.count(connection, study.study_id)
        for trials in batches.of_trials(connection, study.study_id):
            _count(connection, new, [row for row in trials if row.state in counts.ENDED])
            done += len(trials)
            on_trials(done, total)

    database.write(transaction)
    database.write(lambda connection: _count_late(connection, new))
    return new


def _count_late(connection: sqlalchemy.Connection, study: studies.Study) -> None:
    """Notes what another tool ended while the study became ours: on Postgres neither of the two saw the other."""
    t, a = schema.trials.c, schema.added.c
    unknown = sqlalchemy.and_(t.study_id == study.study_id, ~sqlalchemy.exists().where(a.trial_id == t.trial_id))
    owned = sqlalchemy.exists().where(schema.claims.c.trial_id == t.trial_id)
    rows = connection.execute(sqlalchemy.select(t.trial_id, t.state).where(unknown, ~owned).with_for_update()).all()
    late = [(row.trial_id, study.study_id, True, False) for row in rows if row.state in counts.ENDED]
    columns = [a[name] for name in ("trial_id", "study_id", "ran", "is_known")]
    batches.insert(connection, schema.added, columns, late)


def _describe(connection: sqlalchemy.Connection, study: studies.Study) -> None:
    """Its file, and what the dashboard shows, unless somebody has written there."""
    line = {"study_id": study.study_id, "key": studies.STUDY_FILE, "value_json": json.dumps(study.spec.text)}
    statements.put(connection, schema.study_attributes, ("study_id", "key"), [line])
    table = schema.study_system_attributes
    known = set(connection.execute(sqlalchemy.select(table.c.key).where(table.c.study_id == study.study_id)).scalars())
    noted = {} if any(key.startswith(notes.PREFIX) for key in known) else notes.attributes(study.spec)
    wanted = {studies.METRIC_NAMES: [study.spec.study.metric], **noted}
    rows = [
        {"study_id": study.study_id, "key": key, "value_json": json.dumps(value)}
        for key, value in wanted.items()
        if key not in known
    ]
    if rows:
        connection.execute(table.insert(), rows)


def _count(connection: sqlalchemy.Connection, study: studies.Study, trials: Sequence[sqlalchemy.Row[Any]]) -> None:
    """Trials that have ended are another tool's that it ran: within the budget, and their configurations reserved."""
    ids = [row.trial_id for row in trials]
    params, tree = statements.read_all_params(connection, ids), study.spec.space
    claimed, outside = [], []
    taken: set[str] = set()
    for row in trials:
        given = params.get(row.trial_id, {})
        key = None
        if row.state in counts.COUNTED:
            if tree.holds(given):
                key = tree.key(given)
            else:
                outside.append(row.trial_id)
        claimed.append((row.trial_id, study.study_id, key))
    keys = [key for _, _, key in claimed if key is not None]
    config = schema.claims.c.config
    mine = sqlalchemy.select(config).where(schema.claims.c.study_id == study.study_id, config.in_(keys))
    taken |= set(connection.execute(mine).scalars())
    rows = []
    for trial_id, study_id, key in claimed:
        rows.append((trial_id, study_id, None if key in taken else key, 0, *imports.CLAIMED.values()))
        taken |= set() if key is None else {key}
    names = ("trial_id", "study_id", "config", "repeat", *imports.CLAIMED)
    batches.insert(connection, schema.claims, [schema.claims.c[name] for name in names], rows)
    added = schema.added
    columns = [added.c[name] for name in ("trial_id", "study_id", "ran", "is_known")]
    batches.insert(connection, added, columns, [(trial_id, study.study_id, True, True) for trial_id in ids])
    if outside:
        finished = schema.finished
        connection.execute(finished.update().where(finished.c.trial_id.in_(outside)).values(is_outside=True))
