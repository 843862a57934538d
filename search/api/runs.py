"""A study worked off from Python: one of a file, or one that is a function and a space, from a script or a notebook."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
import tomli_w

from search import errors
from search.api import studies as verbs
from search.api.access import Storage
from search.ledger import amendments, homes, studies, warm_starts
from search.storage import databases
from search.study import entries, specs
from search.training import shipments
from search.worker import progress, supervision

Objective = Callable[[Any], Any]


def run(
    study: str | Objective | None = None,
    *,
    space: Mapping[str, Any] | None = None,
    trials: int | None = None,
    name: str | None = None,
    direction: str | None = None,
    metric: str | None = None,
    sampler: str | Mapping[str, Any] | None = None,
    pruner: str | Mapping[str, Any] | None = None,
    seed: int | None = None,
    budget: Mapping[str, Any] | None = None,
    notify: str | Mapping[str, Any] | None = None,
    enqueue: Sequence[Mapping[str, Any]] | None = None,
    warm_start: str | Mapping[str, str] | None = None,
    storage: Storage = None,
    **settings: Any,
) -> optuna.Study:
    """Creates or resumes a study, works on it with local worker processes until it is finished, and returns it.

    `search.run("lab")` takes a study file; `search.run(objective, space={"x": {"low": 0.0, "high": 1.0}}, trials=20)`
    a function of yours and what else the file would say. Called again, it goes on; what is said otherwise is taken over
    as by `search amend`, and what defines the study, as its space, must be as it was. A function of a module is
    imported by the workers; one of a notebook or of the running script is sent to them, and to no other machine.

    Args:
        study: the name of a study, the path of its file, or a function: see docs/your-own-model.md.
        space: as [space] of a file, or Optuna's distributions by name.
        trials: the budget; `budget` takes what else [budget] may say, as `{"target": 0.9}`.
        name: of the study; that of the program or module and the function, where it is left out.
        direction: "maximize" or "minimize"; maximize where it is left out.
        metric: what the values are called.
        sampler, pruner: a name, or what [sampler] and [pruning] say.
        seed: of the study.
        enqueue: configurations to try first.
        warm_start: a study whose results it begins with: its name, or what [warm_start] says.
        notify: the file of addresses, or what [notify] says.
        settings: how workers train; see `search.worker.settings.Settings`.

    Raises:
        errors.WorkFailed: it ended with less than was asked for, and why; see docs/exit-codes.md.
        errors.SearchError: bad input, or the database is away.
        KeyboardInterrupt: after Ctrl-C; running trials were handed over, the next run goes on.
        errors.Interrupted: the same after SIGTERM or SIGHUP.
    """
    said: dict[str, Any] = {"space": space, "trials": trials, "direction": direction, "metric": metric, "seed": seed}
    said |= {"sampler": sampler, "pruner": pruner, "budget": budget, "enqueue": enqueue}
    said |= {"warm_start": warm_start, "notify": notify}
    given = {key: value for key, value in said.items() if value is not None}
    if callable(study):
        worked = _supervise(study, name, given, storage, settings)
    elif given or (study is None) == (name is None):
        raise TypeError(
            f"search.run takes the name of a study, or a function with space and trials; got {study or name!r}"
            + (f" with {', '.join(given)}, which its file says" if given else "")
        )
    else:
        worked = verbs.supervise(study or name or "", storage=storage, **settings)
    worked.end.check()
    return verbs.as_optuna(worked.database, worked.study)


def _supervise(
    function: Objective, name: str | None, given: dict[str, Any], storage: Storage, settings: dict[str, Any]
) -> verbs.Worked:
    packed = shipments.pack(function)
    spec = specification(packed, name, given)

    def begin(database: databases.Database, spec: specs.StudySpec) -> studies.Study:
        return _begin(database, spec, packed)

    with packed.sent():
        return verbs.supervise(spec, storage=storage, begin=begin, **settings)


# arguments that are a table of a study file, or its most important key
TABLES = {
    "sampler": ("sampler", "name"),
    "pruner": ("pruning", "pruner"),
    "warm_start": ("warm_start", "from"),
    "notify": ("notify", "urls_file"),
}


def specification(packed: shipments.Shipment, name: str | None, given: dict[str, Any]) -> specs.StudySpec:
    """What a study file of the function would say.

    Raises:
        errors.StudyFileError: key, rule and value.
    """
    call = f"search.run({packed.objective.partition(':')[2]})"
    for key in ("space", "trials"):
        if key not in given:
            raise errors.StudyFileError(f"{call}: {key} is missing, as in space={{'x': [1, 2]}}, trials=20")
    if not name and packed.objective.endswith(":lambda"):
        raise errors.StudyFileError(f"{call}: name is missing: a lambda has none of its own to call a study by")
    try:
        space = entries.space(given["space"])
    except ValueError as error:
        raise errors.StudyFileError(f"{call}: {error}") from error
    study = {key: given[key] for key in ("direction", "metric", "seed") if key in given}
    file: dict[str, Any] = {"objective": packed.objective, "study": {"name": name or _name(packed), **study}}
    file["space"] = space
    for key, (table, only) in TABLES.items():
        if key in given:
            file[table] = {only: given[key]} if isinstance(given[key], str) else dict(given[key])
    file["budget"] = {"trials": given["trials"], **given.get("budget", {})}
    if given.get("enqueue"):
        file["enqueue"] = [{key: entries.value(value) for key, value in each.items()} for each in given["enqueue"]]
    try:
        text = tomli_w.dumps(file)
    except (TypeError, ValueError) as error:
        raise errors.StudyFileError(
            f"{call}: what a study file can hold are numbers, strings and tables: {error}"
        ) from error
    return specs.parse(text, call)


def _name(packed: shipments.Shipment) -> str:
    return re.sub(r"[^\w.-]+", "-", f"{packed.program}-{packed.objective.partition(':')[2]}").strip("-.")


def _begin(database: databases.Database, spec: specs.StudySpec, packed: shipments.Shipment) -> studies.Study:
    """The study, a new one, or the one that is there and follows what is said now.

    Raises:
        errors.StudyExists: the one that is there has another function or space.
    """
    known = studies.find(database, spec.name)
    if known is not None:
        if different := specs.differences(known.spec, spec):
            told = "; ".join(different).replace("the file says", "this call says")
            raise errors.StudyExists(f"study {spec.name!r} exists with other settings: {told}. Give it another name=")
        for note in warm_starts.follow(database, known, spec):
            progress.note(note)
        for change in amendments.amend(database, known, spec):
            progress.note(change.told)
    study = supervision.begin(database, spec)
    if packed.checksum is not None:
        home = homes.read(database, study)
        if home is not None and home.checksum != packed.checksum:
            progress.note(
                f"study {spec.name!r}: the function has changed; trials from now on are trained by the new one"
            )
        homes.write(database, study, homes.Home(packed.home, packed.checksum))
    return study
