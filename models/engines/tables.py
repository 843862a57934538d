"""What was measured on this machine, of engines: one table beside Numba's cache, which all its processes share."""

import functools
import hashlib
import json
import logging
import os
import pathlib
import platform
import tempfile
from collections.abc import Callable, Collection
from importlib import metadata
from typing import Any

import filelock
from llvmlite import binding

from models.backends import Backend
from models.engines import loops

log = logging.getLogger(__name__)

TABLE = "search-engines.json"
KEPT = 8  # keys: of other versions, and other machines that share a home
LOCK_SECONDS = 60.0  # for another process that measures
Figures = dict[str, list[float]]  # by backend


def remembered(among: Collection[Backend], shape: str, measure: Callable[[], Figures]) -> Figures:
    """What the table of this machine says of a shape; measured by one process, while others wait for it.

    A table that cannot be read is made anew, one that cannot be written is done without.
    """
    wanted, key = {*map(str, among)}, _key(among)
    try:
        path = folder() / TABLE
        with filelock.FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
            table = _read(path)
            known: Figures = table.setdefault(key, {}).get(shape, {})
            if not _is_whole(known, wanted):
                known = {**(known if _is_whole(known, set()) else {}), **measure()}
                table[key] = {**table.pop(key), shape: known}  # the last used is the last
                _write(path, table)
            return known
    except (OSError, filelock.Timeout) as error:
        log.warning("event=engines-not-remembered reason=%r", str(error))
        return measure()


def _is_whole(known: Any, wanted: set[str]) -> bool:
    return isinstance(known, dict) and wanted <= known.keys() and all(map(_is_pair, known.values()))


def _is_pair(figures: Any) -> bool:
    return isinstance(figures, list) and len(figures) == 2 and all(isinstance(each, int | float) for each in figures)


def _read(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_table = isinstance(found, dict) and all(isinstance(each, dict) for each in found.values())
    return found if is_table else {}


def _write(path: pathlib.Path, table: dict[str, dict[str, Any]]) -> None:
    kept = dict(list(table.items())[-KEPT:])
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=TABLE, delete=False, encoding="utf-8") as stream:
        json.dump(kept, stream, indent=1)
    pathlib.Path(stream.name).replace(path)


def folder() -> pathlib.Path:
    """Where Numba keeps what it has compiled of ours; the user's temporary one where it keeps nothing."""
    path = getattr(getattr(loops.batches, "_cache", None), "cache_path", None)
    user = os.getuid() if hasattr(os, "getuid") else "all"
    found = pathlib.Path(path) if path else pathlib.Path(tempfile.gettempdir(), f"search-engines-{user}")
    found.mkdir(parents=True, exist_ok=True)
    return found


def _key(among: Collection[Backend]) -> str:
    """What figures hold for: machine, devices, driver, versions, source."""
    parts = [platform.machine(), str(binding.get_host_cpu_name()), str(os.cpu_count()), _source()]
    parts += [f"{name} {metadata.version(name)}" for name in ("numba", "torch")]
    if any(each.device == "cuda" for each in among):
        import torch

        parts += [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        parts += [str(torch.version.cuda), _driver()]
    return "; ".join(parts)


def _driver() -> str:
    try:
        return pathlib.Path("/proc/driver/nvidia/version").read_text().partition("\n")[0]
    except OSError:
        return ""


@functools.cache
def _source() -> str:
    """A checksum of the engines."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.rglob("*")):
        if path.suffix in (".py", ".cu", ".cuh"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
