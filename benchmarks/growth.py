"""How commands and workers grow with the trials of a study: one of 50,000 made in seconds, and what it costs.

    python benchmarks/growth.py fill --storage sqlite:///big.db --trials 50000

`fill` makes a study of the lab's space with the rows that our workers would have left: states, parameters, values by
epoch, attributes and claims, of a formula with noise instead of trainings.
"""

import argparse
import sys
import time

from filled_studies import MOST_LISTED, create, fill

from search.storage import databases

__all__ = ["create", "fill"]


def main() -> int:
    """Fills a study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    filling = commands.add_parser("fill", help="make a study with many trials")
    filling.add_argument("--storage", required=True, metavar="URL")
    filling.add_argument("--trials", type=int, required=True)
    filling.add_argument("--name", default="growth")
    filling.add_argument("--listed", action="store_true", help="the lab's three learning rates, for 15,000 at most")
    options = parser.parse_args()
    if options.listed and options.trials > MOST_LISTED:
        parser.error(f"--trials must be at most {MOST_LISTED} with --listed, got {options.trials}")
    database = databases.Database(options.storage)
    started = time.perf_counter()
    study = create(database, options.name, options.trials, options.listed)
    fill(database, study, options.trials, quiet=not sys.stderr.isatty())
    print(f"study {options.name!r}: {options.trials} trials in {time.perf_counter() - started:.1f} s")
    database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
