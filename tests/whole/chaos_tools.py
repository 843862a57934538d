"""Another tool on the same studies: writes through plain Optuna, and remembers what it did."""

import contextlib
import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import chaos_plans
import optuna
import sqlalchemy
from optuna import distributions
from optuna.trial import TrialState

from search.ledger import counts, orders, retries, studies
from search.space import parameters, spaces
from search.storage import databases, schema

FAR = 7  # outside of every range of the studies
ROOM = 8  # trials of the budget that must be free where one is asked for: no lock of ours holds for this tool
TOLD = 0.123
WAIT_SECONDS = 60


@dataclasses.dataclass
class Deeds:
    """What was done to one study, by the number of the trial.

    Attributes:
        added: state, value and params of those that came with their result.
        told: state and value of those that it ended; `ran`: of these, those that it ran from their start.
        queued: params, and whether they can be.
        foreign: of those that it told, what it had taken from the queue.
        open: asked for and not ended yet; the flag says whether our workers had it before.
        given: those that it asked for, and that our workers were given.
    """

    added: dict[int, tuple[TrialState, float | None, spaces.Params]] = dataclasses.field(default_factory=dict)
    told: dict[int, tuple[TrialState, float | None]] = dataclasses.field(default_factory=dict)
    ran: set[int] = dataclasses.field(default_factory=set)
    foreign: set[int] = dataclasses.field(default_factory=set)
    given: set[int] = dataclasses.field(default_factory=set)
    queued: dict[int, tuple[spaces.Params, bool]] = dataclasses.field(default_factory=dict)
    open: dict[int, bool] = dataclasses.field(default_factory=dict)


