"""What a command loads: those that only look must not wait for what trains."""

import json
import pathlib
import subprocess
import sys

import mine
import pytest
from conftest import ROOT, quick_text

from search.ledger import studies
from search.storage import databases
from search.study import specs

pytestmark = pytest.mark.slow

# each takes a tenth of a second to some seconds to import
TRAINING = {"torch", "torchvision", "numba", "scipy", "cmaes", "matplotlib", "alembic", "waitress", "optuna_dashboard"}
LOOKING = {"optuna", "sqlalchemy", "numpy", "pydantic", "rich", "psycopg2", "safetensors"}
SHOWN = """
import json, sys
from search.cli import commands
code = commands.main(sys.argv[1:])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        ("--help", TRAINING | LOOKING),
        ("status quick", TRAINING),
        ("list", TRAINING),
        ("enqueue quick depth=0", TRAINING),
        ("work --help", TRAINING),
        ("report --help", TRAINING),
        # the compiled engine does without PyTorch: two seconds and 600 MB a worker
        ("work quick", TRAINING - {"numba", "scipy"}),
        ("work own", TRAINING - {"scipy"}),
    ],
)
def test_a_light_command_loads_nothing_heavy(tmp_path: pathlib.Path, words: str, heavy: set[str]) -> None:
    """Help needs no database, and who looks at a study needs nothing that trains one."""
    url = f"sqlite:///{tmp_path}/search.db"
    database = databases.Database(url)
    studies.create(database, specs.parse(quick_text(trials=1), "quick.toml"))
    mine.write(tmp_path, "def objective(trial):\n    return 0.5\n", trials=1)
    studies.create(database, specs.load(tmp_path / "own.toml"))
    database.close()
    command = [sys.executable, "-c", SHOWN, *words.split()]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "SEARCH_STORAGE": url}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not heavy & set(json.loads(done.stdout.splitlines()[-1]))
