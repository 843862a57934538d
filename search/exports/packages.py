"""A trial of the user's own code to take away: the files that it has kept, its configuration, and a card.

A folder, or the same in a zip file: `README.md`, `trial.json`, and the files below `artifacts/`.
"""

import dataclasses
import json
import math
import pathlib
import tempfile
import zipfile
from collections.abc import Callable
from typing import Any

from search import errors, files, words
from search.exports import own_cards
from search.exports.choices import Choice
from search.ledger import artifacts, bundles
from search.storage import stores
from search.training import records, seeds

CARD, FACTS, FOLDER = "README.md", "trial.json", "artifacts"
OnBytes = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Packed:
    """What was written.

    Attributes:
        path: the folder, or the zip file.
        facts: what `trial.json` says.
    """

    choice: Choice
    path: pathlib.Path
    facts: dict[str, Any]
    note: str | None = None
    caution: str | None = None

    def sentence(self) -> str:
        """For people."""
        kept = words.plural(len(self.facts["artifacts"]), "file")
        trial = f"trial {self.choice.trial.number} of study {self.choice.study.name!r}"
        return f"{trial} written to {self.path}: {kept} that it kept, {FACTS} and the card {CARD}"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"path": str(self.path), **self.facts}


def check_path(path: pathlib.Path, force: bool) -> None:
    """Passes a folder or a zip file that can be written.

    Raises:
        errors.InputError: it is there already, or its folder is not there.
    """
    if path.suffix == ".safetensors":
        raise errors.InputError(f"--to must name a folder or end in .zip for code of your own, got {path}")
    if not path.parent.is_dir():
        raise errors.InputError(f"--to {path} must lie in a folder that exists, got {path.parent}")
    is_zip, is_empty = path.suffix == ".zip", path.is_dir() and not any(path.iterdir())
    if path.exists() and (path.is_dir() == is_zip or not (force or (is_empty and not is_zip))):
        raise errors.InputError(f"--to {path} exists already; --force replaces what is in it")


def write(
    choice: Choice, kept: list[artifacts.Artifact], store: stores.Store, path: pathlib.Path, on_bytes: OnBytes
) -> Packed:
    """Writes what `check_path` has passed, a zip file whole or not at all.

    Args:
        kept: the trial's files.
        on_bytes: is told how many bytes are fetched, of how many.

    Raises:
        errors.InputError: the trial has kept nothing, or there is no writing.
        errors.StorageError: the store cannot be read, has lost a file, or has another in its place.
    """
    number, name = choice.trial.number, choice.study.name
    if not kept:
        raise errors.InputError(
            f"trial {number} of study {name!r} has kept no files, so there is nothing to take away: "
            + (
                "a program leaves its own in artifacts/ of its {trial_dir}"
                if choice.study.spec.command
                else "its model is kept by trial.artifact(path)"
            )
        )
    places = _places(kept)
    found = facts(choice, kept, places)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name[:100]}") as made:
            folder = pathlib.Path(made)
            _fetch(kept, places, store, folder, on_bytes)
            (folder / FACTS).write_text(
                json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False), encoding="utf-8"
            )
            (folder / CARD).write_text(own_cards.markdown(choice, found, path.name), encoding="utf-8")
            if path.suffix == ".zip":
                _zip(folder, path)
            else:
                _move(folder, path)
    except OSError as error:
        raise errors.InputError(f"--to {path} cannot be written: {error.strerror or error}") from error
    return Packed(choice, path, found)


def facts(choice: Choice, kept: list[artifacts.Artifact], places: list[str]) -> dict[str, Any]:
    """What is known of the trial, for programs; it survives JSON."""
    trial, spec, confirmed = choice.trial, choice.study.spec, choice.confirmed
    repeat = records.repeat_of(trial)
    return {
        "study": choice.study.name,
        "trial": trial.number,
        "metric": spec.study.metric,
        "direction": spec.study.direction,
        "value": _told(trial.value),
        "params": trial.params,
        "seed": records.SEED.read(trial, seeds.of(spec.study.seed, repeat)),
        "repeat": repeat,
        "curve": {str(step): _told(value) for step, value in sorted(trial.intermediate_values.items())},
        "seconds": records.SECONDS.find(trial),
        "code": spec.code,
        "files_of_code": records.CODE.read(trial, {}),
        "confirmed": confirmed
        and {
            "mean": _told(confirmed.best.runs.mean),
            "values": list(map(_told, confirmed.best.runs.values.values())),
            "corrected": confirmed.corrected and _told(confirmed.corrected.mean),
            "seeds_matter": not confirmed.is_seedless,
        },
        "artifacts": [
            {"name": each.name, "file": place, "size": each.size, "sha256": each.checksum}
            for each, place in zip(kept, places, strict=True)
        ],
    }


def _places(kept: list[artifacts.Artifact]) -> list[str]:
    """Where each file lies in the package; other tools may have kept two of one name."""
    found: list[str] = []
    for each in kept:
        *folders, name = map(_on_disk, each.name.split("/"))
        place = "/".join([FOLDER, *folders, name])
        found.append(f"{FOLDER}/{_on_disk(each.artifact_id)}/{name}" if place in found else place)
    return found


def _on_disk(name: str) -> str:
    """A name on any disk, with its ending, by which it is known how to read it."""
    path = pathlib.PurePosixPath(name)
    is_plain = path.suffix[1:].isascii() and path.suffix[1:].isalnum()
    return files.safe_name(path.stem) + path.suffix if is_plain else files.safe_name(name)


def _told(value: float | None) -> float | str | None:
    """As the API of optuna-dashboard has it: JSON has no such numbers."""
    return value if value is None or math.isfinite(value) else str(value)


def _fetch(
    kept: list[artifacts.Artifact], places: list[str], store: stores.Store, folder: pathlib.Path, on_bytes: OnBytes
) -> None:
    done, total = 0, sum(each.size or 0 for each in kept)

    def count(more: int) -> None:
        nonlocal done
        done += more
        on_bytes(done, max(done, total))

    for each, place in zip(kept, places, strict=True):
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        bundles.fetch(store, each, target, count)


def _zip(folder: pathlib.Path, path: pathlib.Path) -> None:
    part = folder / ".zip"
    inside = sorted(each for each in folder.rglob("*") if each.is_file())
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in inside:
            archive.write(each, f"{path.stem}/{each.relative_to(folder).as_posix()}")
    part.chmod(0o644)
    part.replace(path)


def _move(folder: pathlib.Path, path: pathlib.Path) -> None:
    """File by file: what else is in the folder stays."""
    for each in sorted(each for each in folder.rglob("*") if each.is_file()):
        target = path / each.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        each.replace(target)
