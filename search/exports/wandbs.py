"""Publishes for Weights & Biases, offline: a run folder a trial, whole or not there, which `wandb sync` takes."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from search import errors, files, lines
from search.exports import entries, silences, targets
from search.exports.targets import Outcome

KIND = "wandb"
RUNS = "wandb"  # the folder that `wandb sync` looks into
MARKER = "search-publication.json"
UNDER_WAY = ".search-publish-"  # what a kill leaves is removed by whoever comes next
NAME = re.compile(r"[^/\\]+")
NAME_CHARACTERS = 128  # of projects and tags
TEXT_CHARACTERS = 20_000
ENVIRONMENT = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
START_SECONDS = 60.0


class WandB:
    """See `targets.Target`. Nothing is sent anywhere.

    Args:
        folder: gets a folder `wandb`, as the working folder of a training script would.
    """

    def __init__(self, folder: str) -> None:
        self._folder = pathlib.Path(folder)
        with _environment():
            self._wandb: Any = targets.load("wandb", KIND)

    def begin(self, heading: entries.Heading) -> None:
        """See `targets.Target`."""
        targets.folder(self._folder / RUNS, KIND)
        try:
            with targets.lock(self._folder):
                for left in self._folder.glob(f"{UNDER_WAY}*"):
                    shutil.rmtree(left, ignore_errors=True)
        except OSError as error:
            raise targets.unwritable(KIND, self._folder, error) from error

    def send(self, heading: entries.Heading, entry: entries.Entry) -> Outcome:
        """See `targets.Target`."""
        run_id = f"{heading.mark}-{entry.number}"
        marker = {"trial": entry.number, "published": entry.checksum(heading)}
        try:
            with targets.lock(self._folder):
                there = sorted((self._folder / RUNS).glob(f"offline-run-*-{run_id}"))
                if any(_marker(path) == marker for path in there):
                    return Outcome.UNCHANGED
                with tempfile.TemporaryDirectory(dir=self._folder, prefix=UNDER_WAY) as beside:
                    made = self._write(pathlib.Path(beside), heading, entry, run_id)
                    files.write(made / MARKER, json.dumps(marker).encode())
                    for number, path in enumerate(there):
                        path.rename(pathlib.Path(beside, f"old-{number}"))
                    made.rename(self._folder / RUNS / made.name)
                return Outcome.UPDATED if there else Outcome.NEW
        except OSError as error:
            raise targets.unwritable(KIND, self._folder, error) from error

    def finish(self, heading: entries.Heading) -> None:
        """See `targets.Target`: each run has what is told of the study."""

    def _write(self, beside: pathlib.Path, heading: entries.Heading, entry: entries.Entry, run_id: str) -> pathlib.Path:
        """A run folder in another place."""
        begun = entry.begun or entry.ended
        try:
            with _environment():
                run = self._wandb.init(**self._identity(beside, heading, entry, run_id))
                for step, row in _rows(entry):
                    time = {} if begun is None else {"_timestamp": begun.timestamp() + step / 1000}
                    run.log({**row, **time}, step=step)
                for name, value in _summary(heading, entry).items():
                    run.summary[name] = value
                run.finish(exit_code=1 if entry.state == "failed" else 0)
        except OSError:
            raise
        except Exception as error:  # whatever the library raises where it cannot write
            raise errors.PublishFailed(
                f"--to {KIND}:{self._folder} cannot be written: {lines.said(str(error))}"
            ) from error
        made = next((beside / RUNS).glob(f"offline-run-*-{run_id}"), None)
        if made is None or not any(made.glob("*.wandb")):
            raise errors.PublishFailed(f"--to {KIND}:{self._folder} cannot be written: wandb has made no run")
        return made

    def _identity(
        self, beside: pathlib.Path, heading: entries.Heading, entry: entries.Entry, run_id: str
    ) -> dict[str, Any]:
        quiet = ("x_disable_stats", "x_disable_meta", "x_disable_machine_info", "disable_git", "disable_code")
        how: dict[str, Any] = {**dict.fromkeys(quiet, True), "silent": True, "console": "off", "save_code": False}
        if entry.begun is not None:
            how["x_start_time"] = entry.begun.timestamp()
        tags = [entry.state, *(["best"] if entry.is_best else [])]
        return {
            "mode": "offline",
            "dir": str(beside),
            "id": run_id,
            "reinit": "create_new",  # a run of the user's own in this process goes on
            "project": entries.names([heading.name], NAME, NAME_CHARACTERS)[heading.name],
            "group": heading.name[:NAME_CHARACTERS],
            "name": f"trial {entry.number}",
            "notes": entries.clean(entry.facts.get("reason", "")) or None,
            "tags": tags,
            "config": {name: entries.plain(value) for name, value in entry.params.items()},
            "settings": self._wandb.Settings(init_timeout=START_SECONDS, **how),
        }


def _rows(entry: entries.Entry) -> Iterator[tuple[int, dict[str, float]]]:
    """Curves, all of a step together."""
    found: dict[int, dict[str, float]] = {}
    for name, step, value in entry.points:
        found.setdefault(step, {})[f"curve/{name}"] = value
    yield from found.items()


def _summary(heading: entries.Heading, entry: entries.Entry) -> dict[str, Any]:
    found: dict[str, Any] = {"search/state": entry.state, "search/best": entry.is_best, **entry.once(heading.metric)}
    found |= {f"search/{name}": entries.cut(text, TEXT_CHARACTERS) for name, text in entry.facts.items()}
    found |= {f"study/{name}": text for name, text in heading.facts.items()}
    found["study/file"] = entries.cut(heading.text, TEXT_CHARACTERS)
    labels = {name: entries.cut(entries.shown(value), TEXT_CHARACTERS) for name, value in entry.attributes.items()}
    return found | {f"attr/{entries.clean(name)}": text for name, text in labels.items()}


def _marker(folder: pathlib.Path) -> Any:
    try:
        return json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """For the library alone."""
    missing = [name for name in ENVIRONMENT if name not in os.environ]
    os.environ.update({name: ENVIRONMENT[name] for name in missing})
    try:
        with silences.of_logs():
            yield
    finally:
        for name in missing:
            os.environ.pop(name, None)
