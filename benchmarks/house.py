"""Counts the house: packages, floors, arrows, circles, long files and long functions.

    .venv/bin/python benchmarks/house.py            # --json for programs; PYTHONPATH=CHECKOUT counts another one

An arrow is an import of one module by another. A floor is the longest way down that is left below a module, circles
counted as one. Between rooms (the packages and files that lie directly in `search/`) the same is counted once more.
"""

import argparse
import ast
import importlib.util
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import grimp

LONG_FILE, LONG_FUNCTION = 250, 40  # lines

Arrows = Mapping[str, set[str]]


def main() -> None:
    """Prints the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    counted = count("search")
    if arguments.json:
        print(json.dumps(counted, indent=2))
        return
    for level in ("files", "rooms"):
        print(f"{level}: " + ", ".join(f"{name} {value}" for name, value in counted[level].items()))
    print(f"files over {LONG_FILE} lines: {', '.join(counted['long_files']) or 'none'}")
    print(f"functions over {LONG_FUNCTION} lines: {', '.join(counted['long_functions']) or 'none'}")


def count(package: str) -> dict[str, Any]:
    """What there is in a package that can be imported."""
    graph = grimp.build_graph(package, "models", cache_dir=None)
    modules = {name for name in graph.modules if name.split(".")[0] == package}
    arrows = {name: graph.find_modules_directly_imported_by(name) & modules for name in modules}
    rooms: dict[str, set[str]] = {}
    for name, below in arrows.items():
        room = _room(name)
        rooms.setdefault(room, set()).update(_room(other) for other in below if _room(other) != room)
    long_files, long_functions = _long(package)
    return {
        "files": _shape(arrows),
        "rooms": _shape(rooms),
        "long_files": long_files,
        "long_functions": long_functions,
    }


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _shape(arrows: Arrows) -> dict[str, int]:
    circles = _circles(arrows)
    member = {name: number for number, circle in enumerate(circles) for name in circle}
    below = [{member[other] for name in circle for other in arrows[name]} - {n} for n, circle in enumerate(circles)]
    floors: dict[int, int] = {}
    for number in range(len(circles)):  # Tarjan's order: what lies below comes first
        floors[number] = 1 + max((floors[other] for other in below[number]), default=0)
    return {
        "count": len(arrows),
        "floors": max(floors.values(), default=0),
        "arrows": sum(map(len, arrows.values())),
        "circles": sum(len(circle) > 1 for circle in circles),
    }


def _circles(arrows: Arrows) -> list[list[str]]:
    """Strongly connected components (Tarjan, SIAM J. Comput. 1972), each after those that it points to."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(arrows[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            cut = stack.index(name)
            found.append(stack[cut:])
            del stack[cut:]

    for name in sorted(arrows):
        if name not in index:
            visit(name)
    return found


def _long(package: str) -> tuple[list[str], list[str]]:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    files, functions = [], []
    for path in sorted(pathlib.Path(spec.origin).parent.rglob("*.py")):
        text = path.read_text()
        place = path.relative_to(pathlib.Path(spec.origin).parent.parent)
        if (lines := text.count("\n")) > LONG_FILE:
            files.append(f"{place} {lines}")
        functions += [f"{place}:{name} {lines}" for name, lines in _functions(ast.parse(text)) if lines > LONG_FUNCTION]
    return files, functions


def _functions(tree: ast.AST) -> Iterable[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


if __name__ == "__main__":
    main()
