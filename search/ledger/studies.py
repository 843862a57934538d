"""A study in the database: created with its file and budget, found again, summed up."""

import dataclasses
import json
import pathlib
import uuid
from collections.abc import Callable
from typing import Any

import sqlalchemy
from optuna.study import StudyDirection
from sqlalchemy import Connection, exc

from search import errors, words
from search.ledger import likenesses, orders, remarks, reservations, stops
from search.storage import addresses, schema
from search.storage.databases import Database
from search.study import notes, specs

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


@dataclasses.dataclass(frozen=True)
class Stored:
    """A study's row, whoever made it and whatever its file holds.

    Attributes:
        file: its study file, as JSON; None where it has none.
        token: of its first order; None where nothing was ordered of it here: it is another tool's.
    """

    study_id: int
    name: str
    file: str | None
    token: str | None

    @property
    def is_foreign(self) -> bool:
        """Whether it has nothing of ours: another tool made it, with Optuna."""
        return self.token is None and self.file is None

    def read(self) -> Study:
        """The study, to work on.

        Raises:
            errors.InputError: it is none of ours, or its file is of a version that this one cannot read.
        """
        spec = self.spec()
        if self.token is None:
            raise errors.InputError(
                f"study {self.name!r} is a copy that another tool made: it has a study file and trials, but no budget; "
                f"`search copy {words.typed(self.name)} NEW` makes one that workers take up"
            )
        return Study(self.study_id, spec, self.token)

    def spec(self) -> specs.StudySpec:
        """Its file, read.

        Raises:
            errors.InputError: it has none, or one of a version that this one cannot read.
        """
        if self.is_foreign:
            name = words.typed(self.name)
            raise errors.InputError(
                f"study {self.name!r} is Optuna's own: it was not made by `search create` and holds no study file; "
                f"`search status {name}` and `search report {name}` show it, "
                f"`search adopt {name} --objective FILE.py:FUNCTION` makes it one of ours where it has one objective "
                "and a trial that has ended"
            )
        try:
            text = None if self.file is None else json.loads(self.file)
        except ValueError as error:
            raise errors.StudyFileError(f"study {self.name!r}: its study file is no JSON: {error}") from error
        if not isinstance(text, str):
            raise errors.StudyFileError(f"study {self.name!r}: its study file is gone; another tool has changed it")
        place = f"study {self.name!r}: its file cannot be read by this version"
        return specs.parse_stored(text, place).named(self.name)


def create(database: Database, spec: specs.StudySpec, fill: Callable[[Connection, int], None] | None = None) -> Study:
    """Writes a study with its file, budget and enqueued configurations, all or nothing.

    Args:
        fill: writes in the same transaction, before configurations are enqueued, those of its trials left out.

    Raises:
        errors.StudyExists: the name is taken.
        errors.InputError: its deadline has passed.
    """
    token = uuid.uuid4().hex

    def transaction(connection: sqlalchemy.Connection) -> int:
        if (known := orders.is_written(connection, token)) is not None:
            return known
        stops.check_ahead(connection, spec.budget.deadline, f"{spec.path or spec.name}: budget.deadline")
        likenesses.check(connection, spec.name)
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
        if fill is not None:
            fill(connection, study_id)
        _enqueue(connection, study_id, spec, has_trials=fill is not None)
        return study_id

    try:
        return Study(database.write(transaction), spec, token)
    except exc.IntegrityError as error:
        raise errors.StudyExists(f"study {spec.name!r} exists already; {spec.again} resumes it") from error


def _enqueue(connection: Connection, study_id: int, spec: specs.StudySpec, has_trials: bool) -> None:
    for params in spec.enqueue:
        key = spec.space.key(params) if spec.space.is_complete(params) else None
        if not has_trials or key is None or not reservations.taken_of(connection, study_id, [key]):
            reservations.insert_waiting(connection, study_id, params, key)


def find(database: Database, name: str) -> Study | None:
    """The study of that name, or None.

    Raises:
        errors.InputError: a study of that name is there, but none of ours, or one that this version cannot read.
    """
    found = stored(database, name)
    return None if found is None else found.read()


def stored(database: Database, name: str | None = None, study_id: int | None = None) -> Stored | None:
    """The row of the study of that name or id, whoever made it, or None.

    An accent may be typed as one character or as two: where there is no study of the very name, another one that looks
    the same is meant.
    """
    column, value = (schema.studies.c.study_name, name) if study_id is None else (schema.studies.c.study_id, study_id)
    row = rows().where(column == value)
    found = database.read(lambda connection: connection.execute(row).first())
    if found is None and name is not None:
        like = database.read(lambda connection: likenesses.find(connection, name))
        return None if like is None else stored(database, like)
    return None if found is None else Stored(*found)


def all_stored(database: Database) -> list[Stored]:
    """All studies, ours and other tools', in the order they were created."""
    found = database.read(lambda connection: connection.execute(rows().order_by(schema.studies.c.study_id)).all())
    return [Stored(*row) for row in found]


def rows() -> sqlalchemy.Select[Any]:
    """Asks for what a `Stored` is made of."""
    file = sqlalchemy.and_(
        schema.study_attributes.c.study_id == schema.studies.c.study_id, schema.study_attributes.c.key == STUDY_FILE
    )
    return sqlalchemy.select(
        schema.studies.c.study_id,
        schema.studies.c.study_name,
        schema.study_attributes.c.value_json,
        orders.first_token(schema.studies.c.study_id),
    ).join_from(schema.studies, schema.study_attributes, file, isouter=True)


def names(database: Database) -> list[str]:
    """The names of our studies, in the order they were created: those for which something was ordered.

    Another tool's copy of a study has its file, but nothing that is ours.
    """
    return [each.name for each in all_stored(database) if each.token is not None]


def load(database: Database, name: str) -> Study:
    """The study in the storage that a user means by a name or a path.

    Raises:
        errors.StudyNotFound: there is none.
        errors.InputError: it is none of ours, or this version cannot read it.
    """
    return load_stored(database, name).read()


def load_stored(database: Database, name: str) -> Stored:
    """The row of the study that a user means by a name or a path, whether or not it can be read.

    Raises:
        errors.StudyNotFound: there is none.
    """
    found = stored(database, name)
    if found is None and name.endswith(".toml"):
        name = specs.load(pathlib.Path(name)).name
        found = stored(database, name)
    if found is None:
        known = [each.name for each in all_stored(database)]
        raise errors.StudyNotFound(
            f"no study {name!r} in {addresses.hide_password(database.url)}{words.hint(name, known)}"
        )
    return found


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
    return study, list(remarks.of(study.spec, spec, database.read(lambda c: orders.read(c, study))))
