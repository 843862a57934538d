"""What the process of code of the user's own is told to train a trial: see `search/child/messages.py`."""

import json
import shutil
from typing import Any

from search import files
from search.study import ladders, programs, specs
from search.training import folders, records, seeds
from search.training.objectives import Trial

VARIABLES = {
    "SEARCH_TRIAL_NUMBER": "number",
    "SEARCH_SEED": "seed",
    "SEARCH_STUDY": "study",
    "SEARCH_TRIAL_DIR": "trial_dir",
    "SEARCH_CHECKPOINT_DIR": "checkpoint_dir",
    "SEARCH_PARAMS_FILE": "params_file",
}


def order(spec: specs.StudySpec, trial: Trial, folder: folders.Folder, save_seconds: float) -> dict[str, Any]:
    """For a function, or with what a program needs beside it."""
    told = {
        "do": "train",
        "number": trial.number,
        "seed": seeds.of(spec.study.seed, trial.repeat),
        "params": trial.params,
        "attrs": {records.REPEAT.name: trial.repeat} if trial.repeat else {},
        "folder": str(folder.path),
        "saved": _saved(trial, folder),
    }
    return told if spec.command is None else {**told, **_program(spec, trial, folder, save_seconds)}


def _saved(trial: Trial, folder: folders.Folder) -> dict[str, Any] | None:
    """A copy of the checkpoint, which the code may do with what it likes."""
    saved = trial.saved
    if saved is None or saved.payload is None:
        return None
    payload = saved.payload
    folder.scratch.mkdir(exist_ok=True)
    kept = folder.scratch / "saved"
    if payload.path is not None:
        shutil.copyfile(payload.path, kept)
    elif payload.place:
        if not trial.fetch(payload, kept):
            return None
    else:
        kept.write_bytes(payload.content)
    value = saved.values[-1] if saved.values else None
    return {"path": str(kept), "kind": payload.kind, "step": saved.epoch, "value": value}


def _program(spec: specs.StudySpec, trial: Trial, folder: folders.Folder, save_seconds: float) -> dict[str, Any]:
    assert spec.command is not None
    assert spec.metric is not None
    ladder, params_file = ladders.of(spec.pruning, spec.training), folder.path / folders.PARAMS
    files.write(params_file, json.dumps(trial.params, indent=2).encode())
    words = {
        "number": str(trial.number),
        "seed": str(seeds.of(spec.study.seed, trial.repeat)),
        "study": spec.name,
        "trial_dir": str(folder.path),
        "checkpoint_dir": str(folder.checkpoint),
        "params_file": str(params_file),
    }
    path = spec.metric.path and programs.insert(spec.metric.path, words)
    return {
        "arguments": programs.fill(spec.command, trial.params, words),
        "environment": {
            **programs.variables(trial.params),
            **{variable: words[word] for variable, word in VARIABLES.items()},
        },
        "metric": {**spec.metric.model_dump(by_alias=True), "path": path},
        "save_seconds": save_seconds,
        "rungs": list(ladder.rungs) if ladder else [],
    }
