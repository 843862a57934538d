"""What a study file means where it leaves a key out, and which keys do not go together."""

from search import errors
from search.space import spaces
from search.study import ladders, programs, pruners, samplers, sections


def settled(file: sections.File, name: str) -> sections.File:
    """The file with the defaults of what it trains: the lab's networks, or an objective of the user's own."""
    _check_code(file, name)
    is_own = file.is_own
    metric = file.study.metric or ("value" if is_own else "accuracy")
    file = file.model_copy(update={"study": file.study.model_copy(update={"metric": metric})})
    if not is_own:
        for key, only in (("direction", "maximize"), ("metric", "accuracy")):
            if (given := getattr(file.study, key)) != only:
                raise errors.StudyFileError(f"{name}: study.{key} must be {only!r} beside [training], got {given!r}")
        hopeless = file.pruning.hopeless is not False
    else:
        if file.training is not None and "value" in file.training.model_fields_set:
            raise errors.StudyFileError(
                f"{name}: training.value must not stand beside objective: a trial's value is what the function returns "
                f"or yields last, got {file.training.value!r}"
            )
        if file.training is not None:
            what, given = ("command", file.command) if file.command is not None else ("objective", file.objective)
            raise errors.StudyFileError(f"{name}: [training] must not stand beside {what}, got {given!r}")
        if file.pruning.hopeless:
            raise errors.StudyFileError(
                f"{name}: pruning.hopeless must be false beside objective, got True: it judges the lab's networks only"
            )
        hopeless = False
    training = file.training if is_own or file.training is not None else sections.Training(record=[])
    pruning = file.pruning.model_copy(update={"hopeless": hopeless})
    return file.model_copy(update={"training": training, "pruning": pruning})


def _check_code(file: sections.File, name: str) -> None:
    """What trains, once: `objective`, `command` or [training]."""
    if file.objective is not None and file.command is not None:
        raise errors.StudyFileError(f"{name}: command must not stand beside objective, got {file.objective!r}")
    if file.command is not None and file.metric is None:
        raise errors.StudyFileError(
            f"{name}: metric is missing: where the command says its values, as in "
            "metric = { from = \"stdout\", pattern = 'accuracy=(\\S+)' }"
        )
    if file.metric is not None and file.command is None:
        raise errors.StudyFileError(f"{name}: metric must stand beside command; what an objective returns is its value")
    if not file.is_own and "trial" in file.model_fields_set:
        raise errors.StudyFileError(
            f"{name}: [trial] must stand beside objective or command: it is for code of your own"
        )


def check(file: sections.File, tree: spaces.Space, name: str) -> None:
    """Passes sampler, pruner and command that go with the rest.

    Raises:
        errors.StudyFileError: with place, key, rule and value.
    """
    if why := samplers.refusal(file.sampler.name, tree, file.pruning.is_on):
        raise errors.StudyFileError(f"{name}: sampler.name must not be {file.sampler.name!r} {why}")
    if file.sampler.startup_trials is not None and file.sampler.name not in samplers.STARTUP_TRIALS:
        takers = ", ".join(samplers.STARTUP_TRIALS)
        raise errors.StudyFileError(
            f"{name}: sampler.startup_trials is an option of the samplers {takers}, got {file.sampler.name!r}"
        )
    if file.budget.regret is not None and (why := samplers.regret_refusal(file.sampler.name)):
        raise errors.StudyFileError(f"{name}: budget.regret must not stand {why}; got {file.budget.regret!r}")
    _check_pruning(file, name)
    if file.command is not None and (wrong := programs.problem(file.command, file.metric, tree)):
        raise errors.StudyFileError(f"{name}: {wrong}")


def _check_pruning(file: sections.File, name: str) -> None:
    pruner = file.pruning.pruner
    allowed = pruners.PRUNERS[pruner].options if pruner else ()
    for key in file.pruning.settings:
        if key not in allowed:
            takers = ", ".join(other for other, one in pruners.PRUNERS.items() if key in one.options)
            raise errors.StudyFileError(f"{name}: pruning.{key} is an option of the pruners {takers}, got {pruner!r}")
    try:
        ladders.of(file.pruning, file.training)
    except ValueError as error:
        raise errors.StudyFileError(f"{name}: {error}") from error
