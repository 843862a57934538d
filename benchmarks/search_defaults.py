"""Which sampler and pruner come near the best of the lab's space soonest: chosen on one half of it, told of the other.

    python benchmarks/search_defaults.py choose --processes 2      # training seed 0, the first half of the batch sizes
    python benchmarks/search_defaults.py report --processes 2      # training seeds 1 and 2, the other half
    python benchmarks/search_defaults.py report --trials 10        # ten trials each; --workers 8: as many at once

The recorded batch sizes are split by a hash. All searches are simulated on the table beside studies/lab.toml
(docs/simulation.md), with 30 study seeds for each training seed, and counted until 700 CPU seconds. Regret is that of
the configuration, by the mean over its training seeds. Runs are kept in --output and taken up again: delete it after a
change of the code.
"""

import argparse
import dataclasses
import hashlib
import itertools
import pathlib
import sys
from collections.abc import Sequence

import numpy
from rich import progress

from search.simulations import experiments, findings, grounds, methods

HOUSE = pathlib.Path(__file__).parent.parent
LAB = HOUSE / "studies" / "lab.toml"
SIZES = tuple(2**n for n in range(8))
HALVES = {"choose": (slice(0, 4), (0,)), "report": (slice(4, 8), (1, 2))}
PLAIN = ("tpe", "random", "tpe+hyperband", "tpe+median")
OURS = (
    "random+none",
    "tpe+none",
    "tpe:startup_trials=5+none",
    "tpe+median",
    "tpe+successive-halving",
    "tpe+asha",
    "gp-cost+none",
    "gp-cost+median",
    "gp-cost+asha",
)
BARS = (0.005, 0.002)


def half(stage: str) -> list[int]:
    """The batch sizes of a half: in the order of their hashes the first four choose, the others report."""
    ordered = sorted(SIZES, key=lambda size: hashlib.sha256(f"batch_size={size}".encode()).hexdigest())
    return sorted(ordered[HALVES[stage][0]])


def searched(options: argparse.Namespace, training_seed: int) -> list[findings.Finding]:
    """What each method came to on the trainings of one seed."""
    only = "batch_size=" + ",".join(map(str, half(options.stage)))
    ground = grounds.Ground.of(LAB, options.table, training_seed=training_seed, only=(only,))
    text = ground.text.replace("[training]", f'[training]\nvalue = "{options.value}"')
    ground = dataclasses.replace(ground, text=text)
    limit = methods.Limit(trials=options.trials) if options.trials else methods.Limit(seconds=options.seconds)
    setting = experiments.Setting(limit, options.workers)
    chosen = [methods.Method(plain=name) for name in options.plain]
    for each in options.ours:
        sampler, _, pruner = each.partition("+")
        chosen.append(methods.Method(methods.Part.parse(sampler, "--ours"), methods.Part.parse(pruner, "--ours")))
    surface = ground.surface()
    target = findings.Target.of(surface)
    with progress.Progress() as bar:
        task = bar.add_task(f"training seed {training_seed}")
        records = experiments.run_all(
            ground,
            surface,
            setting,
            chosen,
            range(options.seeds),
            options.output / f"{options.value}.jsonl",
            options.processes,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    return findings.of(records, target, BARS)


def pooled(found: Sequence[findings.Finding], place: int) -> findings.Times:
    """The times of one method to one distance, of all training seeds."""
    times = [each.times[place] for each in found]
    seconds = tuple(itertools.chain(*(each.seconds for each in times)))
    return findings.Times(times[0].bar, times[0].is_expected, seconds, (), None)


def row(found: Sequence[findings.Finding], baseline: Sequence[findings.Finding]) -> str:
    """A method's line of the table."""
    best = numpy.concatenate([each.expected for each in found])
    base = numpy.concatenate([each.expected for each in baseline])
    cells = [found[0].method, f"{best.mean():.4f}, {numpy.quantile(best, 0.1):.4f}"]
    if found[0].method != baseline[0].method:
        cells[-1] += f"{_p(findings.compare(-best, -base))}"
    cells.append(f"{numpy.mean(numpy.concatenate([each.seconds for each in found])):.0f}")
    for place in range(len(BARS), 2 * len(BARS)):
        mine, theirs = pooled(found, place), pooled(baseline, place)
        quartiles = "/".join(_seconds(mine.quantile(share)) for share in (0.25, 0.5, 0.75, 0.9))
        p = None if found[0].method == baseline[0].method else findings.compare(mine.seconds, theirs.seconds)
        cells.append(f"{quartiles}, {mine.share:.0%}{_p(p)}")
    cells.append(f"{numpy.mean(numpy.concatenate([each.poor for each in found])):.0%}")
    return "| " + " | ".join(cells) + " |"


def _p(p: float | None) -> str:
    return "" if p is None else f", p {p:.1g}" if p >= 1e-4 else ", p < 1e-4"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f}" if numpy.isfinite(seconds) else "never"


def main() -> int:
    """Runs what is missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("stage", choices=HALVES)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=700.0)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--table", type=pathlib.Path)
    parser.add_argument(
        "--value", choices=("last", "mean-of-last-3"), default="last", help="by which ours judges trials"
    )
    parser.add_argument("--plain", nargs="*", default=PLAIN)
    parser.add_argument("--ours", nargs="*", default=OURS, metavar="SAMPLER+PRUNER")
    parser.add_argument("--output", type=pathlib.Path, default=HOUSE / "runs" / "search_defaults")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    by_seed = [searched(options, seed) for seed in HALVES[options.stage][1]]
    of = f"{options.trials} trials" if options.trials else f"{options.seconds:.0f} CPU s"
    print(f"batch sizes {half(options.stage)}, {options.workers} worker(s), {of}, {options.seeds} study seeds each\n")
    print("| method | best: mean, worst tenth | CPU s | to 0.5 %: quartiles and 90 %, s | to 0.2 % | on poor ones |")
    print("|---|---|---|---|---|---|")
    by_method = list(zip(*by_seed, strict=True))
    for found in by_method:
        print(row(found, by_method[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
