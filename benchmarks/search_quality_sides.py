"""The two sides of `search_quality.py`, each with its CPU seconds, and the tests of what they chose."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import tomllib
from typing import Any

import numpy
import optuna
import psutil
import tomli_w

from models import blas, data, engines
from models.recipes import ACTIVATIONS, Recipe

HOUSE = pathlib.Path(__file__).resolve().parent.parent
NAME = "quality"
LOOK_SECONDS = 0.2  # between two looks at the CPU time of the service

Row = dict[str, Any]
End = tuple[float, float, Row]  # CPU seconds so far, accuracy, configuration of a complete trial


class Spent(Exception):
    """The CPU seconds are used up."""


def study(dataset: str, seed: int, trials: int, epochs: int, sampler: str, pruner: str | None) -> str:
    """The text of the lab's study file, judged on the hold-out, with another budget, sampler or pruner."""
    raw = tomllib.loads((HOUSE / "studies" / "lab.toml").read_text())
    raw["study"] |= {"name": NAME, "seed": seed}
    raw["training"] |= {"dataset": dataset, "epochs": epochs, "evaluate_on": "validation", "value": "last"}
    raw["sampler"] = {"name": sampler}
    raw["budget"]["trials"] = trials
    pruning = raw.setdefault("pruning", {})
    if pruner != pruning.get("pruner"):  # the options of the file's own are no other's
        raw["pruning"] = {"hopeless": pruning.get("hopeless", True), **({"pruner": pruner} if pruner else {})}
    return tomli_w.dumps(raw)


def search(job: tuple[Row, str]) -> Row:
    """Both sides of one seed, one after the other."""
    key, data_dir = job
    ours = service(key["study"], data_dir)
    given = json.dumps([key, data_dir, ours["cpu_seconds"]])
    words = [sys.executable, __file__]
    said = subprocess.run(
        words, cwd=HOUSE, env=_environment(), input=given, stdout=subprocess.PIPE, text=True, check=True
    )
    return {"key": key, "service": ours, "plain": json.loads(said.stdout)}


def _environment() -> dict[str, str]:
    """Without what is set for other searches."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEARCH_")}
    return {**kept, "PYTHONPATH": str(HOUSE)}


def service(text: str, data_dir: str) -> Row:
    """`search run` with one worker on SQLite: all CPU seconds of its processes, from their start."""
    with tempfile.TemporaryDirectory() as folder:
        file, url = pathlib.Path(folder) / f"{NAME}.toml", f"sqlite:///{folder}/search.db"
        file.write_text(text)
        words = ["-m", "search", "run", str(file), "--storage", url, "--data-dir", data_dir, "--workers", "1"]
        with (pathlib.Path(folder) / "log").open("w+") as log:
            how: Row = {"cwd": HOUSE, "env": _environment(), "stdout": log, "stderr": subprocess.STDOUT}
            process = psutil.Popen([sys.executable, *words], **how)
            moments, seconds = [time.time()], [0.0]
            while process.poll() is None:
                moments.append(time.time())
                seconds.append(max(seconds[-1], _spent(process)))
                time.sleep(LOOK_SECONDS)
            if process.returncode:
                log.seek(0)
                raise RuntimeError(f"search run ended with {process.returncode}: {log.read()[-2000:]}")
        moments.append(time.time())
        trials = _trials(url)
    used = psutil.Process().cpu_times()  # this process had no other child
    seconds.append(used.children_user + used.children_system)
    ends = [
        (float(numpy.interp(trial.datetime_complete.timestamp(), moments, seconds)), trial.value, trial.params)
        for trial in sorted(trials, key=lambda trial: trial.datetime_complete)
        if trial.state == optuna.trial.TrialState.COMPLETE
    ]
    return _row(ends, len(trials), seconds[-1])


def _spent(process: psutil.Process) -> float:
    """CPU seconds of a process and all below it, so far."""
    found = 0.0
    with contextlib.suppress(psutil.Error):  # one has just ended: the next look has it
        for each in (process, *process.children(recursive=True)):
            used = each.cpu_times()
            found += used.user + used.system + used.children_user + used.children_system
    return found


def _trials(url: str) -> list[Any]:
    from search import api

    return api.load(NAME, storage=url).get_trials(deepcopy=False)


def plain(key: Row, data_dir: str, limit: float) -> Row:
    """`study.optimize` until this process, which does nothing else, has used so many CPU seconds from its start on."""
    clock = time.process_time
    blas.use_one_thread()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    images, engine = data.load(key["dataset"], data_dir).holdout(), engines.load("auto")
    ends: list[End] = []

    def tick() -> None:
        if clock() > limit:
            raise Spent

    def objective(trial: optuna.Trial) -> float:
        recipe = Recipe(
            learning_rate=trial.suggest_categorical("learning_rate", [1e-4, 1e-2, 1e-1]),
            batch_size=trial.suggest_int("batch_size", 1, 128),
            depth=trial.suggest_int("depth", 0, 6),
            width=trial.suggest_categorical("width", [32, 128, 512]),
            activation=trial.suggest_categorical("activation", ACTIVATIONS),
            epochs=key["epochs"],
            seed=key["seed"],  # as the service has it: a study's seed is that of its trainings
        )
        *_, last = engine.train(recipe, images, tick=tick)
        tick()
        ends.append((clock(), last.accuracy, _params(recipe)))
        return last.accuracy

    searched = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=key["seed"]))
    with contextlib.suppress(Spent):
        searched.optimize(objective)
    return _row(ends, len(searched.trials), clock())


def _params(recipe: Recipe) -> Row:
    names = ("learning_rate", "batch_size", "depth", *(("width", "activation") if recipe.depth else ()))
    return {name: getattr(recipe, name) for name in names}


def _row(ends: list[End], trials: int, seconds: float) -> Row:
    return {
        "cpu_seconds": round(seconds, 2),
        "trials": trials,
        "best": max(ends, key=lambda end: end[1])[2] if ends else None,
        "ends": [[round(spent, 2), round(value, 5)] for spent, value, _ in ends],
    }


def quote(job: tuple[Row, str]) -> Row:
    """The accuracy on the test set of a configuration, trained on all training images."""
    key, data_dir = job
    blas.use_one_thread()
    recipe = Recipe(**key["params"], epochs=key["epochs"], seed=key["seed"])
    *_, last = engines.load("auto").train(recipe, data.load(key["dataset"], data_dir))
    return {"key": key, "test": round(last.accuracy, 5)}


if __name__ == "__main__":
    print(json.dumps(plain(*json.load(sys.stdin))))
