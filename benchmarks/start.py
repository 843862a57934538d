"""How soon a command does what it is for, and what memory its processes take, beside plain Optuna and another checkout.

    .venv/bin/python benchmarks/start.py --rounds 7 --baseline ../before

All sides take this interpreter and its packages, in turn, round by round, after a run each that fills their caches.
`first claim` is the log line of it; `first step` is when the compiled loop (or the function of one's own, or the
notebook's) is first called on the data, noted by a hook that a `sitecustomize` puts into the processes. `memory` is the
sum of the proportional shares (PSS) of all processes below the command, the worker's child included, while they train.
`plain` is one process: `study.optimize` over the notebook's loop, with torchvision's data in a DataLoader.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata

import psutil
from rich import progress

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEMORY_SECONDS = 2.0  # of training before it is looked at
LOOKS = 5
LAB = """
[study]
name = "{name}"
[training]
dataset = "fashion-mnist"
epochs = {epochs}
evaluate_on = "validation"
[space]
learning_rate = [1e-1]
batch_size = [{batch_size}]
depth = [{depth}]
width = [{width}]
activation = ["ReLU"]
[budget]
trials = {trials}
"""
OWN = """
objective = "mine:objective"
[study]
name = "{name}"
[space]
x = [0.5, 1.0]
[budget]
trials = {trials}
"""
MODULE = """
import os, time
def objective(trial):
    with open(os.environ["STARTED"], "a") as file:
        file.write(f"{{time.time()}}\\n")
    time.sleep({seconds})
    return 0.5
"""
HOOK = """
import os, sys, time
class _Found:
    def find_spec(self, name, path=None, target=None):
        if name != "models.engines.cpu" or "STARTED" not in os.environ:
            return None
        sys.meta_path.remove(self)
        import importlib.util
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            steps = module._Run._steps
            def noted(self, *arguments):
                if len(self._images.labels) > 2:  # no trial of the compiler's
                    module._Run._steps = steps
                    with open(os.environ["STARTED"], "a") as file:
                        file.write(f"{time.time()}\\n")
                return steps(self, *arguments)
            module._Run._steps = noted
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, _Found())
"""
PLAIN = """
import os, sys, time
import optuna, torch, torchvision
from torch import nn
batch_size, depth, width, epochs = map(int, sys.argv[2:])
def objective(trial):
    rate = trial.suggest_categorical("learning_rate", [0.1])
    change = torchvision.transforms.ToTensor()
    train, test = (torchvision.datasets.FashionMNIST(sys.argv[1], train=t, transform=change) for t in (True, False))
    layers, size = [nn.Flatten()], 784
    for _ in range(depth):
        layers += [nn.Linear(size, width), nn.ReLU()]
        size = width
    net = nn.Sequential(*layers, nn.Linear(size, 10))
    optimizer = torch.optim.SGD(net.parameters(), rate)
    noted = False
    for _ in range(epochs):
        for x, y in torch.utils.data.DataLoader(train, batch_size, shuffle=True):
            if not noted:
                noted = True
                with open(os.environ["STARTED"], "a") as file:
                    file.write(f"{time.time()}\\n")
            loss = nn.functional.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        right = sum(int((net(x).argmax(1) == y).sum()) for x, y in torch.utils.data.DataLoader(test, batch_size))
    return right / len(test)
torch.set_num_threads(1)
study = optuna.create_study(storage="sqlite:///plain.db", direction="maximize")
study.optimize(objective, n_trials=1)
"""
# batch size, depth, width: a trial of about a second; what is trained while memory is looked at
SECOND = (16, 1, 128)
SHAPES = ((128, 6, 512), (128, 1, 32), (1, 3, 128))


class Side:
    """A checkout, or plain Optuna, with a folder of its own."""

    def __init__(self, name: str, checkout: pathlib.Path | None, folder: pathlib.Path, data: pathlib.Path) -> None:
        self.name, self.checkout, self._folder, self._data = name, checkout, folder, data
        self._started = folder / "started"
        folder.mkdir()
        (folder / "hook").mkdir()
        (folder / "hook" / "sitecustomize.py").write_text(HOOK)
        (folder / "plain.py").write_text(PLAIN)
        (folder / "mine.py").write_text(MODULE.format(seconds=1.0))
        self._number = 0

    def study(self, text: str, **values: object) -> str:
        """A new study's file."""
        self._number += 1
        self._started.unlink(missing_ok=True)
        (self._folder / "a.toml").write_text(text.format(name=f"study-{self._number}", **values))
        return "a.toml"

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """A command of `search`, or the plain script."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("SEARCH_")}
        environment = {**others, "SEARCH_DATA": str(self._data), "STARTED": str(self._started)}
        environment["PYTHONPATH"] = str(self._folder / "hook")
        command = [sys.executable, str(self._folder / "plain.py"), str(self._data), *words]
        if self.checkout is not None:
            command = [sys.executable, "-P", str(self.checkout / "optuna_search_service.py"), *words]
        how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self._folder, env=environment, **how)  # type: ignore[call-overload,no-any-return]

    def first_step(self) -> float | None:
        """When the training of the last command began, by the wall clock."""
        return float(self._started.read_text().split()[0]) if self._started.exists() else None


def command(side: Side, *words: str) -> dict[str, float]:
    """Wall seconds of a command, and to what it says on its way."""
    began = time.time()
    found: dict[str, float] = {}
    with side.start(*words) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "event=created" in line:
                found.setdefault("first claim", time.time() - began)
            if trained := re.search(r"event=complete .*seconds=([0-9.]+)", line):
                found["trial"] = float(trained[1])
    if process.returncode:
        raise SystemExit(f"{side.name}: {' '.join(words)} ended with exit code {process.returncode}: {''.join(said)}")
    found["whole command"] = time.time() - began
    if (step := side.first_step()) is not None:
        found["first step"] = step - began
    return found


def train_once(side: Side) -> dict[str, float]:
    """One trial of about a second, of the lab's kind."""
    shape = dict(zip(("batch_size", "depth", "width"), SECOND, strict=True))
    if side.checkout is None:
        side.study("")
        return command(side, *map(str, SECOND), "1")
    return command(side, "run", side.study(LAB, epochs=1, trials=1, **shape), "--workers", "1")


