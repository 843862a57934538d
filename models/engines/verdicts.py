"""Whether a device trains right: checked at its first use, then remembered for device, driver and kernels."""

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator

import filelock

from models import backends, engine
from models.engines import selfchecks

log = logging.getLogger(__name__)

NAME = "selfchecks.json"


def trusted(engine: engine.Engine, cache: pathlib.Path | None = None) -> bool:
    """Whether the engine agrees with float64 here; logged, with by how much where it does not.

    Of the workers that start together one checks, the others wait for it.

    Args:
        cache: where it is remembered; `folder()` where it is None. One that cannot be written remembers nothing.
    """
    path = (cache or folder()) / NAME
    with _alone(path):
        findings = remembered(path).get(identity(engine))
        if findings is None:
            started = time.monotonic()
            findings = selfchecks.check(engine)
            log.info("event=selfcheck engine=%s seconds=%.1f", engine.name, time.monotonic() - started)
            remember(path, identity(engine), findings)
    wrong = [finding for finding in findings if not finding.agrees]
    if wrong:
        worst = max(wrong, key=lambda finding: max(finding.losses, finding.weights))
        log.warning(
            "event=distrusted engine=%s device=%s reason=%r note='the reference trains'",
            engine.name,
            engine.device,
            sentence(worst),
        )
    return not wrong


def checked(engine: engine.Engine, on_training: Callable[[], None] = lambda: None) -> list[selfchecks.Finding]:
    """Checks an engine now, whatever is remembered of it, and remembers what it finds."""
    findings = selfchecks.check(engine, on_training)
    path = folder() / NAME
    with _alone(path):
        remember(path, identity(engine), findings)
    return findings


def identity(engine: engine.Engine) -> str:
    """What its results depend on: for a GPU's the device, its driver and the kernels."""
    return str(getattr(engine, "identity", f"engine {engine.name} on {engine.device}"))


def sentence(finding: selfchecks.Finding) -> str:
    """By how much an engine disagrees."""
    shape = "depth 0" if not finding.depth else f"depth {finding.depth}, width {finding.width}, {finding.activation}"
    is_float32 = finding.precision == backends.FLOAT32
    yardstick = "autograd's" if is_float32 else f"those of factors rounded to {finding.precision}"
    return (
        f"at {shape} losses end {finding.losses:.1f} and weights {finding.weights:.1f} times as far from float64 as "
        f"{yardstick}, {selfchecks.ALLOWED} allowed"
    )


def folder() -> pathlib.Path:
    """Where users keep caches."""
    with contextlib.suppress(RuntimeError):  # no home
        home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        return pathlib.Path(home) / "optuna-search-service"
    return pathlib.Path(tempfile.gettempdir())


def remembered(path: pathlib.Path) -> dict[str, list[selfchecks.Finding]]:
    """What was found, by identity; nothing where the file is not there or broken."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        found = {name: [selfchecks.Finding(**each) for each in listed] for name, listed in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return {name: findings for name, findings in found.items() if findings and all(map(_is_whole, findings))}


def _is_whole(finding: selfchecks.Finding) -> bool:
    return isinstance(finding.losses, float) and isinstance(finding.weights, float)


def remember(path: pathlib.Path, identity: str, findings: list[selfchecks.Finding]) -> None:
    """Adds it to the file, which is there whole or as it was."""
    known = {**remembered(path), identity: findings}
    text = json.dumps({name: [dataclasses.asdict(each) for each in found] for name, found in known.items()}, indent=1)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    with contextlib.suppress(OSError):
        fresh.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(path: pathlib.Path) -> Iterator[None]:
    with contextlib.ExitStack() as life:
        with contextlib.suppress(OSError):  # a folder that cannot be written
            path.parent.mkdir(parents=True, exist_ok=True)
            life.enter_context(filelock.FileLock(path.with_suffix(".lock")))
        yield
