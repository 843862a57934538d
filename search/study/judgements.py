"""By which images and epochs the trials of a study are judged, and whether that makes its best too good: in words."""

from collections.abc import Sequence

from search import words
from search.study import sections, specs

IMAGES = {"test": "the test set", "validation": "images held out of the training set"}
VALUES = {"last": "the accuracy after its last epoch", "mean-of-last-3": "the mean accuracy of its last three epochs"}
LISTED = 8  # names in a line
ON_TEST = "chosen on the test set"  # what is said wherever a figure is quoted that was


def is_chosen_on_test(spec: specs.StudySpec) -> bool:
    """Whether the best of a study is the best of several on the images that a figure is quoted of."""
    return spec.training is not None and spec.training.evaluate_on == "test" and spec.space.size != 1


def caution(spec: specs.StudySpec) -> str | None:
    """Why the best value of a study is too good, and what measures it; None where it is not, or nobody knows."""
    if not is_chosen_on_test(spec):
        return None
    return (
        f"{ON_TEST}: of many noisy values the best is too good; `search confirm {words.typed(spec.name)}` measures it "
        "with fresh seeds, on the same images"
    )


def all_chosen_on_test(found: Sequence[specs.StudySpec]) -> str | None:
    """The same of several studies in a line; None where it is none of them."""
    names = [spec.name for spec in found if is_chosen_on_test(spec)]
    if not names:
        return None
    which = ", ".join(names) if len(names) <= LISTED else f"{len(names)} of them"
    return f"{ON_TEST}, so the best is too good: {which}"


def caution_of_model(spec: specs.StudySpec, best_of: int) -> str | None:
    """Why the accuracy of one network of a study on the test set is too high, or None.

    Args:
        best_of: how many configurations were compared on the test set afterwards; 1 for none.
    """
    if is_chosen_on_test(spec):
        return f"{ON_TEST}, by these very images: this figure may be optimistic"
    if best_of > 1:
        return f"the best of {best_of} means on these very images: this figure may be a little optimistic"
    return None


def held_out(spec: specs.StudySpec) -> str | None:
    """What a study that spares the test set is judged by, and what tests its best."""
    if spec.training is None or spec.training.evaluate_on == "test":
        return None
    return (
        f"chosen on {IMAGES['validation']}, a sixth of it: `search confirm {words.typed(spec.name)}` measures the best "
        "on the test set"
    )


def value(training: sections.Training) -> str:
    """What a trial's value is."""
    return VALUES[training.value]


def measured(training: sections.Training) -> str:
    """What a trial's value is, and on which images."""
    return f"{value(training)}, on {IMAGES[training.evaluate_on]}"


def own_value(spec: specs.StudySpec) -> str:
    """What the value of code of the user's own is, where fresh seeds have measured it."""
    what = "what the command says last" if spec.command else f"what {spec.objective} returns or yields last"
    return (
        f"values: the {spec.study.metric} is {what}, of whatever data it is; the same data chose the configurations, "
        "so what they favour is in it still"
    )


def seedless(spec: specs.StudySpec) -> str:
    """What is said of code of the user's own whose value no seed changes."""
    who = "command" if spec.command else "objective"
    return f"every seed gave the same value: the {who} does not use {seed_of(spec)}"


def seed_of(spec: specs.StudySpec) -> str:
    """By what name code of the user's own has the seed of its training."""
    return "{seed} or SEARCH_SEED" if spec.command else "trial.seed"


def lines(spec: specs.StudySpec) -> list[str]:
    """What stands beside the best value of a study."""
    found = [said for said in (caution(spec), held_out(spec)) if said is not None]
    if spec.training is not None and spec.training.value != "last":
        found.append(f"a trial's value is {value(spec.training)}")
    return found
