"""A folder of the user's with modules called like ours: it neither breaks us nor is hidden from its own objective."""

import json
import os
import pathlib
import subprocess
import sys

import mine
import pytest
from conftest import ROOT, Processes, quick_text

pytestmark = pytest.mark.slow
real = pytest.mark.parametrize("url", ["sqlite"], indirect=True)

BEGIN = ROOT / "optuna_search_service.py"
TOUCH = "import pathlib\npathlib.Path(__file__).with_suffix('.imported').touch()\n"
NET = "def net(x):\n    return 2.0 + x * x\n"
# the module that the objective imports, and the files that make it
LAYOUTS = {
    "models": {"models/__init__.py": TOUCH, "models/net.py": NET},
    "models, a folder alone": {"models/net.py": NET},
    "models, one file": {"models.py": TOUCH + NET},
    "search": {"search.py": TOUCH + NET},
    "search, a package": {"search/__init__.py": TOUCH, "search/words.py": NET},
    "search, a folder alone": {"search/child/net.py": NET},
    "names of modules of ours": {"trials.py": NET, "messages.py": TOUCH, "errors.py": TOUCH, "space.py": TOUCH},
    "optuna_search_service": {"optuna_search_service.py": TOUCH + NET},
}
MODULES = {
    "models": "models.net",
    "models, a folder alone": "models.net",
    "models, one file": "models",
    "search": "search",
    "search, a package": "search.words",
    "search, a folder alone": "search.child.net",
    "names of modules of ours": "trials",
    "optuna_search_service": "optuna_search_service",
}


def write(folder: pathlib.Path, layout: str) -> None:
    for name, code in LAYOUTS[layout].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code)
    code = f"from {MODULES[layout]} import net\n\ndef objective(trial):\n    yield net(trial.params['x'])\n"
    mine.write(folder, code)


def search(url: str, folder: pathlib.Path, *words: str, path: str = "") -> tuple[int, str]:
    """The command as pip installs it: its script imports one module by its name."""
    started = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "]
    started[-1] += "sys.argv[0] = 'search'; import optuna_search_service; sys.exit(optuna_search_service.main())"
    environment = {**os.environ, "SEARCH_STORAGE": url, "PYTHONPATH": path}
    done = subprocess.run(
        [*started, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )
    return done.returncode, done.stdout


def best(url: str, folder: pathlib.Path) -> float:
    code, output = search(url, folder, "status", "own", "--json")
    assert code == 0, output
    found: float = json.loads(output)["best"]["value"]
    return found


@real
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_objective_imports_what_lies_beside_it(url: str, tmp_path: pathlib.Path, layout: str) -> None:
    """By `search run`, and by a worker that is started again when killed; with the folder on PYTHONPATH beside ours, too."""
    write(tmp_path, layout)
    code, output = search(url, tmp_path, "run", "own.toml", "--workers", "2")
    assert code == 0, output
    assert 2 <= best(url, tmp_path) <= 3
    assert search(url, tmp_path, "extend", "own", "--trials", "1")[0] == 0
    path = f".{os.pathsep}{ROOT}" if layout != "optuna_search_service" else ""
    code, output = search(url, tmp_path, "work", "own", "--restart", path=path)
    assert code == 0, output
    assert "event=complete value=2." in output


@real
def test_what_is_not_ours_is_not_run(url: str, tmp_path: pathlib.Path) -> None:
    """A study of the lab's networks, in a folder full of such names: nothing of it is imported."""
    for layout in ("models", "search", "names of modules of ours"):
        write(tmp_path, layout)
    (tmp_path / "queue.py").write_text(TOUCH)
    (tmp_path / "quick.toml").write_text(quick_text(trials=2))
    for words in (("run", "quick.toml", "--workers", "1"), ("report", "quick"), ("list",), ("work", "quick")):
        code, output = search(url, tmp_path, *words)
        assert (code, "Traceback" in output) == (0, False), output
    assert not list(tmp_path.rglob("*.imported"))


def test_python_says_which_models_it_has(tmp_path: pathlib.Path) -> None:
    """In one interpreter `import search` finds our `models` beside theirs, or says that theirs was there first."""
    write(tmp_path, "models")

    def python(code: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = [sys.executable, "-c", code]
        return subprocess.run(done, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)

    ours = python("import search; search.load; import models; print(models.__file__)")
    assert ours.stdout.strip() == str(ROOT / "models" / "__init__.py"), ours.stderr
    theirs = python("import models.net, search")
    assert theirs.returncode == 1
    assert "ImportError: search needs its own package `models`" in theirs.stderr


@real
def test_several_at_once(processes: Processes, tmp_path: pathlib.Path) -> None:
    """Slots hold for an objective of one's own, too: four trials of one worker, each in a process, run together."""
    code = "import pathlib, time\n\ndef objective(trial):\n    pathlib.Path(f'at-{trial.number}').touch()\n"
    code += (
        "    end = time.time() + 60\n    while len(list(pathlib.Path('.').glob('at-*'))) < 4 and time.time() < end:\n"
    )
    code += "        time.sleep(0.05)\n    return float(len(list(pathlib.Path('.').glob('at-*'))))\n"
    mine.write(tmp_path, code, trials=4)
    code_, output = processes.run("run", "own.toml", "--workers", "1", "--slots", "4")
    assert code_ == 0, output
    assert json.loads(processes.run("status", "own", "--json")[1])["best"]["value"] == 4
