"""The house itself: its layers, and what its plan promises."""

import ast
import pathlib
import pkgutil
import re
import subprocess
import sys

import pytest

import search
from search.cli import commands
from search.ledger import proposals
from search.study import samplers

# what a whole package is tested for
EXCEPTIONS = {"cli": {"light"}}
ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_arrows_run_down() -> None:
    """Every import keeps the contracts of pyproject.toml: the layers, who knows no database, the law of `models/`."""
    linter = pathlib.Path(sys.executable).with_name("lint-imports")
    found = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    assert "0 broken" in found.stdout


def test_no_module_takes_the_place_of_a_function() -> None:
    """`search.report(...)` stays the function, whoever imports what: no module of `search/` bears a function's name."""
    modules = {module.name for module in pkgutil.iter_modules(search.__path__)}
    assert "api" in modules
    assert not modules & set(search.FUNCTIONS)


def test_the_functions_are_those_of_the_api() -> None:
    """What `import search` offers by name is what `search.api` has."""
    from search import api

    assert set(api.__all__) == set(search.FUNCTIONS)
    assert all(callable(getattr(search, name)) for name in search.FUNCTIONS)


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_a_command_s_line_is_its_docstring_s(name: str) -> None:
    """The help of all commands, which imports none of them, says what the help of each begins with."""
    command = commands.load(name)
    assert command.name == name
    assert (command.help or "").split("\n\n")[0].replace("\n", " ") == commands.COMMANDS[name][1]


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_the_readme_names_every_command(name: str) -> None:
    """A newcomer meets each there, as it is typed."""
    assert re.search(rf"`?search {name}\b", (ROOT / "README.md").read_text())


@pytest.mark.parametrize("name", samplers.NAMES)
def test_the_samplers_of_study_files_are_there(name: str) -> None:
    """A name that a study file may give is one that proposes, though reading a file loads none of them."""
    assert name in (*proposals.SAMPLERS, samplers.GRID)
    assert set(proposals.SAMPLERS) | {samplers.GRID} == set(samplers.NAMES)


def named_paths(document: str) -> list[str]:
    """The files and folders of this project that a document names between backticks."""
    found = re.findall(
        r"`((?:search|models|tests|benchmarks|studies|docs|deploy)/[\w./-]*)`", (ROOT / document).read_text()
    )
    assert found or document == "README.md", document
    return found


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_what_the_documents_name_is_there(document: str) -> None:
    """Every path between backticks exists."""
    assert [path for path in named_paths(document) if not (ROOT / path).exists()] == []


def test_the_tree_of_the_readme_is_the_house() -> None:
    """The tree names what is there, all packages of `search/` among it, in the order in which imports go."""
    tree = (ROOT / "README.md").read_text().partition("## The house")[2]
    lines = re.findall(r"(?m)^    ( *)(\S+) ", tree)
    folder, paths = "", []
    for indent, name in lines:
        folder = folder if indent else name
        paths.append(folder + name if indent else name)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    packages = {f"search/{path.name}/" for path in (ROOT / "search").iterdir() if (path / "__init__.py").exists()}
    assert packages <= set(paths)
    assert len(lines) <= 20


@pytest.mark.parametrize("package", sorted({path.parent for path in (ROOT / "search").rglob("*.py")}), ids=str)
def test_a_package_says_what_it_is(package: pathlib.Path) -> None:
    """Each in its docstring, in a sentence or two; each file too, which has at most 250 lines."""
    for path in package.glob("*.py"):
        text = path.read_text()
        assert ast.get_docstring(ast.parse(text)), path
        assert text.count("\n") <= 250, path


def test_tests_are_found_by_name() -> None:
    """`tests/PACKAGE/test_MODULE.py` tests a module of that package."""
    known = {"models": [ROOT / "models", ROOT / "models" / "engines", ROOT / "models" / "engines" / "cuda"]}
    folders = [
        path for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name not in ("whole", "__pycache__")
    ]
    for folder in folders:
        rooms = known.get(folder.name, [ROOT / "search" / folder.name])
        modules = {path.stem for room in rooms for path in room.iterdir()}
        strangers = {path.stem.removeprefix("test_") for path in folder.glob("test_*.py")} - modules
        assert strangers == EXCEPTIONS.get(folder.name, set()), folder
