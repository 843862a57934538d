"""What is published of a study and of each of its trials, whatever the tool that shows it."""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search import files, words
from search.ledger import portions, summaries
from search.space import scalars
from search.training import records

FORM = 1  # of what is published: another one is published again
PAUSED = "paused"
OURS = "search:"  # attributes of trials that begin so
# what is told of a trial beside its value, by its name there
FACTS: dict[str, records.Attribute[Any]] = {
    "reason": records.REASON,
    "worker": records.WORKER,
    "seed": records.SEED,
    "repeat": records.REPEAT,
    "engine": records.ENGINE,
    "device": records.DEVICE,
}
TIMES = {"search/seconds": records.SECONDS, "search/cpu_seconds": records.CPU_SECONDS}
# by epoch, beside the metric
LOSSES = {"loss": records.AVG_LOSSES, "train_accuracy": records.TRAIN_ACCURACIES}


@dataclasses.dataclass(frozen=True)
class Heading:
    """A study.

    Attributes:
        token: of its first order, which no other study has.
        facts: what is told of it, as text by name.
        best: number of its best trial, or None; `best_value` and `best_params` are that trial's.
    """

    name: str
    token: str
    metric: str
    text: str
    facts: dict[str, str]
    best: int | None
    best_value: float | None
    best_params: dict[str, Any]

    @property
    def mark(self) -> str:
        """Some digits of its token."""
        return self.token[:8]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A trial.

    Attributes:
        state: as the commands say it: complete, pruned, failed, running, waiting, paused.
        curves: by name and step; the metric's own is the first.
        times: seconds, by name.
        begun, ended: in UTC; None where it waits, or has not ended.
        facts: what is told of it, as text by name; `attributes`: what its code has set on it.
    """

    number: int
    state: str
    value: float | None
    params: dict[str, Any]
    curves: dict[str, dict[int, float]]
    times: dict[str, float]
    begun: datetime.datetime | None
    ended: datetime.datetime | None
    facts: dict[str, str]
    attributes: dict[str, Any]
    is_best: bool

    @property
    def has_ended(self) -> bool:
        """Whether it is complete, pruned or failed."""
        return self.ended is not None

    @property
    def points(self) -> list[tuple[str, int, float]]:
        """Its curves as (name, step, value): what is added while it runs comes behind what was there."""
        found = [
            (step, place, name, value)
            for place, (name, curve) in enumerate(self.curves.items())
            for step, value in curve.items()
        ]
        return [(name, step, value) for step, _, name, value in sorted(found, key=lambda point: point[:2])]

    @property
    def last_step(self) -> int:
        """The last step of its curves; 0 without any."""
        return max((step for curve in self.curves.values() for step in curve), default=0)

    def once(self, metric: str) -> dict[str, float]:
        """What there is once, of its last step: the value, under the metric's name, and the times."""
        return {**self.times, **({} if self.value is None else {metric: self.value})}

    def checksum(self, heading: Heading) -> str:
        """Of all that is published of it, but for when it began: that is another time for each owner."""
        told = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "begun"}
        return digest([FORM, heading.name, heading.metric, told])


def heading(summary: summaries.Summary) -> Heading:
    """A study as it is now."""
    spec, best = summary.study.spec, summary.best
    facts = {
        "study": spec.name,
        "metric": spec.study.metric,
        "direction": spec.study.direction,
        "seed": str(spec.study.seed),
        "sampler": spec.sampler.name,
        "trains": spec.code or f"networks on {spec.training.dataset if spec.training else '-'}",
        "version": importlib.metadata.version("optuna-search-service"),
        "optuna": importlib.metadata.version("optuna"),
    }
    return Heading(
        name=spec.name,
        token=summary.study.token,
        metric=spec.study.metric,
        text=spec.text,
        facts=facts,
        best=None if best is None else best.number,
        best_value=None if best is None else best.value,
        best_params={} if best is None else dict(best.params),
    )


def of(portion: portions.Portion, heading: Heading) -> list[Entry]:
    """Trials that have begun: of one that waits for its first owner there is nothing to tell yet."""
    begun = [trial for trial in portion.trials if trial.state != TrialState.WAITING or trial.params]
    return [entry(trial, heading, trial.number in portion.paused) for trial in begun]


def entry(trial: FrozenTrial, heading: Heading, is_paused: bool) -> Entry:
    """A trial of a study."""
    facts = {name: str(found) for name, each in FACTS.items() if (found := each.find(trial)) is not None}
    if (code := records.CODE.find(trial)) is not None:
        facts["code"] = json.dumps(code, sort_keys=True)
    if (first := records.retried_of(trial)) is not None:
        facts["retry_of"] = str(first)
    has_ended = trial.state.is_finished()
    return Entry(
        number=trial.number,
        state=PAUSED if is_paused and not has_ended else words.STATES[trial.state],
        value=trial.values[0] if trial.values else None,
        params=dict(trial.params),
        curves=_curves(trial, heading.metric),
        times={name: found for name, each in TIMES.items() if (found := each.find(trial)) is not None},
        begun=_utc(trial.datetime_start),
        ended=(_utc(trial.datetime_complete) or _utc(trial.datetime_start)) if has_ended else None,
        facts=facts,
        attributes={key: value for key, value in trial.user_attrs.items() if not key.startswith(OURS)},
        is_best=heading.best == trial.number,
    )


def _curves(trial: FrozenTrial, metric: str) -> dict[str, dict[int, float]]:
    steps = sorted(trial.intermediate_values)
    found = {metric: {step: trial.intermediate_values[step] for step in steps}}
    for name, each in LOSSES.items():
        values = each.read(trial, [])
        if len(values) == len(steps) and name != metric:
            found[name] = {step: float(value) for step, value in zip(steps, values, strict=True)}
    return {name: curve for name, curve in found.items() if curve}


def _utc(moment: datetime.datetime | None) -> datetime.datetime | None:
    return None if moment is None else moment.replace(tzinfo=datetime.UTC)


def milliseconds(moment: datetime.datetime) -> int:
    """Since 1970."""
    return round(moment.timestamp() * 1000)


def digest(told: Any) -> str:
    """Sixteen digits that differ where what is told differs."""
    text = json.dumps(told, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def plain(value: Any) -> Any:
    """A parameter's value as JSON has it; numbers that it has not as words."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return clean(value) if isinstance(value, str) else value


def typed(params: Mapping[str, Any]) -> str:
    """A configuration with its types: strict JSON."""
    return json.dumps({name: plain(value) for name, value in params.items()}, ensure_ascii=False)


def shown(value: Any) -> str:
    """A value as text: a string as it is, numbers with all their digits."""
    if isinstance(value, float):
        return repr(value)
    if value is None or isinstance(value, bool | int | str):
        return clean(scalars.shown(value))
    return json.dumps(value, ensure_ascii=False, default=str)


def clean(text: str) -> str:
    """Text that UTF-8 and every database can hold: halves of characters and NUL stand as a question mark."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def cut(text: str, limit: int) -> str:
    """At most so many characters; what was left out is said."""
    text = clean(text)
    if len(text) <= limit:
        return text
    end = f"... ({len(text):,} characters)"
    return text[: limit - len(end)] + end


def names(given: Iterable[str], allowed: re.Pattern[str], limit: int) -> dict[str, str]:
    """Names in which a tool takes every character, each unlike the others; those that are right stay.

    Args:
        allowed: a name that is right as it is.
    """
    found: dict[str, str] = {}
    for name in given:
        right = len(name) <= limit and allowed.fullmatch(name) is not None
        found[name] = name if right else files.safe_name(name)[-limit:]
    return found
