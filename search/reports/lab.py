"""What the lab published: its settings, its figures, and the studies that repeat it, in the lab's order."""

import dataclasses
from typing import Any

BASELINE, SEARCH, REPLAY = "baseline", "lab", "lab-replay"
FACTORS = ("learning-rate", "batch-size", "depth", "width", "activation")
STUDIES = (BASELINE, *FACTORS, SEARCH, REPLAY)

HUMAN_ACCURACY = 0.835  # of people without fashion expertise, over 1,000 test images
BEST_ACCURACY = 0.8607  # of the search's ten trials

BASELINE_PARAMS = {"learning_rate": 1e-3, "batch_size": 64, "depth": 3, "width": 128, "activation": "ReLU"}
# after each of ten epochs
BASELINE_ACCURACIES = (0.117, 0.106, 0.114, 0.285, 0.431, 0.457, 0.567, 0.613, 0.628, 0.651)
BASELINE_LOSSES = (2.2677, 2.2252, 2.1474, 2.0236, 1.8273, 1.5340, 1.2899, 1.1368, 1.0360, 0.9620)


@dataclasses.dataclass(frozen=True)
class PublishedTrial:
    """A trial of the published search: its configuration, and its accuracy and average loss after ten epochs."""

    params: dict[str, Any]
    accuracy: float
    loss: float


def _trial(
    learning_rate: float, batch_size: int, depth: int, width: int, activation: str, accuracy: float, loss: float
) -> PublishedTrial:
    params: dict[str, Any] = {"learning_rate": learning_rate, "batch_size": batch_size, "depth": depth}
    if depth:  # the lab printed width and activation at depth 0 too, where they mean nothing
        params |= {"width": width, "activation": activation}
    return PublishedTrial(params, accuracy, loss)


TRIALS = (
    _trial(0.01, 127, 0, 128, "ReLU", 0.8136, 0.556224),
    _trial(0.1, 41, 3, 128, "ReLU", 0.8607, 0.415715),
    _trial(0.01, 104, 6, 128, "Sigmoid", 0.1000, 2.303710),
    _trial(0.0001, 35, 3, 512, "Sigmoid", 0.1000, 2.302418),
    _trial(0.01, 65, 1, 128, "Sigmoid", 0.7826, 0.607853),
    _trial(0.0001, 33, 6, 32, "ReLU", 0.1000, 2.307202),
    _trial(0.1, 72, 0, 128, "ReLU", 0.8356, 0.462638),
    _trial(0.0001, 1, 6, 512, "Sigmoid", 0.1000, 2.306407),
    _trial(0.01, 78, 2, 32, "ReLU", 0.7577, 0.621315),
    _trial(0.1, 76, 1, 32, "Sigmoid", 0.8441, 0.425480),
)
