"""The sampler `gp-cost`: what promises the largest improvement per second, a new configuration or a paused one."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy
from optuna.study import StudyDirection

from search.ledger import pauses, stops, trainings
from search.space import encodings, spaces
from search.surrogates import choices, looks, outlooks
from search.surrogates.trainings import Stage, Training

if TYPE_CHECKING:
    from search.ledger import proposals

STARTUP = 3  # trainings with a value before there is a model
DRAWS = 100  # for a configuration that is free


def propose(ask: "proposals.Ask") -> spaces.Params:
    """A configuration."""
    return _model(ask).propose(_known(ask), ask.fixed, ask.mixed_seed)


def wish(ask: "proposals.Ask", paused: Sequence[Training]) -> pauses.Wish:
    """Which paused trials go on."""
    return _model(ask).wish(_known(ask), paused, ask.mixed_seed)


def bound(ask: "proposals.Ask") -> stops.Bound | None:
    """How much worse the best trial is than the best configuration there is; None while there is no model."""
    return _model(ask).bound(_known(ask), ask.mixed_seed)


def _maximizes(ask: "proposals.Ask") -> bool:
    return ask.study.direction != StudyDirection.MINIMIZE


def _model(ask: "proposals.Ask") -> "Model":
    ask.memory.model = ask.memory.model or Model(ask.tree, _maximizes(ask), ask.steps)
    return ask.memory.model


def _known(ask: "proposals.Ask") -> trainings.Known:
    return ask.known or trainings.of(ask.study.get_trials(deepcopy=False), ask.tree, _maximizes(ask))


@dataclasses.dataclass
class Model:
    """Of one study, as one worker keeps it; made of the trials alone, whoever makes it."""

    tree: spaces.Space
    maximize: bool
    steps: int | None

    def __post_init__(self) -> None:
        self._encoding, self._looks = encodings.Encoding(self.tree), looks.Looks(self.tree)
        self._last: tuple[object, outlooks.Outlook] | None = None

    def propose(self, known: trainings.Known, fixed: spaces.Params, seed: int) -> spaces.Params:
        """A configuration that no trial has, as far as one is found."""
        generator = numpy.random.default_rng(seed)
        if not self._is_ready(known):
            return self._begin(known, fixed, generator)
        chosen = choices.choose(
            self._outlook(known), self._looks, [], generator, fixed, known.taken, known.thrift, known.scarcity
        )
        return chosen.new if chosen.new is not None else self._looks.draw(generator, fixed)

    def wish(self, known: trainings.Known, paused: Sequence[Training], seed: int) -> pauses.Wish:
        """Which of the paused trials that a model is shown go on; none while there is no model."""
        asked = {each.number: each for each in paused}
        shown = [asked.get(each.number, each) for each in known.trainings]
        candidates = [each for each in shown if each.number in asked]
        known = dataclasses.replace(known, trainings=shown)
        if not self._is_ready(known):
            return pauses.Wish()
        outlook, generator = self._outlook(known), numpy.random.default_rng(seed)
        chosen = choices.choose(
            outlook, self._looks, candidates, generator, {}, known.taken, known.thrift, known.scarcity
        )
        return pauses.Wish(chosen.first, chosen.rest)

    def bound(self, known: trainings.Known, seed: int) -> stops.Bound | None:
        """The regret of the best complete trial, in the metric's unit: a larger one has a chance of one in twenty."""
        if not self._is_ready(known) or not any(each.stage is Stage.COMPLETE for each in known.trainings):
            return None
        outlook, generator = self._outlook(known), numpy.random.default_rng(seed)
        best = [dict(each.params) for each in outlook.ranked[: looks.BEST]]
        every = list(self._looks.candidates(best, generator, {}).values())
        return stops.Bound(outlook.regret(every, generator), known.ended)

    def _is_ready(self, known: trainings.Known) -> bool:
        return sum(each.has_value for each in known.trainings) >= STARTUP

    def _begin(self, known: trainings.Known, fixed: spaces.Params, generator: numpy.random.Generator) -> spaces.Params:
        """The middle of the space, and then by chance."""
        found = self._looks.middle(fixed)
        for _ in range(DRAWS):
            if self.tree.key(found) not in known.taken:
                break
            found = self.tree.complete(
                lambda p, _: fixed[p.name] if p.name in fixed else p.nearest(p.at(float(generator.random())))
            )
        return found

    def _outlook(self, known: trainings.Known) -> outlooks.Outlook:
        if self._last is None or self._last[0] != known.state:
            self._last = known.state, outlooks.Outlook(self._encoding, known.trainings, self.maximize, self.steps)
        return self._last[1]
