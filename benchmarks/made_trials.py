"""Trials as workers leave them, each of another configuration: curves of a formula with noise, reasons, attributes."""

import dataclasses
import datetime
import math
import random
from typing import Any

from optuna.trial import TrialState

from search.space import spaces
from search.training import records

EPOCHS = 10
OPEN = (TrialState.RUNNING,) * 3 + (TrialState.WAITING,) * 2  # the last ones
SHARES = {TrialState.COMPLETE: 0.71, TrialState.PRUNED: 0.28, TrialState.FAIL: 0.01}
WORKERS = 8
FULL_TRAINING = {"engine": "cpu", "device": "cpu", "data": "40a60860dd627049", "torch": "2.15.0", "target": "x86_64"}
BEGUN = datetime.datetime(2026, 1, 1)


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


def attributes(trial: Trial, worker: str) -> dict[str, Any]:
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
