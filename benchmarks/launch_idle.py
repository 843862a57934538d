"""What share of a GPU's places is idle, by the length of its launches: a simulation, since blocks wait for one another.

    python benchmarks/launch_idle.py                                  an H100 at half of its limit, 132 places
    python benchmarks/launch_idle.py --between 0.5 --launches 0.05    half a second from a trial to the next in its slot

A place that is done with its epoch waits for the end of the launch, and then, since the next launch has begun without
it, for the end of that one too. Epochs are of the lab's 21,120 configurations, drawn at random, and take what the
properties of an H100 come to at `--efficiency` of them.
"""

import argparse
import pathlib
import random
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from models.gpu_limits import Limits  # noqa: E402
from models.recipes import Recipe  # noqa: E402
from search.study import specs  # noqa: E402

H100 = Limits(flops=66.9e12, memory=3.35e12, cache=50e6)
EPOCHS, IMAGES = 10, 60_000
LAUNCH_SECONDS = 0.0003  # its start and end
TRIALS_PER_PLACE = 30


def epoch_seconds(places: int, efficiency: float) -> list[float]:
    """Of each configuration, on one place of the device."""
    space = specs.load(ROOT / "studies" / "lab.toml").space
    recipes = (Recipe(**params, epochs=EPOCHS, seed=0) for params in space.configurations())
    return [each.steps_per_epoch(IMAGES) * H100.step_seconds(each, places) * places / efficiency for each in recipes]


def idle(lengths: list[float], places: int, launch: float, between: float, host: float, seed: int = 0) -> float:
    """The share of the places' time.

    Args:
        launch: seconds that a block takes in one, at most.
        between: seconds from the end of a trial to the first launch that its slot's next could be in.
        host: seconds of Python for an epoch, of one place after the other.
    """
    rng, now, busy, trials = random.Random(seed), 0.0, 0.0, 0
    whole = [rng.choice(lengths) for _ in range(places)]
    left, epoch, ready = [rng.random() * each for each in whole], [rng.randrange(EPOCHS) for _ in whole], [0.0] * places
    while trials < TRIALS_PER_PLACE * places:
        inside = [place for place in range(places) if ready[place] <= now]
        if not inside:
            now = min(ready)
            continue
        parts = {place: min(left[place], launch) for place in inside}
        now += max(parts.values()) + LAUNCH_SECONDS
        busy += sum(parts.values())
        done = [place for place in inside if left[place] <= launch]
        for place, part in parts.items():
            left[place] -= part
        for turn, place in enumerate(done, start=1):
            epoch[place] += 1
            ready[place] = now + turn * host
            if epoch[place] == EPOCHS:
                whole[place], epoch[place], trials = rng.choice(lengths), 0, trials + 1
                ready[place] += between
            left[place] = whole[place]
    return 1 - busy / (now * places)


def main() -> int:
    """Prints a line for each length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launches", nargs="+", type=float, default=[0.25, 0.1, 0.05, 0.025], help="seconds")
    parser.add_argument("--places", type=int, default=132)
    parser.add_argument("--efficiency", type=float, default=0.5)
    parser.add_argument("--between", type=float, default=0.03, help="seconds between two trials of a slot")
    parser.add_argument("--host", type=float, default=0.002, help="seconds of Python for an epoch")
    options = parser.parse_args()
    lengths = epoch_seconds(options.places, options.efficiency)
    mean = sum(lengths) / len(lengths)
    most = options.places / mean / EPOCHS
    print(f"{options.places} places, an epoch {mean:.2f} s on average, {most:.1f} trials/s at most")
    for launch in options.launches:
        share = idle(lengths, options.places, launch, options.between, options.host)
        print(f"launches of {launch:5.3f} s: {share:6.1%} idle", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
