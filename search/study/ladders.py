"""The rungs of a study whose pruner pauses: the steps after which a trial is judged, and who goes on there."""

import dataclasses

from search.study import pruners, sections


@dataclasses.dataclass(frozen=True)
class Ladder:
    """Asynchronous successive halving, as a study file sets it.

    Attributes:
        rungs: ascending; the end of a whole trial is none. None at all where the lab's networks train too few epochs.
        factor: of n trials that have reported a rung, the best floor(n / factor) go on.
        checkpoints: how many paused trials keep the state of their training.
    """

    rungs: tuple[int, ...]
    factor: int
    checkpoints: int


def of(pruning: sections.Pruning, training: sections.Training | None) -> Ladder | None:
    """The ladder; None where trials do not pause.

    Raises:
        ValueError: with the key, its rule and its value.
    """
    check_length(pruning, training)
    if pruning.pruner is None or not pruners.PRUNERS[pruning.pruner].pauses:
        return None
    settings = {**pruners.PAUSING, **pruning.settings}
    factor, first = int(settings["reduction_factor"]), int(settings["min_resource"])
    end, key = (training.epochs, "training.epochs") if training else (pruning.max_resource or 0, "pruning.max_resource")
    said = {"min_resource", "reduction_factor"} & set(pruning.settings)
    if first * factor > end and (said or not training):
        raise ValueError(
            f"{key} must be at least min_resource * reduction_factor = {first * factor} with pruner = "
            f"{pruning.pruner!r}, got {end}"
        )
    rungs = [first] if first * factor <= end else []
    while rungs and rungs[-1] * factor * factor <= end:
        rungs.append(rungs[-1] * factor)
    return Ladder(tuple(rungs), factor, int(settings["checkpoints"]))


def check_length(pruning: sections.Pruning, training: sections.Training | None) -> None:
    """Passes a pruner that knows, where it must, how many steps a whole trial reports.

    Raises:
        ValueError: with the key, its rule and its value.
    """
    if pruning.pruner is None or "max_resource" not in pruners.PRUNERS[pruning.pruner].options:
        return
    if training is not None and pruning.max_resource is not None:
        raise ValueError(
            f"pruning.max_resource must be left out beside [training], whose epochs say it, got {pruning.max_resource}"
        )
    if training is None and pruning.max_resource is None:
        raise ValueError(
            f"pruning.max_resource must say how many steps a whole trial reports beside pruner = {pruning.pruner!r}, "
            "got none"
        )
