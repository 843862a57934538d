"""A small made-up study of its own metric, minimized, and a table of it, for tests of what searches over tables."""

import gzip
import json
import math
import pathlib
from typing import Any

from search.space import spaces, surfaces, tables
from search.study import specs

TEXT = """
objective = "made.up:function"

[study]
name = "made"
direction = "minimize"
metric = "error"

[space]
rate = { low = 0.001, high = 1.0, log = true }
size = { low = 1, high = 16 }
kind = ["plain", "deep"]
layers = { low = 1, high = 3, when = "kind == 'deep'" }

[sampler]
name = "random"

[budget]
trials = 20
"""
RATES, SIZES, STEPS = (0.001, 0.01, 0.1, 1.0), (1, 2, 4, 8, 16), 4


def spec() -> specs.StudySpec:
    return specs.parse(TEXT, "made.toml")


def rows(seed: int = 0) -> list[dict[str, Any]]:
    """All configurations at these levels: the best is deep, with three layers, a rate of 0.1 and a size of 4."""
    found = []
    for rate in RATES:
        for size in SIZES:
            for layers in (0, 1, 2, 3):
                params = {"rate": rate, "size": size, "kind": "deep" if layers else "plain"}
                params |= {"layers": layers} if layers else {}
                off = abs(math.log10(rate) + 1) + abs(math.log2(size) - 2) / 2 + (3 - layers) / 3
                values = [off + 1 / step + 0.01 * seed for step in range(1, STEPS + 1)]
                seconds = [0.5 * size**0.5 * (1 + layers)] * STEPS
                found.append({"params": params, "seed": seed, "values": values, "seconds": seconds})
    return found


def lab(seed: int = 0) -> list[dict[str, Any]]:
    """Some configurations of the lab's space, an epoch each."""
    found = []
    for rate in (1e-4, 1e-2, 1e-1):
        for size in (1, 16, 128):
            for depth in (0, 1, 6):
                params: spaces.Params = {"learning_rate": rate, "batch_size": size, "depth": depth}
                params |= {"width": 32, "activation": "ReLU"} if depth else {}
                off = abs(math.log10(rate) + 1) / 10 + abs(math.log2(size) - 4) / 40 + abs(depth - 1) / 20
                found.append({"params": params, "seed": seed, "values": [0.9 - off], "seconds": [8.0 / size]})
    return found


def write(path: pathlib.Path, found: list[dict[str, Any]], **header: Any) -> pathlib.Path:
    """A table of these rows."""
    documents = [header, *found] if header else found
    path.write_text("".join(json.dumps(each) + "\n" for each in documents), encoding="utf-8")
    return path


def put(folder: pathlib.Path) -> pathlib.Path:
    """The study file, and beside it the table."""
    folder.mkdir(exist_ok=True)
    (folder / "made.toml").write_text(TEXT, encoding="utf-8")
    path = folder / "made.table.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(each) + "\n" for each in rows()).encode()))
    return path


def surface(folder: pathlib.Path, found: list[dict[str, Any]] | None = None, **more: Any) -> surfaces.Surface:
    """The made study over a table."""
    table = tables.load(write(folder / "made.jsonl", rows() if found is None else found))
    return surfaces.Surface(spec().space, table, maximize=False, **more)


def params(kind: str, **more: Any) -> spaces.Params:
    return {"kind": kind, **more}
