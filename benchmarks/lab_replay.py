"""What the lab's user feels: its ten published trials, the notebook's way and ours, wall time on one core.

    python benchmarks/lab_replay.py

Ours is `search run lab-replay --workers 1` from start to exit, as published and with hopeless trials pruned. The
notebook's ten epochs are its first epoch and evaluation, measured, times ten: the trial of batch size 1 alone would
take half an hour.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import torch
from rich import progress

from models import network
from models.engines import reference
from models.notebook import Notebook, torchvision_layout
from models.recipes import Recipe
from search.study import specs

STUDY = pathlib.Path(__file__).resolve().parent.parent / "studies" / "lab-replay.toml"


def recipes() -> list[Recipe]:
    """The ten published configurations."""
    spec = specs.load(STUDY)
    assert spec.training is not None
    return [Recipe(**params, epochs=spec.training.epochs) for params in spec.enqueue]


def ours(folder: pathlib.Path, data_dir: str, hopeless: bool) -> tuple[float, dict[int, float]]:
    """Seconds of the whole command, and of each trial."""
    study = folder / f"replay-{hopeless}.toml"
    study.write_text(STUDY.read_text().replace("hopeless = false", f"hopeless = {str(hopeless).lower()}"))
    command = [sys.executable, "-m", "search", "run", str(study), "--workers", "1", "--data-dir", data_dir, "--json"]
    command += ["--storage", f"sqlite:///{folder / f'{hopeless}.db'}"]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    taken = time.perf_counter() - started
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name = json.loads(done.stdout)["name"]
    trials = optuna.load_study(study_name=name, storage=command[-1]).trials
    return taken, {trial.number: trial.duration.total_seconds() for trial in trials if trial.duration is not None}


def main() -> int:
    """Prints a row a trial, the sums, and what is neither."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data-dir", default=os.environ.get("SEARCH_DATA", "data"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    reference.keep_freed_memory()
    theirs = []
    with torchvision_layout(pathlib.Path(options.data_dir)) as folder:
        notebook = Notebook(folder)
        for recipe in progress.track(recipes(), "the notebook's way"):
            started = time.perf_counter()
            net = network.build(recipe)
            notebook.epoch(recipe, net, lambda: None)
            notebook.evaluate(recipe, net)
            theirs.append(recipe.epochs * (time.perf_counter() - started))
    with tempfile.TemporaryDirectory() as own:
        plain, each = ours(pathlib.Path(own), options.data_dir, hopeless=False)
        pruned, each_pruned = ours(pathlib.Path(own), options.data_dir, hopeless=True)
    print("| trial | notebook, s | ours, s | ratio | ours with pruning, s | ratio |\n|---|---|---|---|---|---|")
    for number, seconds in enumerate(theirs):
        _row(str(number), seconds, each[number], each_pruned[number])
    _row("ten trials", sum(theirs), sum(each.values()), sum(each_pruned.values()))
    print(f"| start and end | - | {plain - sum(each.values()):.1f} | | {pruned - sum(each_pruned.values()):.1f} | |")
    _row("the command", sum(theirs), plain, pruned)
    return 0


def _row(name: str, theirs: float, plain: float, pruned: float) -> None:
    print(f"| {name} | {theirs:.1f} | {plain:.1f} | {theirs / plain:.1f} | {pruned:.1f} | {theirs / pruned:.1f} |")


if __name__ == "__main__":
    sys.exit(main())
