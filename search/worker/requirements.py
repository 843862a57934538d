"""Whether what workers need is to be had here: data, engine, device, slots, an objective of the user's own."""

import contextlib
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

from search import errors, words
from search.storage import stores
from search.study import programs, specs
from search.training.objectives import Result, Trial
from search.worker import assignments, progress
from search.worker.settings import Settings

if TYPE_CHECKING:
    from search.training import networks


def check(spec: specs.StudySpec, settings: Settings) -> None:
    """What all workers need is looked for once, before any of them starts.

    Raises:
        errors.InputError: an objective or slots that are not to be had here.
        models.errors.ModelError: data, engine or device that are not.
    """
    check_slots(spec, settings)
    if spec.training is None:
        from search.training import functions

        with assignments.shown(settings):
            functions.check(spec)
        check_store(spec, settings)
        return
    find_data(spec, settings)
    engine = settings.engine or spec.training.engine
    if settings.training_device != "cpu" or engine != "auto":
        from models import engines  # imports Numba

        engines.check(engine, settings.training_device)


def find_data(spec: specs.StudySpec, settings: Settings) -> str:
    """Looks for what a study trains on, and fetches it where it is a published set; returns where it is, in words.

    Raises:
        models.errors.DataError: it is not to be had.
    """
    if spec.training is None:
        what = f"objective {spec.objective}" if spec.command is None else f"command {programs.shown(spec.command)}"
        return f"its {what} brings its own data"
    from models import sources

    dataset = spec.training.dataset
    if dataset not in sources.PUBLISHED:
        return f"the {dataset} set is made when it is needed"
    title = sources.PUBLISHED[dataset].title
    with progress.spinner(f"looking for {title} ..."):
        files = sources.find(settings.data_dir, dataset)
        for name, path in files.items():
            sources.load(path, name, dataset)
    return f"{title} is in {next(iter(files.values())).parent}"


def load(is_training: bool) -> None:
    """Loads what workers need, before it is known of which study: all but its data and its own functions.

    Args:
        is_training: whether they train networks.
    """
    from search.worker import loops  # noqa: F401

    if not is_training:
        from search.training import functions  # noqa: F401

        return
    from models import generators
    from search.training import networks  # noqa: F401

    generators.Generator(0).permutation(2)  # Numba loads half of itself with the first function that is called


def check_slots(spec: specs.StudySpec, settings: Settings) -> None:
    """Where several trials can train in one process.

    Raises:
        errors.InputError: not here.
        models.errors.ModelError: there is no such device.
    """
    slots, device = settings.at_once, settings.training_device
    if slots == 1 or device == "cpu":
        return
    name = None if spec.training is None else settings.engine or spec.training.engine
    if name not in (None, "reference"):
        from models import engines  # imports Numba

        engines.check_device(device)
    if name is None or _capacity(name, device) == 1:
        raise errors.InputError(
            f"--slots must be 1 on device {device!r}, got {slots}: only the CPU has slots, and engines that say so"
        )


def _capacity(name: str, device: str) -> int:
    """How many trainings fill a device with an engine; the reference is asked for nothing: one fills it anywhere."""
    from models import backends, engine  # imports Numba
    from models.engines import choices

    found = choices.Choices(name, device)
    kind = backends.kind_of(device)
    able = [each for each in found.among if each.device == kind and each.engine != "reference"]
    return max((engine.capacity(found.load(each)) for each in able), default=1)


def fill_device(settings: Settings) -> Settings:
    """Passes an engine and a device that are asked for whatever the study; with the slots that the device has room for.

    Raises:
        models.errors.ModelError: one is not there.
    """
    device, name = settings.training_device, settings.engine or "auto"
    if settings.device not in (None, "cpu") or settings.engine is not None:
        from models import engines  # imports Numba

        engines.check(name, device)
    if settings.slots is not None or device == "cpu":
        return settings
    return settings.model_copy(update={"slots": _capacity(name, device)})


def check_store(spec: specs.StudySpec, settings: Settings) -> None:
    """Whether what speaks to the store of a study is installed here.

    Raises:
        errors.InputError: it is not.
    """
    if place := spec.trial.store or settings.store:
        stores.Store(place)


def check_objective(spec: specs.StudySpec, settings: Settings, command: str = "work", *more: str) -> None:
    """Whether a study of the database may have its own objective imported here: whoever can write there names it.

    Args:
        command: that would, with what stands behind the study's name.

    Raises:
        errors.NotAllowed: it may not.
    """
    code, checksum = spec.code, spec.code_checksum
    if code is not None and checksum is not None and not (settings.allows(code) or settings.allows(checksum)):
        raise errors.NotAllowed(
            f"study {spec.name!r}: its objective must be one that --allow-objectives (SEARCH_ALLOW_OBJECTIVES) names, "
            f"got {code!r} where {settings.allow_objectives!r} may run; if you know it: "
            f"{' '.join(('search', command, words.typed(spec.name), *more))} --allow-objectives {shlex.quote(checksum)}"
        )


def objective(
    spec: specs.StudySpec, settings: Settings, life: contextlib.ExitStack, url: str
) -> "tuple[Callable[[Trial], Result], networks.NetworkObjective | None]":
    """What trains the trials of a study here; the same where it trains networks, else None.

    Args:
        life: ends what is kept for the next trial.
        url: of the database.

    Raises:
        errors.InputError: an objective of the user's own that is not to be had.
        models.errors.ModelError: data, engine or device that are not.
    """
    if spec.training is None:
        from search.training import functions

        check_store(spec, settings)
        own = functions.FunctionObjective(spec, settings.folder(url), settings.save_seconds)
        life.callback(own.close)
        return own, None
    from search.training import networks  # imports Numba

    how = (settings.training_device, settings.engine, settings.slots)
    found = networks.NetworkObjective(spec, settings.data_dir, *how)
    return found, found
