"""Publishes to MLflow: a study is an experiment, a trial a run of it, told apart by tags that are ours."""

import collections
import contextlib
import dataclasses
import re
from typing import Any

from search import errors, escapes
from search.exports import entries, mlflow_clients
from search.exports.mlflow_clients import NUMBER, SENT, SUM, Run
from search.exports.targets import Outcome

STUDY = "search.study_token"
STATUSES = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "running": "RUNNING"}
SCHEDULED = "SCHEDULED"  # what waits, or has paused
# MLflow's: letters, digits and these, and no path that could be written shorter
NAME = re.compile(r"(?![./ ])(?!.*(//|/\.|\.\./))[/\w.\- :]*[\w\-:]")
NAME_CHARACTERS = 250
PARAM_CHARACTERS, TAG_CHARACTERS = 6_000, 5_000  # newer servers take 8,000 of a tag
POINTS, LABELS = 800, 100  # a request
TRIES = 3  # where another publisher took a run away in this moment

Point = tuple[str, int, float]


class MLflow:
    """See `targets.Target`.

    Args:
        uri: of the tracking server.
    """

    def __init__(self, uri: str) -> None:
        self._client = mlflow_clients.Client(uri)
        self._experiment = ""
        self._runs: dict[int, Run] = {}  # by the trial's number: what is known of its run

    def begin(self, heading: entries.Heading) -> None:
        """See `targets.Target`."""
        self._experiment = self._find_experiment(heading) or self._make_experiment(heading)
        known = collections.defaultdict(list)
        for run in self._client.search(self._experiment, ""):
            known[run.trial].append(run)
        self._runs = {number: self._one_of(runs) for number, runs in known.items() if number is not None}

    def send(self, heading: entries.Heading, entry: entries.Entry) -> Outcome:
        """See `targets.Target`. A run that another publisher has made in the same moment is one with ours."""
        for _ in range(TRIES):
            try:
                return self._send(heading, entry)
            except mlflow_clients.Gone:
                self._runs.pop(entry.number, None)
                if found := self._of(entry):
                    self._runs[entry.number] = self._one_of(found)
        raise errors.PublishFailed(
            f"--to mlflow:{self._client.uri}: the run of trial {entry.number} is deleted again and again; "
            "does somebody else do that?"
        )

    def finish(self, heading: entries.Heading) -> None:
        """See `targets.Target`."""
        tags = {f"search.{name}": text for name, text in heading.facts.items()} | _file(heading.text)
        tags["mlflow.note.content"] = _note(heading)
        if heading.best is not None:
            tags["search.best_trial"] = str(heading.best)
            tags["search.best_value"] = entries.shown(heading.best_value)
            tags["search.best_params"] = entries.typed(heading.best_params)
        known = self._client.call("get_experiment", self._experiment).tags
        for name, text in tags.items():
            if known.get(name) != (text := entries.cut(text, TAG_CHARACTERS)):
                self._client.call("set_experiment_tag", self._experiment, name, text)

    def _find_experiment(self, heading: entries.Heading) -> str | None:
        found = self._client.call("search_experiments", filter_string=f"tags.`{STUDY}` = '{heading.token}'")
        return min((str(each.experiment_id) for each in found), default=None)

    def _make_experiment(self, heading: entries.Heading) -> str:
        """Under the study's name; where another study has it, or a deleted experiment, with our mark behind it."""
        for name in (heading.name, f"{heading.name} ({heading.mark})"):
            try:
                return str(self._client.call("create_experiment", name, tags={STUDY: heading.token}))
            except mlflow_clients.Taken:
                if found := self._find_experiment(heading):  # made in this moment by another publisher
                    return found
        raise errors.PublishFailed(
            f"--to mlflow:{self._client.uri}: an experiment {heading.name!r} was deleted there; restore it, or delete "
            "it for good"
        )

    def _send(self, heading: entries.Heading, entry: entries.Entry) -> Outcome:
        run, checksum = self._runs.get(entry.number), entry.checksum(heading)
        status, points = STATUSES.get(entry.state, SCHEDULED), _points(heading, entry)
        if run is not None and run.published == checksum and run.status == status:
            return Outcome.UNCHANGED
        outcome = Outcome.NEW if run is None else Outcome.UPDATED
        if run is not None and not _goes_on(run, points, entry):  # MLflow takes no metric or parameter back
            self._delete(run)
            run = None
        if run is None:
            run = self._make(entry)
        sent = (len(points), entries.digest(points))
        self._write(run, entry, points[run.sent[0] :], {SENT: f"{sent[0]}:{sent[1]}", SUM: checksum, **_tags(entry)})
        self._set_status(run, status, entry)
        told: dict[str, Any] = {
            "status": status,
            "published": checksum,
            "sent": sent,
            "params": {**run.params, **_params(entry)},
        }
        self._runs[entry.number] = dataclasses.replace(run, **told)
        return outcome

    def _make(self, entry: entries.Entry) -> Run:
        """A new run; the one of another publisher where both were made in one moment."""
        begun = None if entry.begun is None else entries.milliseconds(entry.begun)
        told = {"start_time": begun, "tags": {NUMBER: str(entry.number)}, "run_name": f"trial {entry.number}"}
        self._client.call("create_run", self._experiment, **told)
        return self._one_of(self._of(entry))

    def _of(self, entry: entries.Entry) -> list[Run]:
        return list(self._client.search(self._experiment, f"tags.`{NUMBER}` = '{entry.number}'"))

    def _one_of(self, runs: list[Run]) -> Run:
        """The one that every publisher keeps; the others are deleted."""
        kept, *doubles = sorted(runs, key=lambda run: run.run_id)
        for run in doubles:
            self._delete(run)
        return kept

    def _delete(self, run: Run) -> None:
        with contextlib.suppress(mlflow_clients.Gone):
            self._client.call("delete_run", run.run_id)

    def _write(self, run: Run, entry: entries.Entry, points: list[Point], tags: dict[str, str]) -> None:
        """Points, parameters and tags, the first tags last: they say how much was sent.

        A server keeps one of the points that a kill lets it have twice, and writes the tags of a request last.
        """
        known = self._client.entities
        labels = entries.names({name for name, _, _ in points}, NAME, NAME_CHARACTERS)
        # no time of a step is stored: the run's own, and a millisecond a step
        metrics = [known.Metric(labels[name], value, run.begun + step, step) for name, step, value in points]
        params = [known.Param(name, text) for name, text in _params(entry).items() if name not in run.params]
        told = [known.RunTag(name, entries.cut(text, TAG_CHARACTERS)) for name, text in reversed(tags.items())]
        while len(metrics) > POINTS or len(params) > LABELS or len(told) > LABELS:
            first = {"metrics": metrics[:-POINTS][:POINTS], "params": params[:-LABELS][:LABELS]}
            first["tags"] = told[:-LABELS][:LABELS]
            self._client.call("log_batch", run.run_id, **first)
            metrics, params = metrics[len(first["metrics"]) :], params[len(first["params"]) :]
            told = told[len(first["tags"]) :]
        self._client.call("log_batch", run.run_id, metrics=metrics, params=params, tags=told)

    def _set_status(self, run: Run, status: str, entry: entries.Entry) -> None:
        if entry.ended is not None:
            self._client.call("set_terminated", run.run_id, status, entries.milliseconds(entry.ended))
        elif run.status != status:
            self._client.call("update_run", run.run_id, status)


