"""How many workers the GPUs of this machine have room for, and which of them a worker gets."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from search import errors
from search.study import specs
from search.training.objectives import Result, Trial
from search.worker import devices, leases, mishaps, occupancies
from search.worker.settings import Settings

log = logging.getLogger("search")

# for the last worker of an earlier command, which hands its trial over
WAIT_SECONDS = 20.0
LOOK_SECONDS = 0.5


def check(settings: Settings) -> None:
    """Passes settings that go together.

    Raises:
        errors.InputError: they do not.
    """
    named, device = settings.gpus, settings.device or ""
    if named is None:
        if settings.per_gpu > 1:
            raise errors.InputError(f"--per-gpu must have --gpus beside it, got {settings.per_gpu} alone")
        return
    if named == devices.NONE:
        if device not in ("", "cpu"):
            raise errors.InputError(f"--device must be cpu beside --gpus none, got {device!r}")
        return
    if ":" in device:
        raise errors.InputError(f"--device must be cpu or cuda beside --gpus, which chooses one, got {device!r}")
    if settings.at_once > 1:
        raise errors.InputError(
            f"--slots must be 1 beside --gpus, got {settings.slots}: --per-gpu gives each GPU several workers"
        )


def staffed(spec: specs.StudySpec, settings: Settings) -> Settings:
    """The same with as many workers as the GPUs have room for, unless fewer were asked for.

    Raises:
        errors.InputError: there is no room for so many, or for any.
    """
    check(settings)
    if not settings.has_gpus:
        return settings
    gpus = _named(spec, settings)
    places = leases.Places(settings.gpu_locks, settings.per_gpu)
    room = places.room(gpus, spec.trial.gpus)
    if settings.workers is None and room:
        return settings.model_copy(update={"workers": room})
    if room < (settings.workers or 1):
        raise errors.InputError(_no_room(settings, gpus, spec.trial.gpus, room))
    return settings


def shown(settings: Settings) -> contextlib.AbstractContextManager[None]:
    """A context in which what is started, to look whether it can be used, sees all the GPUs that workers may take.

    Raises:
        errors.InputError: one is not there.
    """
    if settings.gpus is None:
        return contextlib.nullcontext()
    return devices.shown(() if settings.gpus == devices.NONE else devices.named(settings.gpus))


def _named(spec: specs.StudySpec | None, settings: Settings) -> list[devices.Gpu]:
    assert settings.gpus is not None
    gpus = devices.named(settings.gpus)
    if spec is None:
        return gpus
    needed = spec.trial.gpus
    if needed > len(gpus):
        raise errors.InputError(
            f"study {spec.name!r}: trial.gpus must be at most as many as --gpus means, {len(gpus)}, got {needed}"
        )
    if needed > 1 and any(gpu.is_instance for gpu in gpus):
        raise errors.InputError(
            f"study {spec.name!r}: trial.gpus must be 1 where GPUs are cut into instances (MIG), of which CUDA shows a "
            f"process one, got {needed}"
        )
    return gpus


def _no_room(settings: Settings, gpus: list[devices.Gpu], count: int, room: int = 0) -> str:
    each = "" if count == 1 else f", {count} GPUs each"
    how = f"{devices.label(gpus)} with --per-gpu {settings.per_gpu}{each}"
    if room:
        return f"--workers must be at most {room}, what is free of {how}, got {settings.workers}"
    return f"--gpus must name GPUs with a free place, got {settings.gpus!r}: {how} is taken by other workers of yours"


class Equipped:
    """A worker's GPUs; where they are gone, it is to end.

    Attributes:
        ending: why it is to end; None while all is well.
    """

    def __init__(self, lease: leases.Lease, stop: threading.Event) -> None:
        self._lease, self._stop = lease, stop
        self.ending: errors.SearchError | None = None

    @property
    def label(self) -> str:
        """For people."""
        return devices.label(self._lease.gpus)

    @property
    def uuids(self) -> tuple[str, ...]:
        """As nvidia-smi has them."""
        return tuple(gpu.uuid for gpu in self._lease.gpus)

    def watch(self, spec: specs.StudySpec, objective: Callable[[Trial], Result]) -> Callable[[Trial], Result]:
        """A study's objective, whose failures are looked into; they are raised as they are.

        Raises:
            errors.InputError: its trials take more GPUs, as they may where a worker serves any study.
        """
        if spec.trial.gpus > len(self._lease.gpus):
            raise errors.InputError(
                f"study {spec.name!r}: trial.gpus must be at most {len(self._lease.gpus)} for a worker of any study, "
                f"got {spec.trial.gpus}: give it workers of its own"
            )
        is_inside = spec.training is not None

        def watched(trial: Trial) -> Result:
            try:
                return objective(trial)
            except Exception as error:
                if mishaps.is_the_machines(error) or mishaps.is_spoiled(error):
                    self._look(error, is_inside)
                raise

        return watched

    def _look(self, error: Exception, is_inside: bool) -> None:
        if (why := self._missing()) is not None:
            self.ending = errors.TookItselfOut(
                f"{self.label} is gone ({why}): this worker takes itself out, its trial waits for others. Look at this "
                "machine, then start it again"
            )
        elif is_inside and mishaps.is_spoiled(error):
            self.ending = errors.WorkFailed(f"{self.label}: CUDA can no longer be used in this process: {error}")
        if self.ending is not None:
            log.error("event=device-failed device=%r reason=%r", self.label, str(self.ending))
            self._stop.set()

    def _missing(self) -> str | None:
        try:
            listed = {gpu.uuid for gpu in devices.probe()}
        except errors.InputError as error:
            return str(error)
        lost = [gpu.uuid for gpu in self._lease.gpus if gpu.uuid not in listed]
        return f"nvidia-smi does not list {', '.join(lost)}" if lost else None


def occupied(settings: Settings, gpus: Equipped | None) -> occupancies.Occupancy | None:
    """By which processes the GPU is that this one trains on; None where it is the CPU."""
    if gpus is not None:
        return occupancies.Occupancy(settings.gpu_locks, lambda: gpus.uuids)
    device = settings.training_device
    return occupancies.Occupancy(settings.gpu_locks, occupancies.of_torch(device)) if device != "cpu" else None


@contextlib.contextmanager
def explained(gpus: Equipped | None) -> Iterator[None]:
    """A context of a worker's life, which ends by what is known of its GPUs where they failed.

    Raises:
        errors.TookItselfOut, errors.WorkFailed: they did.
    """
    try:
        yield
    except errors.DeviceFailed:
        if gpus is None or gpus.ending is None:
            raise
    if gpus is not None and gpus.ending is not None:
        raise gpus.ending


@contextlib.contextmanager
def equipped(spec: specs.StudySpec | None, settings: Settings, stop: threading.Event) -> Iterator[Equipped | None]:
    """The GPUs of this worker, as long as the context lasts; None where it has none, or nothing was said of them.

    Args:
        spec: of the study that it serves; None for any, with one GPU.

    Raises:
        errors.InputError: none is to be had.
        errors.Interrupted: it was asked to stop while it waited for one.
    """
    check(settings)
    if not settings.has_gpus:
        with shown(settings):
            yield None
        return
    lease = _wait_for(spec, settings, stop)
    try:
        with devices.shown(lease.gpus):
            found = Equipped(lease, stop)
            for gpu in lease.gpus:
                log.info(
                    "event=gpu device=%r uuid=%s memory_mib=%d busy_percent=%d workers_beside=%d",
                    *(found.label, gpu.uuid, gpu.memory_mib, gpu.busy_percent, lease.beside),
                )
            yield found
    finally:
        lease.close()


def _wait_for(spec: specs.StudySpec | None, settings: Settings, stop: threading.Event) -> leases.Lease:
    places, deadline = leases.Places(settings.gpu_locks, settings.per_gpu), time.monotonic() + WAIT_SECONDS
    gpus, count = _named(spec, settings), 1 if spec is None else spec.trial.gpus
    while (lease := places.take(gpus, count)) is None:
        if time.monotonic() > deadline:
            raise errors.InputError(_no_room(settings, gpus, count))
        if stop.wait(LOOK_SECONDS):
            raise errors.Interrupted("asked to stop while it waited for a GPU")
    return lease
