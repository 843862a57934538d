"""Duplicates, and the time of a claim, over a long study of the lab's space: TPE, several workers, one Postgres.

    python benchmarks/claim_times.py --trials 1000 --workers 4

The objective is a formula of the parameters, so that TPE has something to learn and proposes the same again.
"""

import argparse
import collections
import multiprocessing
import statistics
import sys
import threading
import time
from typing import Any

import trials_per_second as peer

WINDOWS = ((80, 120), (480, 520), (960, 1000))
BY_RATE = {1e-4: 0.30, 1e-2: 0.70, 1e-1: 0.85}
BY_WIDTH = {None: 0.0, 32: 0.0, 128: 0.01, 512: 0.02}


def formula(params: dict[str, Any]) -> float:
    """Something like the lab's landscape, best at (0.1, 32, 2, 512)."""
    return (
        BY_RATE[params["learning_rate"]]
        - 0.02 * abs(params["depth"] - 2)
        - 0.001 * abs(params["batch_size"] - 32)
        + BY_WIDTH[params.get("width")]
    )


def work(url: str, name: str) -> list[tuple[int, str, float]]:
    """One worker's `(trial, part, seconds)`, until the study is finished."""
    from optuna.trial import TrialState

    from search.ledger import allocations, claims, configurations, presence, studies
    from search.storage import databases

    database = databases.Database(url)
    study = studies.find(database, name)
    if study is None:
        raise LookupError(name)
    me, watch, history = presence.Identity.this(), presence.Watch(), database.history(study.study_id)
    times = []
    while True:
        started = time.perf_counter()
        claim = allocations.take(database, study, me, watch)
        if claim is allocations.NoTrial.WAIT:
            threading.Event().wait(0.05)
            continue
        if not isinstance(claim, claims.Claim):
            return times
        claimed = time.perf_counter()
        params = configurations.configure(database, study, claim, history)
        configured = time.perf_counter()
        claims.tell(database, claim, TrialState.COMPLETE, formula(params), {})
        times.append((claim.number, "claim", claimed - started))
        times.append((claim.number, "configure", configured - claimed))


def main() -> int:
    """Prints the number of duplicates, and the median and highest times in three windows of trials."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    from search.ledger import studies, summaries
    from search.storage import databases

    with peer.a_postgres() as url:
        name = peer.new_study(url, options.trials, "tpe")
        started = time.perf_counter()
        with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
            times = [one for each in pool.starmap(work, [(url, name)] * options.workers) for one in each]
        taken = time.perf_counter() - started
        database = databases.Database(url)
        study = studies.find(database, name)
        if study is None:
            raise LookupError(name)
        trials = summaries.whole(database, study).trials
        database.close()
    keys = collections.Counter(study.spec.space.key(trial.params) for trial in trials)
    print(f"{len(trials)} trials by {options.workers} workers in {taken:.1f} s, {len(trials) - len(keys)} duplicates")
    for low, high in WINDOWS:
        for part in ("claim", "configure"):
            if window := [1000 * seconds for number, kind, seconds in times if kind == part and low <= number < high]:
                median, worst = statistics.median(window), max(window)
                print(f"trials {low:>4}-{high:<4} {part:<9} median {median:6.1f} ms, highest {worst:6.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