class OtherTool:
    """Plain Optuna beside our workers; each deed with a connection of its own."""

    def __init__(self, database: databases.Database, found: dict[str, studies.Study], seed: int) -> None:
        self._database, self._studies = database, found
        self._random = random.Random(seed)
        self.deeds = {name: Deeds() for name in found}
        self.done: dict[str, int] = {}

    def act(self, event: chaos_plans.Event) -> None:
        """Carries an event out; what the moment does not allow is left out."""
        with self._plain(event.what) as study:
            act = getattr(self, f"_{event.kind.replace('-', '_')}")
            if act(event, study, self.deeds[event.what], self._studies[event.what]):
                self.done[event.kind] = self.done.get(event.kind, 0) + 1

    def settle_all(self) -> None:
        """Ends whatever it has asked for."""
        for name, deeds in self.deeds.items():
            while deeds.open:
                self.act(chaos_plans.Event("settle", 0.0, name, 0.0))

    @contextlib.contextmanager
    def _plain(self, name: str) -> Iterator[optuna.Study]:
        lite = self._database.url.startswith("sqlite")
        storage = optuna.storages.RDBStorage(
            self._database.url, engine_kwargs={"connect_args": {"timeout": WAIT_SECONDS}} if lite else None
        )
        try:
            yield optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler())
        finally:
            storage.engine.dispose()

    def _enqueue(self, _: Any, study: optuna.Study, deeds: Deeds, ours: studies.Study) -> bool:
        return self._queue(study, deeds, self._sample(ours), True)

    def _enqueue_duplicate(
        self, event: chaos_plans.Event, study: optuna.Study, deeds: Deeds, ours: studies.Study
    ) -> bool:
        ended = [trial for trial in study.get_trials(states=counts.COUNTED) if ours.spec.space.holds(trial.params)]
        return bool(ended) and self._queue(study, deeds, chaos_plans.chosen(event.luck, ended).params, False)

    def _enqueue_impossible(self, _: Any, study: optuna.Study, deeds: Deeds, ours: studies.Study) -> bool:
        return self._queue(study, deeds, {**self._sample(ours), _range(ours)[0]: FAR}, False)

    def _queue(self, study: optuna.Study, deeds: Deeds, params: spaces.Params, can_be: bool) -> bool:
        known = {trial.number for trial in study.get_trials(deepcopy=False)}
        study.enqueue_trial(params)
        (number,) = {
            trial.number
            for trial in study.get_trials(deepcopy=False)
            if trial.number not in known and trial.system_attrs.get("fixed_params") == params
        }
        deeds.queued[number] = params, can_be
        return True

    def _add(self, event: chaos_plans.Event, study: optuna.Study, deeds: Deeds, ours: studies.Study) -> bool:
        params = self._sample(ours)
        known = {p.name: p.distribution for p in ours.spec.space.parameters if p.name in params}
        state = chaos_plans.chosen(event.luck, [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED])
        return self._add_trial(study, deeds, state, params, known)

    def _add_outside(self, event: chaos_plans.Event, study: optuna.Study, deeds: Deeds, ours: studies.Study) -> bool:
        name, known = _range(ours)
        kind = type(known)  # Optuna lets nobody change it
        state = chaos_plans.chosen(event.luck, [TrialState.COMPLETE, TrialState.FAIL])
        return self._add_trial(study, deeds, state, {name: FAR}, {name: kind(low=0, high=2 * FAR)})

    def _add_trial(
        self, study: optuna.Study, deeds: Deeds, state: TrialState, params: spaces.Params, known: dict[str, Any]
    ) -> bool:
        value = None if state == TrialState.FAIL else self._random.uniform(10, 20)  # no trial of ours has such a value
        mark = {"chaos": self._random.random()}
        study.add_trial(
            optuna.create_trial(state=state, value=value, params=params, distributions=known, user_attrs=mark)
        )
        (number,) = [t.number for t in study.get_trials(deepcopy=False) if t.user_attrs == mark]
        deeds.added[number] = state, value, params
        return True

    def _tell(self, event: chaos_plans.Event, study: optuna.Study, deeds: Deeds, _: Any) -> bool:
        running = [t.number for t in study.get_trials(states=(TrialState.RUNNING,)) if t.number not in deeds.open]
        if not running:
            return False
        number = chaos_plans.chosen(event.luck, running)
        state = self._random.choice([TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
        return self._end(study, deeds, number, state)

    def _end(self, study: optuna.Study, deeds: Deeds, number: int, state: TrialState) -> bool:
        value = TOLD if state == TrialState.COMPLETE else None
        try:
            study.tell(number, value, state)
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            return False  # its worker was quicker
        deeds.told[number] = state, value
        return True

    def _ask(self, event: chaos_plans.Event, study: optuna.Study, deeds: Deeds, ours: studies.Study) -> bool:
        def room(connection: sqlalchemy.Connection) -> int:
            found = counts.read(connection, ours.study_id)
            used = found.done + found.of(TrialState.RUNNING) + found.of(TrialState.WAITING)
            return orders.read(connection, ours).trials - used

        if self._database.read(room) < ROOM:
            return False
        trial = study.ask()  # a waiting one, where there is one
        row = sqlalchemy.select(schema.claims.c.trial_id).where(schema.claims.c.trial_id == trial._trial_id)
        known = self._database.read(lambda connection: connection.execute(row).first()) is not None
        deeds.queued.pop(trial.number, None)
        deeds.open[trial.number] = known
        if event.luck < 0.7:  # some that ask never suggest
            _suggest(trial, ours.spec.space)
        return True

    def _settle(self, event: chaos_plans.Event, study: optuna.Study, deeds: Deeds, ours: studies.Study) -> bool:
        """Tells what was asked for first, or lets our workers have it."""
        if not deeds.open:
            return False
        number = next(iter(deeds.open))
        known = deeds.open.pop(number)
        if event.luck > 0.6:
            retries.retry(self._database, ours, [number])
            deeds.given.add(number)
            return True
        state = TrialState.COMPLETE if event.luck < 0.5 else TrialState.FAIL
        if self._end(study, deeds, number, state):
            (deeds.foreign if known else deeds.ran).add(number)
        return True

    def _sample(self, ours: studies.Study) -> spaces.Params:
        return ours.spec.space.complete(lambda parameter, _: self._draw(parameter))

    def _draw(self, parameter: parameters.Parameter) -> Any:
        known = parameter.distribution
        if isinstance(known, distributions.CategoricalDistribution):
            return self._random.choice(known.choices)
        if isinstance(known, distributions.IntDistribution):
            return self._random.randint(known.low, known.high)
        assert isinstance(known, distributions.FloatDistribution)
        return self._random.uniform(known.low, known.high)


def _range(ours: studies.Study) -> tuple[str, distributions.IntDistribution | distributions.FloatDistribution]:
    """The first parameter of a study's space that is a range."""
    ranges = (distributions.IntDistribution, distributions.FloatDistribution)
    for parameter in ours.spec.space.parameters:
        if isinstance(parameter.distribution, ranges):
            return parameter.name, parameter.distribution
    raise AssertionError("every study of the suite has one")


def _suggest(trial: optuna.Trial, space: spaces.Space) -> None:
    """Suggests all parameters that exist, as an objective does."""

    def suggest(parameter: parameters.Parameter, _: Any) -> Any:
        name, known = parameter.name, parameter.distribution
        if isinstance(known, distributions.CategoricalDistribution):
            return trial.suggest_categorical(name, known.choices)
        if isinstance(known, distributions.IntDistribution):
            return trial.suggest_int(name, known.low, known.high)
        assert isinstance(known, distributions.FloatDistribution)
        return trial.suggest_float(name, known.low, known.high)

    space.complete(suggest)
