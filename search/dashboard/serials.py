"""A trial's rows as the JSON in which optuna-dashboard's page asks for trials, without a trial of Optuna's between.

The words are those of `optuna_dashboard._serializer`, which a test compares. What many trials share, as the
distribution of a parameter or the name of a device, is written once and taken from memory then.
"""

import json
import math
import re
import types
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import TrialState
from optuna_dashboard import _inmemory_cache, _note, _serializer
from optuna_dashboard.artifact import _backend as artifacts  # type: ignore[import-untyped]

from search.storage import rows, trials

KEPT = 20_000  # fragments that several trials may share
LONGEST_KEPT = 200  # characters
KEPT_SPACES = 1_000
STATES = {state: json.dumps(state.name.capitalize()) for state in TrialState}
NO_NOTE = '{"version":0,"body":""}'
quoted = json.encoder.encode_basestring_ascii
SPECIAL = re.compile(r"dashboard:(?:artifacts:)?(\d+):")  # what a study stores of one of its trials


def of_trials(attributes: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """What a study's system attributes say of single trials, by id: notes, and artifacts of older versions."""
    found: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        if asked := SPECIAL.match(key):
            found.setdefault(int(asked[1]), {})[key] = value
    return found


class Writer:
    """Writes trials of one study.

    Attributes:
        extra: what optuna-dashboard tells of all trials together: their spaces, and whether there are curves.
        keys: names of user attributes, and whether each is a number wherever it is.
    """

    def __init__(self, study_id: int) -> None:
        self._study_id = study_id
        self._kept: dict[tuple[Any, ...], str] = {}
        self._spaces: set[tuple[tuple[str, str], ...]] = set()
        self.extra: Any = _inmemory_cache._CachedExtraStudyProperty()
        self.keys: dict[str, bool] = {}

    def write(self, batch: rows.Batch, head: rows.Head, special: Mapping[str, Any]) -> str:
        """A trial.

        Args:
            special: what the study stores of it.

        Raises:
            TypeError, ValueError: a row is none of Optuna's.
        """
        trial_id = head.trial_id
        steps = batch.steps.get(trial_id, [])
        params = batch.params.get(trial_id, [])
        if head.state != TrialState.FAIL:
            self.extra.has_intermediate_values = self.extra.has_intermediate_values or bool(steps)
            self._add_space(tuple([(row[0], row[2]) for row in params]))
        system = {key: json.loads(text) for key, text in batch.system_attributes.get(trial_id, ())}
        fixed = system.get("fixed_params", {})
        parts = [
            f'{{"trial_id":{trial_id},"study_id":{self._study_id},"number":{head.number},'
            f'"state":{STATES[head.state]},"params":[',
            ",".join([self._param(*row) for row in params]),
            '],"fixed_params":',
            _json([{"name": name, "param_external_value": str(fixed[name])} for name in fixed]) if fixed else "[]",
            ',"user_attrs":[',
            ",".join([self._attribute(*row) for row in batch.attributes.get(trial_id, ())]),
            '],"note":',
            _json(_note.get_note_from_system_attrs(dict(special), trial_id)) if special else NO_NOTE,
            ',"artifacts":[',
            self._artifacts(head, special, system, bool(steps)),
            '],"constraints":',
            _json(system.get(_serializer.CONSTRAINTS_KEY, [])),
            ',"intermediate_values":[',
            ",".join([f'{{"step":{step},"value":{_number(value, kind)}}}' for step, value, kind in steps]),
            "]",
        ]
        return "".join(parts) + _end(batch, head)

    def _add_space(self, space: tuple[tuple[str, str], ...]) -> None:
        if space in self._spaces:
            return
        if len(self._spaces) >= KEPT_SPACES:
            self._spaces.clear()
        self._spaces.add(space)
        found = {name: trials.distribution(text) for name, text in space}
        self.extra._update_search_space(types.SimpleNamespace(distributions=found))

    def _keep(self, key: tuple[Any, ...], text: str) -> str:
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[key] = text
        return text

    def _param(self, name: str, internal: float, distribution: str) -> str:
        key = (name, internal, distribution)
        if (known := self._kept.get(key)) is not None:
            return known
        space = trials.distribution(distribution)
        external = space.to_external_repr(internal)
        text = _json(
            {
                "name": name,
                "param_internal_value": space.to_internal_repr(external),
                "param_external_value": str(external),
                "param_external_pytyp": str(type(external)),
                "distribution": _serializer.serialize_distribution(space),
            }
        )
        return self._keep(key, text)

    def _attribute(self, key: str, text: str) -> str:
        if (known := self._kept.get((key, text))) is not None:
            return known
        value = json.loads(text)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        self.keys[key] = self.keys.get(key, True) and is_number
        if isinstance(value, str):
            told = text
        elif isinstance(value, list | dict):  # as Optuna wrote it
            told = quoted(text[: _serializer.MAX_ATTR_LENGTH])
        else:
            told = quoted(_serializer.serialize_attrs({key: value})[0]["value"] if not is_number else str(value))
        written = f'{{"key":{quoted(key)},"value":{told}}}'
        return written if len(text) > LONGEST_KEPT else self._keep((key, text), written)

    def _artifacts(self, head: rows.Head, special: Mapping[str, Any], system: dict[str, Any], has_steps: bool) -> str:
        found = [_json(each) for each in _uploaded(head.trial_id, special, system)]
        if has_steps and head.state.is_finished():
            found.append(_json(curve(head.trial_id, head.number)))
        return ",".join(found)


def _end(batch: rows.Batch, head: rows.Head) -> str:
    """What only some trials have."""
    text = ""
    if values := batch.values.get(head.trial_id):
        ordered = sorted(values, key=lambda row: row[0])
        text = f',"values":[{",".join([_number(value, kind) for _, value, kind in ordered])}]'
    for name, moment in (("datetime_start", head.start), ("datetime_complete", head.complete)):
        if moment is not None:
            text += f',"{name}":{quoted(moment)}'
    return text + "}"


def curve(trial_id: int, number: int) -> dict[str, Any]:
    """The learning curve of a finished trial as an artifact, which `curves.Drawings` draws."""
    return {
        "artifact_id": str(uuid.UUID(int=trial_id)),
        "filename": f"learning-curve-{number}.png",
        "mimetype": "image/png",
        "encoding": None,
    }


def _uploaded(trial_id: int, special: Mapping[str, Any], system: Mapping[str, Any]) -> Sequence[Any]:
    prefix = artifacts._dashboard_artifact_prefix(trial_id)
    texts = [value for key, value in special.items() if key.startswith(prefix)]
    texts += [value for key, value in system.items() if key.startswith(artifacts.ARTIFACTS_ATTR_PREFIX)]
    return [found for text in texts if (found := json.loads(text)) is not None]


def _number(value: float | None, kind: str) -> str:
    """A number as JSON; what JSON has none for by its name."""
    if kind == rows.FINITE and type(value) is float and value - value == 0:
        return repr(value)
    found = rows.number(value, kind)
    if isinstance(found, float) and not math.isfinite(found):
        return '"nan"' if math.isnan(found) else '"inf"' if found > 0 else '"-inf"'
    return repr(found)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
