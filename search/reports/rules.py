"""How a report is to be read: what its figures are and by which rules it judges, for the kinds of studies in it."""

from collections.abc import Sequence

from search.reports.evidence import Experiment

INTERVAL = "An interval is Student's at 95 % over the training seeds; ± is half its width. With one seed there is none."
REAL = (
    "A difference is called real where the interval of its mean over the seeds leaves out 0, widened where one value "
    "is compared with several, so that all the comparisons hold together (Bonferroni)."
)
PAIRED = "Seeds are paired: repeat k of every configuration"
ACCURACY = (
    "Accuracy is a share of the evaluated images, from 0 to 1; guessing gives 0.1. Loss is cross-entropy in nats, the "
    "mean over evaluation batches, as the lab computes it."
)
OPTIMISTIC = (
    "Where a study is evaluated on the test set, as the lab's are, its best value is optimistic: it was chosen by the "
    "same images. `search confirm` measures it with fresh seeds, and where the study was evaluated on the hold-out, on "
    "images that chose nothing."
)
OWN = (
    "A value of code of your own is what that code says, of whatever data it is. The best of many noisy values is too "
    "good: `search confirm` measures it with fresh seeds."
)


def of(experiments: Sequence[Experiment]) -> list[str]:
    """The rules, a sentence or two each."""
    specs = [experiment.summary.study.spec for experiment in experiments]
    are_networks = any(spec.training is not None for spec in specs)
    are_own = any(spec.training is None for spec in specs)
    same = "starts from the same random generator and sees the images in the same order"
    same = same if are_networks else "has the same `trial.seed`"
    found = [INTERVAL, f"{PAIRED} {same}. {REAL}"]
    found += [ACCURACY, OPTIMISTIC] if are_networks else []
    return [*found, OWN] if are_own else found
