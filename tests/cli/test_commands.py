"""The command line as a user meets it: answers, exit codes, one-line errors."""

import json
import pathlib
import re

import optuna
import pytest
from conftest import Processes, quick_text

from search import cli

pytestmark = pytest.mark.usefixtures("own_folder")

COMMANDS = ["run", "create", "work", "extend", "pause", "resume", "stop", "enqueue", "status", "list", "upgrade"]


@pytest.fixture
def quick(tmp_path: pathlib.Path) -> str:
    """A study file of a few blinks, as a path."""
    file = tmp_path / "quick.toml"
    file.write_text(quick_text(trials=4))
    return str(file)


def search(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    capsys.readouterr()
    code = cli.main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """`search COMMAND --help` explains itself with an example that can be typed."""
    code, out, _ = search(capsys, command, "--help")
    assert code == 0
    assert re.search(rf"Example:\n +search {command}\b", out)


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """The first page names every command; without arguments it comes too, as wrong use."""
    assert search(capsys, "--help")[0] == 0
    code, _, err = search(capsys)
    assert code == 2
    assert all(command in err for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu", "lab"], "No such command 'rnu'. Did you mean 'run'?"),
        (["run"], "Missing argument 'STUDY'. See `search run --help`."),
        (["run", "labb"], "no study file labb.toml in studies/; did you mean lab?"),
        (["run", "nowhere/x.toml"], "nowhere/x.toml: cannot be read"),
        (["run", "lab", "--workers", "0"], "Invalid value for '--workers'"),
        (["run", "lab", "--storage", "mysql://a:pw@b/c"], "--storage must be sqlite:///FILE or postgresql://"),
        (["create", "lab", "--storage", "sqlite://"], "--storage must name a file"),
        (["status", "lab"], "no database at runs/search.db; `search run STUDY`"),
        (["list"], "no database at runs/search.db"),
        (["extend", "lab"], "extend takes either --trials N or --to N, or --hours H"),
        (["extend", "lab", "--trials", "1", "--to", "2"], "extend takes either --trials N or --to N, or --hours H"),
        (["extend", "lab", "--trials", "-1"], "Invalid value for '--trials'"),
        (["work", "lab", "--storage", "sqlite:///new.db"], "no database at new.db; `search run STUDY` or"),
        (["run", "lab", "--jsn"], "No such option"),
        (["enqueue", "lab"], "enqueue takes either PARAMETER=VALUE... or --trial N"),
        (["enqueue", "lab", "depth=0", "--trial", "1"], "enqueue takes either PARAMETER=VALUE... or --trial N"),
        (["enqueue", "lab", "--trial", "1"], "enqueue --trial takes --repeats K too"),
        (["extend", "lab", "--hours", "0"], "Invalid value for '--hours'"),
        (["pause", "lab"], "no database at runs/search.db"),
    ],
)
def test_wrong_use_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """Wrong use ends with exit code 2 and one line on stderr; nothing is printed as a result."""
    code, out, err = search(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert "pw" not in err
    assert not pathlib.Path("runs").exists()


def test_a_wrong_study_file_leaves_nothing(capsys: pytest.CaptureFixture[str], quick: str) -> None:
    """A file with a mistake is refused before the database is even made."""
    pathlib.Path(quick).write_text(quick_text().replace("epochs = 3", "epochs = 0"))
    code, _, err = search(capsys, "run", quick)
    assert code == 2
    assert err == f"search: {quick}: training.epochs must be >= 1, got 0\n"
    assert not pathlib.Path("runs").exists()


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """--debug puts the traceback before the line."""
    _, _, err = search(capsys, "run", "labb", "--debug")
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("search: no study file")


def test_create_status_extend_list(capsys: pytest.CaptureFixture[str], quick: str) -> None:
    """A study's life without a worker: created, shown, extended, listed, as text and as the contract's JSON."""
    code, out, _ = search(capsys, "create", quick)
    assert (code, "study 'quick' created: 4 trials over 21,120 configurations" in out) == (0, True)
    expected = {
        "name": "quick",
        "budget": 4,
        "trials": {"complete": 0, "pruned": 0, "failed": 0, "running": 0, "waiting": 0},
        "best": None,
    }
    found = json.loads(search(capsys, "status", "quick", "--json")[1])
    assert {key: found[key] for key in expected} == expected
    assert (found["state"], found["workers"], found["orphans"]) == ("active", [], [])
    assert json.loads(search(capsys, "status", quick, "--json")[1]) == found
    assert "0 of 4 trials done" in search(capsys, "status")[1]
    assert (
        "budget 6, 0 done; no worker is alive: `search run quick`"
        in search(capsys, "extend", "quick", "--trials", "2")[1]
    )
    assert json.loads(search(capsys, "extend", "quick", "--to", "5", "--json")[1])["budget"] == 5
    assert [s["budget"] for s in json.loads(search(capsys, "list", "--json")[1])] == [5]
    assert "quick" in search(capsys, "list")[1]
    code, _, err = search(capsys, "create", quick)
    assert (code, "exists already; `search run quick` resumes it" in err) == (2, True)
    code, _, err = search(capsys, "status", "quik")
    assert (code, err) == (2, "search: no study 'quik' in sqlite:///runs/search.db; did you mean quick?\n")


def test_enqueue(capsys: pytest.CaptureFixture[str], quick: str) -> None:
    """A configuration is queued whole or in part; duplicates and mistakes are refused, naming trial, rule and value."""
    search(capsys, "create", quick)
    whole = ["learning_rate=0.1", "batch_size=41", "depth=3", "width=8", "activation=ReLU"]
    code, out, _ = search(capsys, "enqueue", "quick", *whole)
    assert (code, "trial 0 waits with {'learning_rate': 0.1, 'batch_size': 41" in out) == (0, True)
    code, out, err = search(capsys, "enqueue", "quick", "depth=0", "width=8", "--json")
    assert (code, json.loads(out)["params"], json.loads(out)["trials"]["waiting"]) == (0, {"depth": 0}, 2)
    assert "note: width dropped" in err
    for arguments, message in (
        (whole, "study 'quick': trial 0 has this configuration already"),
        (["depth=7"], "enqueue: depth must be an integer from 0 to 6, got 7"),
        (["learning_rate=1"], "enqueue: learning_rate must be one of 0.0001, 0.01, 0.1, got 1.0"),
        (["momentum=0.9"], "enqueue: momentum must be a parameter of the space"),
        (["depth"], "enqueue takes PARAMETER=VALUE, each parameter once, got 'depth'"),
        (["depth=1", "depth=2"], "each parameter once, got 'depth=2'"),
        ([], "enqueue takes either PARAMETER=VALUE... or --trial N"),
    ):
        code, out, err = search(capsys, "enqueue", "quick", *arguments)
        assert (code, out) == (2, "")
        assert message in err
    for size in (1, 2, 3):
        code, out, _ = search(capsys, "enqueue", "quick", f"batch_size={size}")
        assert code == 0
    assert "the budget is given out: `search extend quick --trials 1`" in out
    assert "5 waiting" in search(capsys, "status", "quick")[1]


def test_a_study_of_another_tool_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A plain Optuna study is listed, and named as what it is by who would write to it."""
    pathlib.Path("runs").mkdir()
    optuna.create_study(study_name="theirs", storage="sqlite:///runs/search.db")
    assert [each["state"] for each in json.loads(search(capsys, "list", "--json")[1])] == ["optuna"]
    code, _, err = search(capsys, "pause", "theirs")
    assert (code, "was not made by `search create`" in err) == (2, True)


@pytest.mark.slow
def test_run_resumes_and_refuses_another_file(processes: Processes, quick: str) -> None:
    """Run works the study off; again, it has nothing to do; a file with another space or training is refused."""
    code, output = processes.run("run", quick, "--workers", "2")
    assert code == 0, output
    assert len(re.findall(r"event=(?:complete|pruned)", output)) == 4
    assert "4 of 4 trials done" in output
    assert re.search(r"best: trial \d, accuracy \d\.\d{4}, learning_rate", output)
    assert "search extend quick --trials 10" in output
    code, output = processes.run("run", quick, "--json")
    assert code == 0
    result = json.loads(output.splitlines()[-1])
    assert result["trials"]["complete"] + result["trials"]["pruned"] == 4
    assert result["best"]["value"] > 0.9
    assert set(result["best"]["params"]) >= {"learning_rate", "batch_size", "depth"}
    pathlib.Path(quick).write_text(quick_text(trials=4, epochs=5).replace("high = 6", "high = 4"))
    code, output = processes.run("run", quick)
    assert code == 2
    assert "training.epochs is 3, the file says 5; space.depth is IntDistribution(high=6" in output
    pathlib.Path(quick).write_text(quick_text(trials=4, hopeless="false"))
    code, output = processes.run("run", quick)
    assert code == 0
    assert "note: pruning." in output


@pytest.mark.slow
def test_run_says_what_it_dropped(processes: Processes, quick: str) -> None:
    """An enqueued configuration of depth 0 with a width is trained without it, with a note."""
    more = '[[enqueue]]\nlearning_rate = 0.1\nbatch_size = 32\ndepth = 0\nwidth = 8\nactivation = "ReLU"'
    pathlib.Path(quick).write_text(quick_text(trials=1, more=more))
    code, output = processes.run("run", quick, "--workers", "1")
    assert code == 0
    assert "note: enqueue[0]: width and activation dropped: they do not exist at depth 0" in output
    assert "1 complete" in output


@pytest.mark.slow
def test_without_a_gpu_cuda_is_refused_before_anything_starts(processes: Processes, quick: str) -> None:
    """`--device cuda` on a machine without one is one line and exit code 2; so is an unknown engine."""
    environment = {"CUDA_VISIBLE_DEVICES": ""}
    code, output = processes.run("run", quick, "--device", "cuda", **environment)
    assert code == 2
    assert "search: device 'cuda' is not there" in output
    code, output = processes.run("run", quick, "--engine", "warp")
    names = "auto, reference, cpu, cpu-bf16, cuda, cuda-tf32, cuda-bf16"
    assert (code, f"engine must be one of {names}, got 'warp'" in output) == (2, True)


@pytest.mark.slow
def test_failing_trials_end_the_study_with_its_reason(processes: Processes, quick: str) -> None:
    """Trials that no memory holds are FAIL with reason and traceback after three tries; the third one ends the run."""
    text = quick_text(trials=3, epochs=1, hopeless="false", more="max_failures = 1")
    # 2 ** 31 units need terabytes: a real allocation that fails
    pathlib.Path(quick).write_text(text.replace("[8, 16, 32]", "[2147483647]").replace("low = 0", "low = 1"))
    code, output = processes.run("run", quick, "--workers", "1")
    assert code == 1
    assert "stopped by itself: its last 3 trials failed with the same error, and none ended well: trial 2" in output
    assert output.count("event=fault") == 9
    study = optuna.load_study(study_name="quick", storage=processes.url)
    failed = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.FAIL]
    assert len(failed) == 3
    assert all("Unable to allocate" in trial.user_attrs["search:reason"] for trial in failed)
    assert all("Traceback" in trial.user_attrs["search:traceback"] for trial in failed)


@pytest.mark.slow
def test_stay_waits_for_an_extension(processes: Processes, quick: str) -> None:
    """`work --stay` goes on when the study is extended, without being started again."""
    from processes import until

    from search.ledger import studies, summaries
    from search.storage import databases

    assert processes.run("create", quick)[0] == 0
    worker = processes.start("work", "quick", "--stay")
    database = databases.Database(processes.url)
    study = studies.find(database, "quick")
    assert study is not None
    until(lambda: summaries.whole(database, study).done == 4)
    assert worker.poll() is None
    assert processes.run("extend", "quick", "--trials", "2")[0] == 0
    until(lambda: summaries.whole(database, study).done == 6)
    worker.terminate()
    assert worker.wait(10) == 0


def test_repeats_of_a_trial(capsys: pytest.CaptureFixture[str], quick: str) -> None:
    """`enqueue --trial N --repeats K` trains that configuration again with other seeds, and the table says which."""
    assert search(capsys, "create", quick)[0] == 0
    settings = ["learning_rate=0.1", "batch_size=7", "depth=1", "width=16", "activation=ReLU"]
    assert search(capsys, "enqueue", "quick", *settings)[0] == 0
    code, out, _ = search(capsys, "enqueue", "quick", "--trial", "0", "--repeats", "2")
    assert code == 0
    assert "trials 1 and 2 wait with {'learning_rate': 0.1" in out
    assert search(capsys, "work", "quick")[0] == 0
    found = json.loads(search(capsys, "status", "quick", "--json")[1])
    assert found["trials"]["complete"] + found["trials"]["pruned"] == 4
    trials = optuna.load_study(study_name="quick", storage="sqlite:///runs/search.db").trials
    assert [t.user_attrs.get("search:repeat") for t in trials] == [None, 1, 2, None]
    assert trials[0].params == trials[1].params == trials[2].params
    assert len({t.user_attrs["search:avg_loss"] for t in trials[:3]}) == 3  # other seeds, other numbers
    assert re.search(r"#\s*state\s.* rep ", search(capsys, "status", "quick")[1])
    code, _, err = search(capsys, "enqueue", "quick", "--trial", "9", "--repeats", "2")
    assert (code, "--trial must name a trial of study 'quick' with a configuration (it has 4), got 9" in err) == (
        2,
        True,
    )


def test_an_exhausted_space_and_used_up_hours_are_said(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    """A budget larger than the space, or hours that are over: the study ends with exit code 0, and status says why."""
    small = quick_text(name="small", trials=9, hopeless="false").replace("depth = { low = 0, high = 6 }", "depth = [0]")
    (tmp_path / "small.toml").write_text(small.replace("batch_size = { low = 1, high = 128 }", "batch_size = [32]"))
    assert search(capsys, "create", "small.toml")[0] == 0
    assert search(capsys, "work", "small")[0] == 0
    out = search(capsys, "status", "small")[1]
    assert "3 of 9 trials done (3 complete)" in out
    assert "all 3 configurations of the space have been tried" in out
    (tmp_path / "short.toml").write_text(quick_text(name="short", trials=500, more="hours = 0.00001"))
    assert search(capsys, "create", "short.toml")[0] == 0
    assert search(capsys, "work", "short")[0] == 0
    found = json.loads(search(capsys, "status", "short", "--json")[1])
    assert 0 < sum(found["trials"].values()) < 500
    assert found["training_seconds"] >= 0.036
    assert "budget.hours is used up: `search extend short --hours H`" in search(capsys, "status", "short")[1]
    assert search(capsys, "extend", "short", "--hours", "0.00001")[0] == 0
    assert search(capsys, "work", "short")[0] == 0
    assert json.loads(search(capsys, "status", "short", "--json")[1])["training_seconds"] >= 0.072


def test_the_option_that_mends_it_is_named(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """`models/` says what is wrong with a data folder; the command line says which option takes another."""
    (tmp_path / "lab.toml").write_text(quick_text().replace('dataset = "synthetic"', 'dataset = "fashion-mnist"'))
    raw = tmp_path / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(b"foreign")
    code, _, err = search(capsys, "run", str(tmp_path / "lab.toml"), "--data-dir", str(tmp_path / "data"))
    assert code == 2
    assert err.endswith("delete it, or take another data folder; --data-dir takes another folder\n")
    assert err.count("\n") == 1
