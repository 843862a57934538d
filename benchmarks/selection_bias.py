"""How far the best of several means lies above what it is worth, as it is and corrected.

    .venv/bin/python benchmarks/selection_bias.py            # --studies 2000 for a quick look

Configurations with true accuracies of some spread are measured over some seeds. A seed's noise is the configuration's
own, or partly common to all of them (facts of the lab's networks: 0.004 in all, most of it common). The best mean is
chosen, and each method says what it is worth. Printed in units of 0.0001 of accuracy: the mean error (bias), its root
mean square, and how often the 95 % interval holds the truth.

Methods: `raw`, the best mean itself; `halves`, what `search confirm` prints (`search/reports/corrections.py`);
`leave one out`, each seed judges what all others chose; `one split`, the first half chooses and the second judges;
`Tibshirani` (Tibshirani and Tibshirani, Annals of Applied Statistics 3, 2009), the raw figure less what each seed alone
would have gained; `James-Stein`, the means shrunk to their mean with the noise known from within.
"""

import argparse
import functools
from collections.abc import Callable

import numpy
from scipy import stats

from search.reports import corrections

Values = numpy.ndarray  # (configurations, seeds)
Method = Callable[[Values], tuple[float, float]]  # what the best is worth, and half the width of its interval
TENTHOUSANDTH = 1e4


def main() -> None:
    """Prints a line for each setting and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=20_000, help="simulated of each setting")
    parser.add_argument("--configurations", type=int, default=5)
    studies = parser.parse_args()
    print("seeds  own noise  common  true spread  method           bias    rms  covered")
    for seeds in (2, 3, 5, 10):
        for own, common in ((0.004, 0.0), (0.002, 0.0035)):
            for spread in (0.0, 0.001, 0.004):
                errors = simulate(studies.studies, studies.configurations, seeds, own, common, spread)
                for name, (bias, rms, covered) in errors.items():
                    setting = f"{seeds:>5}  {own:>9}  {common:>6}  {spread:>11}"
                    print(f"{setting}  {name:<13}  {bias:>+6.2f}  {rms:>5.1f}  {covered:>7.1%}", flush=True)


def simulate(
    studies: int, configurations: int, seeds: int, own: float, common: float, spread: float
) -> dict[str, tuple[float, float, float]]:
    """By method its bias, the root mean square of its error, both in 0.0001, and the share that its interval covers."""
    draw = numpy.random.default_rng(0)
    errors: dict[str, list[tuple[float, bool]]] = {name: [] for name in METHODS}
    for _ in range(studies):
        truth = draw.normal(0.88, spread, configurations)
        noise = draw.normal(0, own, (configurations, seeds)) + draw.normal(0, common, seeds)
        values = truth[:, None] + noise
        worth = truth[values.mean(axis=1).argmax()]
        for name, method in METHODS.items():
            found, half = method(values)
            errors[name].append((found - worth, abs(found - worth) <= half))
    result = {}
    for name, rows in errors.items():
        off, holds = (numpy.array(column) for column in zip(*rows, strict=True))
        rms = float(numpy.sqrt((off**2).mean()))
        result[name] = (TENTHOUSANDTH * float(off.mean()), TENTHOUSANDTH * rms, float(holds.mean()))
    return result


@functools.cache
def _quantile(seeds: int) -> float:
    return float(stats.t.ppf(0.975, seeds - 1))


def _half(values: numpy.ndarray) -> float:
    return _quantile(len(values)) * float(values.std(ddof=1)) / len(values) ** 0.5


def _best(values: Values) -> numpy.ndarray:
    return values[values.mean(axis=1).argmax()]


def _raw(values: Values) -> tuple[float, float]:
    best = _best(values)
    return float(best.mean()), _half(best)


def _halves(values: Values) -> tuple[float, float]:
    found = corrections.best([dict(enumerate(each.tolist())) for each in values])
    assert found is not None
    return found.mean, found.half


def _leave_one_out(values: Values) -> tuple[float, float]:
    sums = values.sum(axis=1)
    judged = [values[(sums - values[:, seed]).argmax(), seed] for seed in range(values.shape[1])]
    return float(numpy.mean(judged)), _half(numpy.array(judged))


def _one_split(values: Values) -> tuple[float, float]:
    first = (values.shape[1] + 1) // 2
    return float(values[values[:, :first].mean(axis=1).argmax(), first:].mean()), _half(_best(values))


def _tibshirani(values: Values) -> tuple[float, float]:
    best = _best(values)
    return float(best.mean() - (values.max(axis=0) - best).mean()), _half(best)


def _james_stein(values: Values) -> tuple[float, float]:
    (configurations, seeds), means = values.shape, values.mean(axis=1)
    rest = values - means[:, None] - values.mean(axis=0) + values.mean()
    noise = (rest**2).sum() / ((configurations - 1) * (seeds - 1)) / seeds
    kept = max(0.0, 1 - (configurations - 3) * noise / ((means - means.mean()) ** 2).sum())
    return float(means.mean() + kept * (means.max() - means.mean())), _half(_best(values))


METHODS: dict[str, Method] = {
    "raw": _raw,
    "halves": _halves,
    "leave one out": _leave_one_out,
    "one split": _one_split,
    "Tibshirani": _tibshirani,
    "James-Stein": _james_stein,
}

if __name__ == "__main__":
    main()