def _points(heading: entries.Heading, entry: entries.Entry) -> list[Point]:
    """Curves by step, then what there is once."""
    curves = [(f"curve/{name}", step, value) for name, step, value in entry.points]
    return [*curves, *((name, entry.last_step, value) for name, value in entry.once(heading.metric).items())]


def _goes_on(run: Run, points: list[Point], entry: entries.Entry) -> bool:
    """Whether what there is to tell begins with what the run has."""
    count, digest = run.sent
    given = _params(entry)
    has_params = all(given.get(name) == text for name, text in run.params.items())
    return has_params and (count == 0 or (count <= len(points) and entries.digest(points[:count]) == digest))


def _params(entry: entries.Entry) -> dict[str, str]:
    labels = entries.names(entry.params, NAME, NAME_CHARACTERS)
    return {labels[name]: entries.cut(entries.shown(value), PARAM_CHARACTERS) for name, value in entry.params.items()}


def _tags(entry: entries.Entry) -> dict[str, str]:
    found = {"search.state": entry.state, "search.best": str(entry.is_best).lower()}
    found["search.params"] = entries.typed(entry.params)
    found |= {f"search.{name}": text for name, text in entry.facts.items()}
    labels = entries.names(entry.attributes, NAME, NAME_CHARACTERS - len("attr."))
    return found | {f"attr.{labels[name]}": entries.shown(value) for name, value in entry.attributes.items()}


def _file(text: str) -> dict[str, str]:
    """A study file, in as many tags as it needs."""
    pieces = [text[at : at + TAG_CHARACTERS] for at in range(0, len(text), TAG_CHARACTERS)]
    return {"search.study_file" + (f".{place}" if place > 1 else ""): piece for place, piece in enumerate(pieces, 1)}


def _note(heading: entries.Heading) -> str:
    """What MLflow shows above the runs."""
    best = "No trial is complete yet."
    if heading.best is not None:
        value, params = entries.shown(heading.best_value), entries.typed(heading.best_params)
        best = f"Best: trial {heading.best}, {heading.metric} {value}, {params}."
    return f"{escapes.paragraph(best)}\n\n{escapes.fence(heading.text, 'toml')}"
