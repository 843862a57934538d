"""`search publish` as it is typed: what it prints, and its mistakes, each a line."""

import json
import pathlib
import subprocess
import sys

import publishing
import pytest
from publishing import add

from search import cli
from search.storage import databases

URL = "sqlite:///search.db"


@pytest.fixture
def study(own_folder: None) -> databases.Database:
    """One in this folder."""
    database = databases.Database(URL)
    publishing.create(database)
    add(database)
    return database


def search(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.main([*words, "--storage", URL])
    return code, *capfd.readouterr()


def test_what_it_prints(study: databases.Database, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A line a place, or JSON."""
    to = ("--to", "tensorboard:board")
    line = f"study 'own' at tensorboard:{tmp_path}/board: 1 new, 0 updated, 0 unchanged\n"
    assert search(capfd, "publish", "own", *to) == (0, line, "")
    code, out, _ = search(capfd, "publish", "own", *to, "--json")
    assert (code, json.loads(out)) == (
        0,
        [{"study": "own", "to": f"tensorboard:{tmp_path}/board", "new": 0, "updated": 0, "unchanged": 1, "waiting": 0}],
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody", "--to", "tensorboard:board"], "no study 'nobody' in sqlite:///search.db"),
        (
            ["own"],
            "as the file of study 'own' has no [publish] to",
        ),
        (["own", "--to", "board"], "--to must be mlflow:URI, tensorboard:FOLDER or wandb:FOLDER, got 'board'"),
        (["own", "--to", "mlflow:http://me:secret@host"], "--to must hold no user, password or option"),
        (["own", "--to", "tensorboard:search.db"], "/search.db cannot be written: File exists"),
        (["own", "--to", "tensorboard:board", "--follow", "--json"], "--json must not stand beside --follow"),
    ],
)
def test_a_mistake_is_a_line(
    study: databases.Database, capfd: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """On stderr, with exit code 2."""
    code, out, err = search(capfd, "publish", *words)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert said in err
    assert "secret" not in err


def test_what_does_not_answer_keeps_no_other_place_from_it(
    study: databases.Database, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A line for each place, exit code 1, and nothing of what libraries say of each try."""
    dead = ("--to", "mlflow:http://127.0.0.1:9")
    said = "search: --to mlflow:http://127.0.0.1:9 does not answer: connection refused\n"
    assert search(capfd, "publish", "own", *dead) == (1, "", said)
    board, file = ("--to", "tensorboard:board"), ("--to", "tensorboard:search.db")
    line = f"study 'own' at tensorboard:{tmp_path}/board: 1 new, 0 updated, 0 unchanged\n"
    assert search(capfd, "publish", "own", *board, *dead) == (1, line, said)
    code, out, err = search(capfd, "publish", "own", *board, *file, "--json")
    assert (code, [each["unchanged"] for each in json.loads(out)]) == (1, [1])
    assert err.endswith("/search.db cannot be written: File exists\n")


def test_a_disk_that_is_full_is_a_line(study: databases.Database, tmp_path: pathlib.Path) -> None:
    """Not a traceback for each line that wandb's own log could not take: here no file may have more than 1 KiB."""
    command = [sys.executable, "-B", "-m", "search", "publish", "own", "--to", "wandb:runs", "--storage", URL]
    limited = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *command]
    told = subprocess.run(limited, capture_output=True, text=True, timeout=120, check=False)
    said = f"search: --to wandb:{tmp_path}/runs cannot be written: File too large\n"
    assert (told.returncode, told.stdout, told.stderr) == (2, "", said)


@pytest.mark.parametrize(
    ("module", "to", "extra"),
    [
        ("mlflow.tracking", "mlflow:http://127.0.0.1:9", "mlflow"),
        ("tensorboard.compat.proto.event_pb2", "tensorboard:board", "tensorboard"),
        ("wandb", "wandb:runs", "wandb"),
    ],
)
def test_a_library_that_is_missing_is_named(
    study: databases.Database,
    tmp_path: pathlib.Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    to: str,
    extra: str,
) -> None:
    """With what installs it; nothing is written."""
    monkeypatch.setitem(sys.modules, module, None)
    before = sorted(tmp_path.iterdir())
    code, _, err = search(capfd, "publish", "own", "--to", to)
    assert code == 2
    assert f"publishing to {extra} needs its library" in err
    assert err.endswith(f": pip install 'optuna-search-service[{extra}]'\n")
    assert sorted(tmp_path.iterdir()) == before
