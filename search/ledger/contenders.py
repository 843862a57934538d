"""A study as it is compared with others: its counts, its order, its best trial and its track, as of one moment."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection

from search import errors
from search.ledger import counts, coverages, orders, outsiders, studies, summaries, tracks
from search.storage import databases, schema, trials
from search.study import contrasts, sections
from search.training import origins, records

SPACES = 20  # that one parameter of another tool's study was asked for with: more are not told


@dataclasses.dataclass(frozen=True)
class Contender:
    """A study at one moment.

    Attributes:
        states: how many trials are in a state, other tools' too; `paused`: of the waiting ones.
        order: what is in force; None of another tool's.
        configurations: of its space that trials were given; None of another tool's.
        best: the complete trial with the best value, the first of equals, without its curve; of its attributes whether
            it was imported.
        asked: of another tool's study what its parameters were asked for as.
        imported: how many trials an import brought in, with their results.
    """

    study: studies.Study | outsiders.Outsider
    states: Mapping[TrialState, int]
    paused: int
    order: orders.Order | None
    configurations: int | None
    track: tracks.Track
    best: FrozenTrial | None
    asked: Mapping[str, Sequence[BaseDistribution]] = dataclasses.field(default_factory=dict)
    imported: int = 0

    @property
    def name(self) -> str:
        """The study's."""
        return self.study.name

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return sign(self.study)

    @property
    def metric(self) -> str:
        """What its values measure."""
        return metric(self.study)

    @property
    def is_best_imported(self) -> bool:
        """Whether its best value was found elsewhere."""
        return self.best is not None and not origins.is_own(self.best)

    @property
    def is_under_way(self) -> bool:
        """Whether trials run."""
        return bool(self.states.get(TrialState.RUNNING))

    @property
    def settings(self) -> dict[str, str]:
        """Its file, key by key, with the budget in force."""
        if self.order is None or isinstance(self.study, outsiders.Outsider):
            goal = {"study.direction": self.study.directions[0]} if isinstance(self.study, outsiders.Outsider) else {}
            return {**goal, "study.metric": self.metric, **contrasts.asked(self.asked)}
        budget: dict[str, Any] = {key: getattr(self.order, key) for key in sections.Budget.model_fields}
        return contrasts.settings(self.study.spec, budget)


def sign(study: studies.Study | outsiders.Outsider) -> int:
    """1 where more is better, -1 where less is."""
    if isinstance(study, outsiders.Outsider):
        return 1 if study.directions[0] == "maximize" else -1
    return study.spec.study.sign


def metric(study: studies.Study | outsiders.Outsider) -> str:
    """What the values of a study measure."""
    return study.metrics[0] if isinstance(study, outsiders.Outsider) else study.spec.study.metric


def read(database: databases.Database, study: studies.Study | outsiders.Outsider) -> Contender:
    """The study now.

    Raises:
        errors.StudyNotFound: it was deleted.
        errors.InputError: it has several objectives.
    """
    ours = study if isinstance(study, studies.Study) else None
    if isinstance(study, outsiders.Outsider) and len(study.directions) > 1:
        raise errors.InputError(
            f"study {study.name!r} has {len(study.directions)} objectives ({study.goal}): only studies of one are "
            "compared"
        )

    def transaction(connection: Connection) -> Contender:
        order = None if ours is None else orders.read(connection, ours)
        kept = counts.read(connection, study.study_id)
        outside = () if ours is None else coverages.outside(connection, ours)
        track = tracks.read(connection, study.study_id, sign(study), outside)
        ids = [] if track.best is None else [track.best[1]]
        best = trials.read(connection, study.study_id, ids, [records.IMPORTED.name], steps=False) if ids else []
        return Contender(
            study,
            summaries.states(connection, study.study_id),
            kept.paused,
            order,
            None if ours is None else kept.configs,
            track,
            next(iter(best), None),
            _asked(connection, study.study_id) if ours is None else {},
            0 if ours is None else counts.imported(connection, study.study_id).get(study.study_id, 0),
        )

    return database.read(transaction)


def _asked(connection: Connection, study_id: int) -> dict[str, list[BaseDistribution]]:
    p = schema.params.c
    query = sqlalchemy.select(p.param_name, p.distribution_json).distinct()
    query = query.join(schema.trials, schema.trials.c.trial_id == p.trial_id).where(
        schema.trials.c.study_id == study_id
    )
    found: dict[str, list[BaseDistribution]] = {}
    for name, text in connection.execute(query.order_by(p.param_name, p.distribution_json)):
        known = found.setdefault(name, [])
        if len(known) < SPACES:
            known.append(trials.distribution(text))
    return found
