"""How long all of the lab's 21,120 configurations would take on this machine, from a stratified sample of them.

    python benchmarks/whole_space.py --crew 1x2 --epochs 1 --each 2           two slots; one epoch is taken ten times
    python benchmarks/whole_space.py --device cuda --crew 1x64 --each 3       399 configurations, ten epochs each

Strata are (depth, width) by octaves of the batch size: 19 x 7. The estimate of the sum over the space and its standard
error are those of stratified sampling without replacement (Cochran, Sampling Techniques, 3rd edition, 5.3-5.4):
sum of N x mean, and sum of N (N - n) s^2 / n. A sum of trial seconds becomes hours by the trials that truly ran at
once: the sample's trial seconds over its wall-clock seconds. Nothing is pruned.
"""

import argparse
import collections
import math
import random
import statistics
import sys

from slots import ROOT, parse_crew, run, training_arguments

from search.space import spaces
from search.study import specs

LAB_EPOCHS = 10

Stratum = tuple[int, int, int]


def stratum(params: spaces.Params) -> Stratum:
    """(depth, width or 0, octave of the batch size: 1, 2-3, 4-7, ..., 64-128)."""
    octave = min(6, int(math.log2(int(params["batch_size"]))))
    return int(params["depth"]), int(params.get("width", 0)), octave


def main() -> int:
    """Prints the hours by width and depth, and of all, with the error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    training_arguments(parser)
    parser.add_argument("--crew", default="1x2", help="workers x slots")
    parser.add_argument("--epochs", type=int, default=LAB_EPOCHS)
    parser.add_argument("--each", type=int, default=3, help="configurations of a stratum, at least 2")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.each < 2:
        parser.error("--each must be at least 2: one value has no spread")
    strata: dict[Stratum, list[spaces.Params]] = collections.defaultdict(list)
    for params in specs.load(ROOT / "studies" / "lab.toml").space.configurations():
        strata[stratum(params)].append(params)
    rng = random.Random(options.seed)
    drawn = [params for members in strata.values() for params in rng.sample(members, min(options.each, len(members)))]
    rng.shuffle(drawn)  # else the slow ones train side by side
    crew = parse_crew(options.crew, options)
    found = run(crew, options.epochs, [(params, 0) for params in drawn])

    seconds: dict[Stratum, list[float]] = collections.defaultdict(list)
    for params, took in found.trials:
        seconds[stratum(params)].append(took * LAB_EPOCHS / options.epochs)
    at_once = sum(took for _, took in found.trials) / found.seconds
    sums = {key: len(members) * statistics.fmean(seconds[key]) for key, members in strata.items()}
    variance = sum(
        len(members) * (len(members) - len(seconds[key])) * statistics.variance(seconds[key]) / len(seconds[key])
        for key, members in strata.items()
    )

    size = sum(map(len, strata.values()))
    print(f"{len(drawn)} of {size} configurations in {len(strata)} strata, {options.epochs} epochs, {options.device}")
    print(f"crew {crew}: {found.seconds:.0f} s, {at_once:.2f} trials at once")
    print(f"{'depth':>5}  {'width':>5}  {'hours for ten epochs':>20}")
    for depth, width in sorted({key[:2] for key in strata}):
        hours = sum(took for key, took in sums.items() if key[:2] == (depth, width)) / at_once / 3600
        print(f"{depth:>5}  {width:>5}  {hours:>20.2f}")
    whole, error = sum(sums.values()) / at_once / 3600, math.sqrt(variance) / at_once / 3600
    print(f"all: {whole:.1f} hours, standard error {error:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
