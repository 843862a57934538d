"""Compiled code in Numba's cache."""

import pathlib
import subprocess
import sys

SOURCE = """
from models import caches

@caches.compiled
def twice(x):
    return 2 * x

print(twice(21), sum(twice.stats.cache_hits.values()))
"""


def test_a_broken_cache_is_made_anew(tmp_path: pathlib.Path) -> None:
    """What a full disk left empty or cut stops no worker: it is compiled again, and found by the next process."""
    (tmp_path / "code.py").write_text(SOURCE)

    def run() -> str:
        done = subprocess.run([sys.executable, tmp_path / "code.py"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert [run(), run()] == ["42 0", "42 1"]
    for broken, length in (("nbi", 0), ("nbc", 40)):
        (file,) = (tmp_path / "__pycache__").glob(f"*.{broken}")
        file.write_bytes(file.read_bytes()[:length])
        assert [run(), run()] == ["42 0", "42 1"]
