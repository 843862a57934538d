"""How long all of the lab's 21,120 configurations would take on this machine, from a stratified sample of them.

    python benchmarks/whole_space.py --crew 1x2 --epochs 1 --each 2           two slots; one epoch is taken ten times
    python benchmarks/whole_space.py --device cuda --crew 1x132 --minutes 8   as many as there is time for

Strata are (depth, width) by octaves of the batch size: 19 x 7. The estimate of the sum over the space and its standard
error are those of stratified sampling without replacement (Cochran, Sampling Techniques, 3rd edition, 5.3-5.4):
sum of N x mean, and sum of N (N - n) s^2 / n, of the trials' seconds on the wall. That sum becomes hours by the trials
that ran at once while every place was in use: at the sample's end slow ones run alone, at the end of the whole space
for a moment only. Nothing is pruned. Of a GPU it is told beside what its multiplications and its memory take at least.
"""

import argparse
import collections
import math
import random
import statistics
import sys
import time

from slots import ROOT, Crew, Run, check, parse_crew, run, training_arguments

from models import gpu_limits
from models.recipes import Recipe
from search.space import spaces
from search.study import specs

LAB_EPOCHS = 10
IMAGES = 60_000
MOST = 8  # more of each stratum in one run
SURE = 0.8  # of the time that is left: the next of a stratum may take longer

Stratum = tuple[int, int, int]


def stratum(params: spaces.Params) -> Stratum:
    """(depth, width or 0, octave of the batch size: 1, 2-3, 4-7, ..., 64-128)."""
    octave = min(6, int(math.log2(int(params["batch_size"]))))
    return int(params["depth"]), int(params.get("width", 0)), octave


def drawn(
    strata: dict[Stratum, list[spaces.Params]], first: int, count: int, rng: random.Random
) -> list[spaces.Params]:
    """So many more configurations of each stratum, in any order: else the slow ones train side by side."""
    found = [params for members in strata.values() for params in members[first : first + count]]
    rng.shuffle(found)
    return found


def trained(
    strata: dict[Stratum, list[spaces.Params]], crew: Crew, options: argparse.Namespace
) -> tuple[list[Run], int]:
    """The runs, and how many configurations of each stratum they had: `--each`, then as many as there is time for.

    Raises:
        TimeoutError: there was none for the first.
    """
    rng = random.Random(options.seed)
    for members in strata.values():
        rng.shuffle(members)
    deadline = time.time() + 60 * options.minutes
    runs, had, count = list[Run](), 0, options.each
    while count:
        began = time.time()
        try:
            wanted = [(params, 0) for params in drawn(strata, had, count, rng)]
            runs.append(run(crew, options.epochs, wanted, deadline))
        except TimeoutError:
            if not runs:
                raise
            break
        had += count
        per_each = (time.time() - began) / count
        count = min(MOST, int((deadline - time.time()) * SURE / per_each)) if math.isfinite(deadline) else 0
    return runs, had


def limit_hours(space: spaces.Space, device: str, together: int) -> float | None:
    """What the whole space takes at least by the device's properties; None where they are not known."""
    if (limits := gpu_limits.of(device)) is None:
        return None
    every = (Recipe(**params, epochs=LAB_EPOCHS, seed=0) for params in space.configurations())
    return sum(LAB_EPOCHS * each.steps_per_epoch(IMAGES) * limits.step_seconds(each, together) for each in every) / 3600


def report(
    strata: dict[Stratum, list[spaces.Params]], runs: list[Run], had: int, crew: Crew, options: argparse.Namespace
) -> None:
    """Prints the estimate."""
    seconds: dict[Stratum, list[float]] = collections.defaultdict(list)
    for params, took in (trial for found in runs for trial in found.trials):
        seconds[stratum(params)].append(took * LAB_EPOCHS / options.epochs)
    at_once = statistics.fmean([found.at_once for found in runs], [len(found.trials) for found in runs])
    sums = {key: len(members) * statistics.fmean(seconds[key]) for key, members in strata.items()}
    variance = sum(
        len(members) * (len(members) - len(seconds[key])) * statistics.variance(seconds[key]) / len(seconds[key])
        for key, members in strata.items()
    )

    size, sampled = sum(map(len, strata.values())), sum(map(len, seconds.values()))
    print(f"{sampled} of {size} configurations, {had} of each stratum, {options.epochs} epochs, {options.device}")
    print(f"crew {crew}: {sum(found.seconds for found in runs):.0f} s, {at_once:.2f} trials at once")
    print(f"{'depth':>5}  {'width':>5}  {'hours for ten epochs':>20}")
    for depth, width in sorted({key[:2] for key in strata}):
        hours = sum(took for key, took in sums.items() if key[:2] == (depth, width)) / at_once / 3600
        print(f"{depth:>5}  {width:>5}  {hours:>20.2f}")
    whole, error = sum(sums.values()) / at_once / 3600, math.sqrt(variance) / at_once / 3600
    print(f"all: {whole:.2f} hours, standard error {error:.2f}")


def main() -> int:
    """Prints the hours by width and depth, and of all, with the error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    training_arguments(parser)
    parser.add_argument("--crew", default="1x2", help="workers x slots")
    parser.add_argument("--epochs", type=int, default=LAB_EPOCHS)
    parser.add_argument("--each", type=int, help="configurations of a stratum, at least 2; first, beside --minutes")
    parser.add_argument("--minutes", type=float, default=math.inf, help="that it takes at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.each = options.each or (2 if math.isfinite(options.minutes) else 3)
    if options.each < 2:
        parser.error("--each must be at least 2: one value has no spread")
    check(options)
    space, strata = (
        specs.load(ROOT / "studies" / "lab.toml").space,
        collections.defaultdict[Stratum, list[spaces.Params]](list),
    )
    for params in space.configurations():
        strata[stratum(params)].append(params)
    crew = parse_crew(options.crew, options)
    try:
        runs, had = trained(strata, crew, options)
    except TimeoutError:
        rule = f"--minutes must be enough for {options.each} configurations of each stratum, got {options.minutes:g}"
        print(f"whole_space.py: {rule}", file=sys.stderr)
        return 1
    report(strata, runs, had, crew, options)
    if (least := limit_hours(space, options.device, crew.workers * crew.slots)) is not None:
        print(f"the device's limit: {least:.2f} hours")
    return 0


if __name__ == "__main__":
    sys.exit(main())
