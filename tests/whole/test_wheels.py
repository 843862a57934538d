"""The wheel and the sdist, installed into a folder of their own, and used in one that is no clone."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tomllib
import urllib.parse
import urllib.request
import zipfile

import pytest
import releases
from conftest import ROOT

pytestmark = pytest.mark.slow

FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "CHANGELOG.md", "constraints.txt")
FOLDERS = ("search", "models", "studies")
STUDIES = {path.name for kind in ("*.toml", "*.table.jsonl.gz") for path in (ROOT / "studies").glob(kind)}
SEEN = "import search, models, json; print(json.dumps([search.__file__, models.__file__]))"
LAB = "from search.reports import reproductions; print(*[spec.name for spec in reproductions.lab_specs()])"


def built(source: pathlib.Path, what: str, folder: pathlib.Path) -> pathlib.Path:
    """A wheel or an sdist of a folder, by setuptools as it is here."""
    code = f"from setuptools import build_meta; build_meta.build_{what}({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl" if what == "wheel" else "*.tar.gz")
    return found


def content(wheel: pathlib.Path) -> dict[str, bytes]:
    """What is in a wheel, but for what pip writes of it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}


@dataclasses.dataclass(frozen=True)
class Installed:
    """An installed wheel, and an empty folder in which its command is typed."""

    wheel: pathlib.Path
    target: pathlib.Path
    folder: pathlib.Path

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """The command, as it was installed, and nothing of the clone."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEARCH_", "PYTHON"))}
        return subprocess.Popen(
            [sys.executable, *words] if words[0] == "-c" else [self.target / "bin" / "search", *words],
            cwd=self.folder,
            # it compiles the engine for itself, and nobody else waits for that
            env={**kept, "PYTHONPATH": str(self.target), "TMPDIR": str(self.target.parent), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **environment: str) -> str:
        """What it prints; it must end well."""
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, (words, out, err)
        return out


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in (*FILES, *(path.name for path in ROOT.glob("*.py"))):
        shutil.copyfile(ROOT / name, source / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    wheel, sdist = built(source, "wheel", folder), built(source, "sdist", folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (again,) = (folder / "unpacked").iterdir()
    (folder / "again").mkdir()
    assert content(built(again, "wheel", folder / "again")) == content(wheel)
    words = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(folder / "target"), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, timeout=240)
    (folder / "empty").mkdir()
    return Installed(wheel, folder / "target", folder / "empty")


def test_a_wheel_has_what_commands_need(installed: Installed) -> None:
    """Every module and data file of the packages, the study files, and the modules beside the packages; no tests.

    An sdist makes the same wheel.
    """
    names = set(content(installed.wheel))
    wanted = {
        path.relative_to(ROOT).as_posix()
        for folder in ("search", "models")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted |= {f"{module}.py" for module in project["tool"]["setuptools"].get("py-modules", ())}
    studies = {f"search/study/files/{name}" for name in STUDIES}
    assert {name for name in names if ".dist-info/" not in name} == wanted | studies


def test_the_lab_by_name_in_an_empty_folder(installed: Installed, data_dir: pathlib.Path) -> None:
    """`search run lab`, and what looks at it, is copied and reported, where nothing of the clone can be seen."""
    places = json.loads(installed.run("-c", SEEN))
    assert all(place.startswith(str(installed.target)) for place in places)
    process = installed.start("run", "lab", SEARCH_DATA=str(data_dir))
    assert process.stderr is not None
    line = next(line for line in process.stderr if re.search(r"event=complete |^search:", line))
    process.send_signal(signal.SIGINT)  # one of ten is as good
    process.communicate(timeout=120)
    assert (process.returncode, "event=" in line) == (130, True), line
    assert "lab" in installed.run("list")
    assert "of 10 trials done" in installed.run("status", "lab")
    assert "report: page/report.html" in installed.run("report", "lab", "--output", "page")
    assert "<svg" in (installed.folder / "page/report.html").read_text(encoding="utf-8")
    assert installed.run("backup", "lab", "lab.backup")
    assert installed.run("-c", LAB).split() == [
        *("baseline", "learning-rate", "batch-size", "depth", "width", "activation", "lab", "lab-replay")
    ]
    assert installed.run("--version").splitlines()[0] == f"search {_version()}"


def test_an_old_storage_is_upgraded(installed: Installed) -> None:
    """The steps are in the wheel."""
    url = releases.sqlite(installed.folder / "old.db")
    assert "0001 -> " in installed.run("upgrade", "--storage", url)


def test_the_dashboard_has_its_pages(installed: Installed) -> None:
    """Served from an empty folder, its script with it."""
    releases.sqlite(installed.folder / "shown.db")
    url = f"sqlite:///{installed.folder}/shown.db"
    installed.run("upgrade", "--storage", url)
    process = installed.start("dashboard", "--port", "0", "--storage", url, PYTHONUNBUFFERED="1")
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        address = found[0].rstrip("/")
        with urllib.request.urlopen(f"{address}/dashboard") as page:
            script = re.search(r'src="([^"]+\.js)"', page.read().decode())
        assert script is not None
        with urllib.request.urlopen(urllib.parse.urljoin(f"{address}/dashboard", script[1])) as answer:
            assert len(answer.read()) > 100_000
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_a_folder_of_that_name_beside_the_package_is_not_ours(installed: Installed) -> None:
    """A package called `studies` in site-packages has nothing to say of ours."""
    stranger = installed.target / "studies"
    stranger.mkdir()
    try:
        (stranger / "lab.toml").write_text("not = 'ours'")
        assert installed.run("create", "lab", "--storage", f"sqlite:///{installed.folder}/other.db")
    finally:
        shutil.rmtree(stranger)


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