def call_once(side: Side) -> dict[str, float]:
    """One trial of exactly a second, of a function of one's own."""
    return command(side, "run", side.study(OWN, trials=1), "--workers", "1")


def memory(side: Side, workers: int, text: str, **values: object) -> float:
    """MB of all processes below the command, or of the plain one, while they train: the most that was seen."""
    if side.checkout is None:
        side.study("")
        process = side.start(*(str(values[name]) for name in ("batch_size", "depth", "width", "epochs")))
    else:
        process = side.start("run", side.study(text, trials=workers, **values), "--workers", str(workers))
    tree = psutil.Process(process.pid)
    while side.first_step() is None and process.poll() is None:
        time.sleep(0.05)
    most = 0.0
    for _ in range(LOOKS):
        time.sleep(MEMORY_SECONDS / LOOKS)
        each = tree.children(recursive=True) if side.checkout is not None else [tree]
        most = max(most, sum(map(_pss, each)) / 1e6)
    below = tree.children(recursive=True)
    process.terminate()
    process.communicate()
    psutil.wait_procs(below, 20)
    return most


def _pss(process: psutil.Process) -> int:
    try:
        lines = pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def measure(sides: list[Side], workers: list[int]) -> Iterator[tuple[str, str, float]]:
    """One round: what, of which side, and how much; seconds or MB."""
    ours = [side for side in sides if side.checkout is not None]
    jobs: list[tuple[str, list[Side], Callable[[Side], dict[str, float]]]] = [
        ("lab", sides, train_once),
        ("own objective", ours, call_once),
    ]
    for words in ("--help", "status", "list"):
        jobs.append((f"search {words}", ours, lambda side, words=words: _only(side, words)))  # type: ignore[misc]
    for what, those, job in jobs:
        for side in those:
            for name, value in job(side).items():
                yield f"{what}: {name}", side.name, value
    for count in workers:
        for batch_size, depth, width in SHAPES:
            shape = {"batch_size": batch_size, "depth": depth, "width": width, "epochs": 50}
            for side in sides if count == 1 else ours:
                what = f"memory, {count} x batch {batch_size}, depth {depth}, width {width}"
                yield what, side.name, memory(side, count, LAB, **shape)
        for side in ours:
            yield f"memory, {count} x own objective", side.name, memory(side, count, OWN)


def _only(side: Side, words: str) -> dict[str, float]:
    return {"whole command": command(side, words)["whole command"]}


def main() -> None:
    """Prints medians with their range, and of a baseline the ratio round by round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", type=pathlib.Path, metavar="FOLDER", help="another checkout, measured beside it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="for memory; none: it is left out")
    parser.add_argument("--data-dir", type=pathlib.Path, default=ROOT / "data")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    checkouts = {"here": ROOT, **({"baseline": options.baseline.resolve()} if options.baseline else {}), "plain": None}
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        data = options.data_dir.resolve()
        sides = [Side(each, where, pathlib.Path(name, each), data) for each, where in checkouts.items()]
        for side in sides:
            train_once(side)
        for _ in progress.track(range(options.rounds), "measuring", disable=options.json):
            for what, each, value in measure(sides, options.workers):
                found.setdefault(what, {}).setdefault(each, []).append(value)
    versions = {name: metadata.version(name) for name in ("optuna", "torch", "numba", "numpy")}
    about = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), **versions}
    about |= {"python": platform.python_version(), "rounds": options.rounds}
    if options.json:
        print(json.dumps({"about": about, "found": found}))
        return
    print(about, "median (lowest-highest), seconds or MB", sep="\n")
    for what, values in found.items():
        told = [f"{side} {_range(each)}" for side, each in values.items()]
        if "baseline" in values:
            ratios = [before / now for now, before in zip(values["here"], values["baseline"], strict=False)]
            told.append(f"baseline/here {_range(ratios)}")
        print(f"{what:<48} {', '.join(told)}")


def _range(values: list[float]) -> str:
    digits = 0 if statistics.median(values) >= 100 else 2
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


if __name__ == "__main__":
    main()
