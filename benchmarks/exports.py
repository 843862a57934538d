"""What `search export-trials` costs, by format and number of trials: seconds, megabytes of memory and of the file.

    python benchmarks/exports.py --sizes 5000 50000

The studies are those of growth.py, ten epochs a trial, on SQLite. Each export is a process of its own, curves included;
memory is the most that it ever had, all that Python and its libraries take included.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import growth

from search.storage import databases

ROOT = pathlib.Path(__file__).resolve().parent.parent
FORMATS = ("csv", "jsonl", "parquet")
EXPORT = """
import json, resource, sys, time
import search
began = time.perf_counter()
search.export_trials("growth", sys.argv[2], curves=sys.argv[3], storage=sys.argv[1])
seconds = time.perf_counter() - began
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 50_000])
    sizes: list[int] = parser.parse_args().sizes
    print("| trials | format | seconds | memory, MB | trials' file, MB | curves' file, MB |\n|---|---|---|---|---|---|")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/search.db"
            database = databases.Database(url)
            growth.fill(database, growth.create(database, trials=size), size)
            database.close()
            for ending in FORMATS:
                files = [pathlib.Path(folder, f"{name}.{ending}") for name in ("trials", "curves")]
                command = [sys.executable, "-c", EXPORT, url, *map(str, files)]
                done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
                seconds, memory = json.loads(done.stdout)
                large = " | ".join(f"{file.stat().st_size / 1e6:.1f}" for file in files)
                print(f"| {size:,} | {ending} | {seconds:.1f} | {memory:.0f} | {large} |", flush=True)


if __name__ == "__main__":
    main()
