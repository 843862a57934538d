import math
from typing import Any

import numpy
import pytest
from conftest import ROOT

from search.space import encodings
from search.study import specs
from search.surrogates import outlooks
from search.surrogates.trainings import Stage, Training

LAB = specs.load(ROOT / "studies" / "lab.toml").space
ENCODING = encodings.Encoding(LAB)


def params(depth: int = 3, batch_size: int = 16, width: int = 128) -> dict[str, Any]:
    found = {"learning_rate": 0.1, "batch_size": batch_size, "depth": depth}
    return found | ({"width": width, "activation": "ReLU"} if depth else {})


def training(number: int, stage: Stage, values: list[float], seconds: float = 10.0, **where: Any) -> Training:
    value = values[-1] if stage is Stage.COMPLETE else None
    return Training(number, params(**where), stage, numpy.array(values), value, seconds)


COMPLETE = [
    training(n, Stage.COMPLETE, [0.5 + 0.04 * n, 0.7 + 0.02 * n, 0.8 + 0.01 * n], depth=n, seconds=3.0 * (n + 1))
    for n in range(6)
]


def outlook(*more: Training, maximize: bool = True) -> outlooks.Outlook:
    return outlooks.Outlook(ENCODING, [*COMPLETE, *more], maximize, 3)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_scale_bends_towards_the_best(sign: float) -> None:
    """The best is 0, order is kept, a gain near the best counts for more; nan and infinities are the worst."""
    scale = outlooks.Scale([sign * v for v in (0.1, 0.5, 0.8, 0.88, math.inf * -1)], sign)
    found = [scale(sign * value) for value in (0.88, 0.8, 0.5, 0.1)]
    assert found[0] == 0.0
    assert found == sorted(found, reverse=True)
    assert scale(sign * 0.88) - scale(sign * 0.86) > 2 * (scale(sign * 0.52) - scale(sign * 0.5))
    assert scale(math.nan) == scale(sign * -math.inf) == scale.worst == found[-1]


def test_a_paused_trial_counts_with_what_it_foretells() -> None:
    """One that is ahead after an epoch is expected to end ahead, less surely than if it had ended."""
    ahead = outlook(training(9, Stage.PAUSED, [0.9], batch_size=64, depth=1))
    behind = outlook(training(9, Stage.PAUSED, [0.3], batch_size=64, depth=1))
    place = ENCODING([params(batch_size=64, depth=1)])
    assert ahead.promises(place)[0] > behind.promises(place)[0] + 0.5
    done = outlook(training(9, Stage.COMPLETE, [0.9, 0.9, 0.9], batch_size=64, depth=1))
    assert done.process.predict(place)[1][0] < ahead.process.predict(place)[1][0]


def test_networks_of_one_kind_do_not_speak_for_others() -> None:
    """Where only flat curves of depth 0 have ended, a deep one that has paused may end much higher."""
    flat = [
        training(n, Stage.COMPLETE, [0.81 - 0.002 * n, 0.83, 0.838 - 0.001 * n], depth=0, batch_size=60 + n)
        for n in range(12)
    ]
    deep = training(20, Stage.PAUSED, [0.78], depth=3, batch_size=11)
    like = training(21, Stage.PAUSED, [0.78], depth=0, batch_size=90)
    found = outlooks.Outlook(ENCODING, [*flat, deep, like], True, 3)
    promised = found.promises(ENCODING([deep.params, like.params]))
    assert promised[0] > promised[1] + 2


def test_where_a_trial_runs_less_is_promised() -> None:
    """A configuration that is trained now, and what is like it, promise less to the next worker."""
    near = ENCODING([params(depth=6, batch_size=33)])
    before = outlook().promises(near)[0]
    after = outlook(training(9, Stage.RUNNING, [], depth=6, batch_size=32)).promises(near)[0]
    assert after < before


def test_pruned_without_a_value_is_the_worst() -> None:
    """What was pruned before its first step lowers what is expected around it."""
    place = ENCODING([params(depth=6, width=512)])
    dead = training(9, Stage.ENDED, [], depth=6, width=512)
    assert outlook(dead).process.predict(place)[0][0] < outlook().process.predict(place)[0][0] - 0.3


def test_seconds_are_those_of_an_epoch() -> None:
    """Costs are learned by epoch, also of a trial that has only begun."""
    found = outlook(training(9, Stage.PAUSED, [0.5], seconds=7.0, depth=6))
    deep, flat = found.seconds(ENCODING([params(depth=6), params(depth=0)]))
    assert 4.5 < deep < 9
    assert flat < 3


def test_minimized_and_maximized_are_mirrors() -> None:
    """The same values with the other sign and direction promise the same."""
    mirrored = [
        Training(t.number, t.params, t.stage, -t.values, None if t.value is None else -t.value, t.seconds)
        for t in COMPLETE
    ]
    asked = ENCODING([params(depth=2), params(depth=6, batch_size=1)])
    other = outlooks.Outlook(ENCODING, mirrored, False, 3)
    assert other.promises(asked) == pytest.approx(outlook().promises(asked))
