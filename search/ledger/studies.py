"""A study in the database: created with its file and budget, found again, summed up."""

import dataclasses
import json
import pathlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy
from optuna.study import StudyDirection
from sqlalchemy import exc

from search import errors, words
from search.ledger import orders, reservations
from search.storage import addresses, schema
from search.storage.databases import Database
from search.study import notes, sections, specs

STUDY_FILE = "search:study_file"
METRIC_NAMES = "study:metric_names"  # Optuna's name for what study.set_metric_names stores


@dataclasses.dataclass(frozen=True)
class Study:
    """A study of ours: its row, and its file as it was when it was created.

    Attributes:
        token: of its first order. SQLite gives the ids of a deleted study out again; the token is its alone.
    """

    study_id: int
    spec: specs.StudySpec
    token: str

    @property
    def name(self) -> str:
        """The study's name."""
        return self.spec.name


def create(database: Database, spec: specs.StudySpec) -> Study:
    """Writes a study with its file, budget and enqueued configurations, all or nothing.

    Raises:
        errors.StudyExists: the name is taken.
    """
    token = uuid.uuid4().hex

    def transaction(connection: sqlalchemy.Connection) -> int:
        if (known := orders.is_written(connection, token)) is not None:
            return known
        row = connection.execute(
            schema.studies.insert().values(study_name=spec.name).returning(schema.studies.c.study_id)
        )
        study_id = int(row.scalar_one())
        connection.execute(
            schema.directions.insert().values(
                study_id=study_id, objective=0, direction=StudyDirection[spec.study.direction.upper()]
            )
        )
        connection.execute(
            schema.study_attributes.insert().values(study_id=study_id, key=STUDY_FILE, value_json=json.dumps(spec.text))
        )
        system = {METRIC_NAMES: [spec.study.metric], **notes.attributes(spec)}
        rows = [{"study_id": study_id, "key": key, "value_json": json.dumps(value)} for key, value in system.items()]
        connection.execute(schema.study_system_attributes.insert(), rows)
        orders.write(connection, study_id, orders.Order.first(spec.budget), token)
        for params in spec.enqueue:
            key = spec.space.key(params) if spec.space.is_complete(params) else None
            reservations.insert_waiting(connection, study_id, params, key)
        return study_id

    try:
        return Study(database.write(transaction), spec, token)
    except exc.IntegrityError as error:
        raise errors.StudyExists(f"study {spec.name!r} exists already; `search run {spec.name}` resumes it") from error


def find(database: Database, name: str) -> Study | None:
    """The study of that name, or None.

    Raises:
        errors.InputError: a study of that name is there, but not one of ours.
    """

    def transaction(connection: sqlalchemy.Connection) -> Any:
        text = schema.study_attributes.c.value_json
        file = sqlalchemy.and_(
            schema.study_attributes.c.study_id == schema.studies.c.study_id, schema.study_attributes.c.key == STUDY_FILE
        )
        return connection.execute(
            sqlalchemy.select(schema.studies.c.study_id, text, orders.first_token(schema.studies.c.study_id))
            .join(schema.study_attributes, file, isouter=True)
            .where(schema.studies.c.study_name == name)
        ).first()

    found = database.read(transaction)
    if found is None:
        return None
    study_id, text, token = found
    if text is None:
        raise errors.InputError(f"study {name!r} was not made by `search create`: it holds no study file")
    if token is None:
        raise errors.InputError(
            f"study {name!r} is a copy that another tool made: it has a study file and trials, but no budget; "
            "`search copy` makes one that workers take up"
        )
    return Study(study_id, specs.parse(json.loads(text), f"study {name!r} in the storage").named(name), token)


def names(database: Database) -> list[str]:
    """The names of our studies, in the order they were created."""
    ours = (
        sqlalchemy.select(schema.studies.c.study_name)
        .join(schema.study_attributes, schema.study_attributes.c.study_id == schema.studies.c.study_id)
        .where(schema.study_attributes.c.key == STUDY_FILE)
        .order_by(schema.studies.c.study_id)
    )
    return list(database.read(lambda connection: connection.execute(ours).scalars().all()))


def load(database: Database, name: str) -> Study:
    """The study in the storage that a user means by a name or a path."""
    wanted = specs.load(pathlib.Path(name)).name if name.endswith(".toml") else name
    found = find(database, wanted)
    if found is None:
        known = names(database)
        raise errors.StudyNotFound(
            f"no study {wanted!r} in {addresses.hide_password(database.url)}{words.hint(wanted, known)}"
        )
    return found


def create_or_resume(database: Database, spec: specs.StudySpec) -> tuple[Study, list[str]]:
    """The study of a file, a new one or the one that is there already, and notes for its user.

    Raises:
        errors.StudyExists: the one that is there has another space or training.
    """
    known = find_same(database, spec)
    if known is None:
        try:
            return create(database, spec), list(spec.notes)
        except errors.StudyExists:  # another run made it just now
            return create_or_resume(database, spec)
    study, notes = known
    order = database.read(lambda connection: orders.read(connection, study))
    if order.state is orders.StudyState.STOPPED:
        orders.set_state(database, study, orders.StudyState.ACTIVE)
        notes.append(f"study {spec.name!r} was stopped; it goes on now")
    return study, notes


def find_same(database: Database, spec: specs.StudySpec) -> tuple[Study, list[str]] | None:
    """The study of a file where it is there already, with notes on what it keeps of its own, or None.

    Raises:
        errors.StudyExists: it is there with another space or training.
    """
    study = find(database, spec.name)
    if study is None:
        return None
    if different := specs.differences(study.spec, spec):
        raise errors.StudyExists(
            f"study {spec.name!r} exists with other settings: {'; '.join(different)}. "
            "Give the file another [study] name, or take its old settings back"
        )
    notes = [
        f"[{section}] of the file differs; the study keeps {getattr(study.spec, section)}"
        for section in ("sampler", "pruning")
        if getattr(study.spec, section) != getattr(spec, section)
    ]
    order = database.read(lambda connection: orders.read(connection, study))
    return study, notes + list(_budget_notes(study, spec.budget, order))


def _budget_notes(study: Study, wanted: sections.Budget, order: orders.Order) -> Iterator[str]:
    """What a file's [budget] says now that the study does not follow, each with the command that takes it over."""
    options: dict[str, Callable[[Any], str | None]] = {
        "trials": lambda value: f"--to {value}",
        "hours": lambda value: f"--hours {value - order.hours:g}" if value and value > (order.hours or value) else None,
        "max_failures": lambda value: (
            f"--failures {value - order.max_failures}" if value > order.max_failures else None
        ),
        "epoch_seconds": lambda value: f"--epoch-seconds {value or 0:g}",
    }
    for key, option in options.items():
        value, now = getattr(wanted, key), getattr(order, key)
        if value in (now, getattr(study.spec.budget, key)):  # a file that was not edited says nothing new
            continue
        taken = option(value)
        how = f"`search extend {study.name} {taken}` takes it over" if taken else "a limit can only be raised later"
        yield f"budget.{key} of the file is {value}, the study has {now}: {how}"
