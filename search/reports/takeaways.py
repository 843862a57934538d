"""The lab's takeaways, each with the rule by which it is judged."""

from search.reports import judges
from search.reports.judges import ENOUGH_TRIALS, EXPLAINED, FACTOR_OF_TIME, LEARNS, NEAR, SEPARABLE
from search.reports.verdicts import Takeaway

_BEST = "really more accurate than each other value"
TAKEAWAYS = (
    Takeaway(
        "learning-rate",
        "0.1 is the best balance of speed and accuracy",
        "really more accurate than the others after the first epoch and after the last",
        judges.balance,
    ),
    Takeaway(
        "learning-rate",
        "0.01 is more stable than 0.1 and nearly as good",
        f"a really smaller mean fall from epoch to epoch; less than {NEAR} below in accuracy",
        judges.steadier_and_near,
    ),
    Takeaway(
        "learning-rate",
        "0.0001 never leaves its initial state",
        f"no epoch above {LEARNS} accuracy",
        judges.never_leaves,
    ),
    Takeaway(
        "batch-size",
        "1 is quick at first and slows down as it stabilises",
        "really ahead of the others after the first epoch, which gives more than all later ones together",
        judges.quick_then_slow,
    ),
    Takeaway(
        "batch-size",
        "32 is the sweet spot",
        f"each other value is really less accurate, or takes at least {FACTOR_OF_TIME:g} times as long",
        judges.sweet_spot,
    ),
    Takeaway("batch-size", "128 converges very slowly", "really less accurate than each other value", judges.slowest),
    Takeaway(
        "depth",
        "7 hidden layers overfit clearly",
        f"the accuracy on the training images is more than {NEAR} above the evaluated one",
        judges.overfits,
    ),
    Takeaway(
        "depth",
        "1 hidden layer has the best accuracy and is stable",
        f"{_BEST}; its mean fall from epoch to epoch is really larger than no other's",
        judges.best_and_steady,
    ),
    Takeaway(
        "depth",
        "the data is close to linearly separable",
        f"the linear network has {SEPARABLE} of its training images right; fewer prove nothing, since ten epochs need "
        "not find the best planes",
        judges.separable,
    ),
    Takeaway("width", "512 is the best", _BEST, judges.best(512)),
    Takeaway(
        "width",
        "the wider the more stable",
        "a really smaller mean fall with each step in width",
        judges.wider_is_steadier,
    ),
    Takeaway("width", "32 is similar to 512", f"the difference lies within {NEAR} either way", judges.similar),
    Takeaway("activation", "ReLU outperforms Sigmoid and GELU", _BEST, judges.best("ReLU")),
    Takeaway(
        "lab",
        "the best comes from many trials",
        f"the best of all trials is more than {NEAR / 2} above the best of the first ten",
        judges.many_trials,
    ),
    Takeaway(
        "lab",
        "the combination matters most",
        f"no parameter alone explains {EXPLAINED:.0%} of the variance of {ENOUGH_TRIALS} complete trials or more",
        judges.combination,
    ),
)
