"""Facts of the datasets: sizes, classes and their names. The tensors are in data.py."""

IMAGE_PIXELS = 784
CLASSES = 10
CLASS_NAMES = {
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "mnist": tuple(str(digit) for digit in range(CLASSES)),
    "synthetic": tuple(f"prototype {number}" for number in range(CLASSES)),
}
TRAINING_IMAGES = {"fashion-mnist": 60_000, "mnist": 60_000, "synthetic": 600}
TEST_IMAGES = {"fashion-mnist": 10_000, "mnist": 10_000, "synthetic": 200}
HOLDOUT_IMAGES = 10_000


def held_out(images: int) -> int:
    """How many of the training images a validation set takes: a sixth, 10,000 of 60,000."""
    return min(HOLDOUT_IMAGES, images // 6)
