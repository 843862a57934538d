"""The service in real containers: the project's own Dockerfile and compose file, four workers, FashionMNIST."""

import json
import logging
import pathlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import container_engine
import kubelet
import manifests
import pytest
from conftest import ROOT
from container_services import Service, until, worker_of

log = logging.getLogger(__name__)
pytestmark = [
    pytest.mark.containers,
    pytest.mark.slow,
    pytest.mark.timeout(1500),
]

FILES = (
    "Dockerfile",
    ".dockerignore",
    "docker-compose.yml",
    "compose.own.yaml",
    "Makefile",
    "README.md",
    "constraints.txt",
    "hashes.txt",
    "hashes-torch.txt",
    "pyproject.toml",
    "optuna_search_service.py",
    "deploy/entrypoint.sh",
    "deploy/own.Dockerfile",
)
FOLDERS = ("models", "search", "studies")
TRIALS = 24
# some seconds a trial: a kill hits one that runs
STUDY = f"""
[study]
name = "proof"
seed = 3

[training]
dataset = "fashion-mnist"
epochs = 8
evaluate_on = "test"

[space]
learning_rate = [1e-4, 1e-2, 1e-1]
batch_size = {{ low = 4, high = 12 }}
depth = {{ low = 1, high = 6 }}
width = {{ choices = [32, 64, 128] }}
activation = {{ choices = ["ReLU", "Sigmoid", "GELU"] }}

[sampler]
name = "random"

[budget]
trials = {TRIALS}
"""
# a function that is there in every image, and does harm
FOREIGN = """
objective = "os:remove"

[study]
name = "foreign"

[space]
x = [1, 2]

[sampler]
name = "random"

[budget]
trials = 1
"""

# code of the user's own, which needs a package that the image lacks
OWN = {
    "requirements.txt": "funcy\n",
    "train.py": """
import pathlib
import time

import funcy


def objective(trial):
    time.sleep(1)
    if pathlib.Path("/store/trials").exists():
        pathlib.Path("/tmp/kept.txt").write_text(f"x is {trial.params['x']}")
        trial.artifact("/tmp/kept.txt")
    return float(funcy.last([0, trial.params["x"]]) * TIMES)
""",
    "study.toml": """
objective = "train:objective"

[study]
name = "own"

[space]
x = { low = 1, high = 1000 }

[sampler]
name = "random"

[budget]
trials = 12
""",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, data_dir: pathlib.Path) -> Iterator[Service]:
    from models import sources

    folder = tmp_path_factory.mktemp("project")
    for name in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "studies" / "proof.toml").write_text(STUDY)
    (folder / "studies" / "foreign.toml").write_text(FOREIGN)
    for file in sources.find(data_dir).values():
        (folder / "fashion").mkdir(exist_ok=True)
        shutil.copy(file, folder / "fashion")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = f"STUDY=proof\nDATA_FOLDER=./fashion\nDASHBOARD_PORT={port}\nCOMPOSE_PROJECT_NAME=proof{port}\n"
    (folder / ".env").write_text(settings)
    # readable for the user of the containers, whatever the umask
    subprocess.run(["chmod", "-R", "a+rX", folder.parent], check=True)
    with container_engine.running() as engine:
        here = Service(engine, folder, port)
        yield here
        here.compose("down", "--volumes", "--timeout", "5")


def test_without_a_secret_nothing_starts(service: Service) -> None:
    """`up` before `make secrets` ends with a line that names the file, and leaves nothing running."""
    done = service.compose("up", "--detach", "--no-build", "db")
    assert done.returncode != 0
    assert "secrets/db-password" in done.stderr
    assert service.must("ps", "--quiet").split() == []


def test_it_builds(service: Service) -> None:
    """The Dockerfile builds; the image has no compiler and runs as nobody special."""
    subprocess.run(["make", "--silent", "secrets"], cwd=service.folder, check=True)
    before = (service.folder / "secrets" / "db-password").read_text()
    subprocess.run(["make", "--silent", "secrets"], cwd=service.folder, check=True)
    assert (service.folder / "secrets" / "db-password").read_text() == before
    started = time.monotonic()
    service.must("build")
    log.info("built in %.0f s", time.monotonic() - started)
    image = "optuna-search-service:local"
    run = ("run", "--rm", "--read-only", image)
    words = service.engine.docker(*run, "sh", "-c", "id -u; command -v cc gcc clang; true", capture_output=True)
    assert words.stdout.split() == ["10001"]


def test_four_workers_keep_the_budget(service: Service) -> None:
    """One up: a study made once, four workers that share it, a kill and an outage of Postgres that cost no trial."""
    service.must("up", "--detach", "--scale", "worker=4")
    until(lambda: service.metric("search_workers_alive") == 4)
    until(lambda: service.metric('search_trials{state="running"') == 4)
    assert service.get("/dashboard")[0] == 200
    assert service.get("/api/studies", "POST")[0] == 405
    assert service.get("/api/studies", Host="evil.example")[0] == 400
    assert service.metric("search_budget_trials") == TRIALS

    victim = worker_of(service.engine, service.workers()[0])
    victim.send_signal(signal.SIGKILL)
    victim.wait(20)
    until(lambda: service.metric("search_adoptions_total") == 1)

    until(lambda: service.done() >= 5)
    service.must("stop", "db")
    time.sleep(20)
    assert service.get("/healthz")[0] == 503
    assert len(service.workers()) == 4
    service.must("start", "db")
    until(lambda: service.get("/healthz")[0] == 200)
    until(lambda: service.done() >= TRIALS, 400)
    time.sleep(3)  # a trial too many would have begun by now

    seen = service.status()
    assert seen["trials"]["complete"] + seen["trials"]["pruned"] == TRIALS
    assert [seen["trials"][state] for state in ("failed", "running", "waiting")] == [0, 0, 0]
    assert service.metric("search_adoptions_total") == 1
    detail = json.loads(service.get("/api/studies/1?after=0")[1])
    names = {a["value"] for trial in detail["trials"] for a in trial["user_attrs"] if a["key"] == "search:worker"}
    hosts = {name.partition(":")[0] for name in names}
    assert hosts == {container[:12] for container in service.workers()}  # every worker took part
    curves = [trial["artifacts"] for trial in detail["trials"] if trial["intermediate_values"]]
    assert all(len(each) == 1 for each in curves)
    assert "Traceback" not in service.logs()
    for container in service.workers():  # the engine came compiled: nothing was added to the copy
        service.engine.docker("exec", container, "diff", "--recursive", "/opt/engine", "/tmp/engine")


def test_containers_are_locked(service: Service) -> None:
    """No capabilities, nothing to write to, no way from the database or a worker to the outside."""

    def inside(name: str, command: str) -> str:
        return service.must("exec", "-T", name, "sh", "-c", command)

    for name in ("db", "worker", "dashboard"):
        state = dict(line.split(":\t", 1) for line in inside(name, "cat /proc/self/status").splitlines())
        assert {state[key] for key in ("CapPrm", "CapEff", "CapBnd")} == {"0" * 16}, name
        assert state["NoNewPrivs"] == "1"
        assert inside(name, "touch /written 2>&1 || true").endswith("Read-only file system\n")
        (container, *_) = service.must("ps", "--quiet", name).split()
        (found,) = json.loads(service.engine.docker("inspect", container, capture_output=True).stdout)
        names = found["NetworkSettings"]["Networks"]
        networks = json.loads(service.engine.docker("network", "inspect", *names, capture_output=True).stdout)
        ways_out = [each["Options"] for each in networks if not each["Internal"]]
        unanswered = {"com.docker.network.bridge.enable_ip_masquerade": "false"}
        assert ways_out == ([unanswered] if name == "dashboard" else [])
    assert "Read-only file system" in inside("worker", "touch /data/written 2>&1 || true")
    assert "/tmp tmpfs" in inside("worker", "cat /proc/mounts")
    assert inside("worker", "echo $NUMBA_CACHE_DIR; ls $NUMBA_CACHE_DIR").split()[0] == "/tmp/engine"
    assert "FashionMNIST is in /data" in service.must("logs", "--no-color", "fetch")


def test_an_extension_is_taken_up(service: Service) -> None:
    """Waiting workers go on with an extension, and those that `up --scale` adds take part."""
    service.must("up", "--detach", "--scale", "worker=6")
    until(lambda: service.metric("search_workers_alive") == 6)
    code, lines = service.search("extend", "proof", "--trials", "8")
    assert (code, "6 workers alive" in lines[-1]) == (0, True)
    until(lambda: service.done() == TRIALS + 8)
    assert "is there: 24 of 24 trials done" in service.must("logs", "--no-color", "create")


def test_down_and_up_go_on(service: Service) -> None:
    """`down` hands the running trials over, all within 15 s, exit code 0; `up` goes on with them."""
    service.search("extend", "proof", "--trials", "12")
    until(lambda: (service.metric('search_trials{state="running"') or 0) >= 4)
    until(service.is_between_epochs)  # or there is nothing to go on from
    workers = service.workers()
    started = time.monotonic()
    service.must("stop", "worker")
    codes = [
        service.engine.docker("inspect", "--format", "{{.State.ExitCode}}", each, capture_output=True).stdout.strip()
        for each in workers
    ]
    service.must("down")
    took = time.monotonic() - started
    log.info("stop and down of %d workers: %.1f s", len(workers), took)
    assert took < 15
    assert set(codes) == {"0"}
    service.must("up", "--detach", "--scale", "worker=4")
    until(lambda: service.done() == TRIALS + 20)
    seen = service.status()
    assert [seen["trials"][state] for state in ("failed", "running", "waiting")] == [0, 0, 0]
    assert service.metric("search_adoptions_total") == 1  # handed over, not lost
    assert "event=handed-over" not in service.logs()  # those of the containers before
    assert "event=resumed" in service.logs()
    service.must("up", "--detach", "--wait", "--no-recreate", "--scale", "worker=4", "worker", "dashboard")  # healthy


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("work", "nosuch"), {}, "no study 'nosuch' in postgresql://search:***@db/search; there are proof"),
        (("work", "proof"), {"SEARCH_STORAGE_PASSWORD_FILE": "/etc/hostname"}, "password authentication failed"),
        (("status",), {"SEARCH_STORAGE_PASSWORD_FILE": "/run/secrets/none"}, "cannot be read: No such file"),
        (("status",), {"SEARCH_STORAGE": "postgresql://search@nowhere/search"}, "stayed away for 10 s"),
        (("work", "proof"), {"SEARCH_DEVICE": "cuda"}, "cuda"),
        (("create", "nosuch"), {}, "no study file nosuch.toml"),
        (("dashboard", "--host", "192.0.2.1"), {}, "cannot be listened on"),
    ],
)
def test_mistakes_end_in_one_line(
    service: Service, arguments: tuple[str, ...], environment: dict[str, str], words: str
) -> None:
    """A wrong name, password, secret, address, device or port: one line in the log, and an exit code that is not 0."""
    code, lines = service.search(*arguments, **environment)
    assert code != 0
    assert len(lines) == 1, lines
    assert words in lines[0]


def test_what_the_database_names_is_not_run(service: Service) -> None:
    """A study with an objective that nobody here allowed is refused in one line."""
    assert service.search("create", "foreign")[0] == 0
    for given in ({}, {"SEARCH_ALLOW_OBJECTIVES": ""}):
        code, lines = service.search("work", "foreign", **given)
        assert (code, len(lines)) == (2, 1)
        assert "SEARCH_ALLOW_OBJECTIVES" in lines[0]
        assert "'os:remove' where 'none' may run" in lines[0]


def test_a_taken_port_is_told(service: Service) -> None:
    """A dashboard port that another program has: docker's own line, and a failure."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        given = {**service.engine.env, "DASHBOARD_PORT": str(port)}
        done = service.compose("up", "--detach", "dashboard", env=given)
    assert done.returncode != 0
    assert f"127.0.0.1:{port}" in done.stderr


def test_code_of_the_users_own(service: Service) -> None:
    """A folder with a study, a module and requirements: two workers share it; an edit needs no build."""
    (service.folder / "mycode").mkdir()
    for name, text in OWN.items():
        (service.folder / "mycode" / name).write_text(text.replace("TIMES", "1"))
    subprocess.run(["chmod", "-R", "a+rX", service.folder / "mycode"], check=True)
    given = {"OWN": "./mycode", "STUDY": "study.toml", "ALLOW_OBJECTIVES": "train:objective"}

    def compose(*arguments: str) -> str:
        files = ("-f", "docker-compose.yml", "-f", "compose.own.yaml")
        done = service.compose(*files, *arguments, env={**service.engine.env, **given})
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def shown() -> list[dict[str, Any]]:
        found = json.loads(service.get("/api/studies")[1])["study_summaries"]
        (own,) = (each["study_id"] for each in found if each["study_name"] == "own")
        return list(json.loads(service.get(f"/api/studies/{own}?after=0")[1])["trials"])

    def trials() -> list[tuple[str, float]]:
        return [(trial["params"][0]["param_external_value"], trial["values"][0]) for trial in shown()]

    def ended() -> float | None:
        return service.metric('search_trials{state="complete",study="own"}')

    compose("up", "--detach", "--build", "--scale", "worker=2")
    until(lambda: ended() == 12)
    assert service.metric('search_todo_trials{study="own"}') == 0
    time.sleep(1)  # a trial too many would have begun by now
    assert [len(trials()), *(float(x) == value for x, value in trials())] == [12, *[True] * 12]
    logs = {worker: service.engine.docker("logs", worker, capture_output=True) for worker in service.workers()}
    ran = [(each.stdout + each.stderr).count("event=complete") for each in logs.values()]
    assert (len(ran), sum(ran), all(ran)) == (2, 12, True)
    assert compose("exec", "-T", "worker", "id", "-u").strip() == "10001"
    for trial, (x, _) in zip(shown(), trials(), strict=True):
        (kept,) = trial["artifacts"]
        place = f"/artifacts/{trial['study_id']}/{trial['trial_id']}/{kept['artifact_id']}"
        assert (kept["filename"], service.get(place)) == ("kept.txt", (200, f"x is {x}"))
    assert "Read-only" in compose("exec", "-T", "worker", "sh", "-c", "touch /own/new 2>&1; touch /new 2>&1; true")

    def image() -> str:
        return service.engine.docker(
            "inspect", "--format", "{{.Image}}", service.workers()[0], capture_output=True
        ).stdout

    built = image()
    (service.folder / "mycode" / "train.py").write_text(OWN["train.py"].replace("TIMES", "-1"))
    compose("restart", "worker")
    assert service.search("extend", "own", "--trials", "4")[0] == 0
    until(lambda: ended() == 16)
    assert [value == -float(x) for x, value in trials()[12:]] == [True] * 4
    assert image() == built

    build = ("build", "--quiet", "--file", "deploy/own.Dockerfile", "--tag", "mine:1", "mycode")
    service.engine.docker(*build, cwd=service.folder, capture_output=True)
    run = ("run", "--rm", "--read-only", "mine:1", "sh", "-c", "id -u; pwd; python -c 'import train'; ls")
    words = service.engine.docker(*run, capture_output=True).stdout.split()
    assert words == ["10001", "/own", *sorted(OWN)]


PROGRAM = """
command = ["python", "program.py", "{x}"]
metric = { from = "stdout", pattern = "value (.*)" }
"""
CODE = "FROM python:3.13-slim-trixie\nCOPY . /code\nRUN pip install --target /code/lib -r /code/requirements.txt\n"


@pytest.mark.parametrize(
    ("image", "settings"),
    [
        ("mine:1", ("image.repository=mine", "image.tag=1", "allowObjectives=train:objective")),
        (
            "code:1",
            ("own.initImage=code:1", "allowObjectives=command:*", 'env=[{"name":"PYTHONPATH","value":"/own/lib"}]'),
        ),
    ],
)
def test_pods_of_the_chart_run_code_of_the_users_own(
    service: Service, image: str, settings: tuple[str, ...], tmp_path: pathlib.Path
) -> None:
    """The chart's Job, its containers as a node starts them: code there, study made, all trials, of a program too."""
    folder, name = service.folder / "mycode", f"pods-{image.partition(':')[0]}"
    text = OWN["study.toml"].replace('"own"', f'"{name}"').replace("12", "3")
    if image == "code:1":
        text = text.replace('objective = "train:objective"', PROGRAM)
        (folder / "program.py").write_text("import sys, train\nprint('value', train.funcy.last(sys.argv))\n")
    (folder / "study.toml").write_text(text)
    (folder / "Code.Dockerfile").write_text(CODE)
    file = {"mine:1": "deploy/own.Dockerfile", "code:1": "mycode/Code.Dockerfile"}[image]
    build = ("build", "--quiet", "--file", file, "--tag", image, "mycode")
    service.engine.docker(*build, cwd=service.folder, capture_output=True)

    found = manifests.templated("study=study.toml", *settings)
    (given,) = (each["data"] for each in found if each["kind"] == "ConfigMap")
    (pod,) = (pod for pod in manifests.pods(found) if pod["containers"][0]["name"] == "worker")
    password = (service.folder / "secrets" / "db-password").read_text().strip()
    secrets = {"url": f"postgresql://search:{password}@db/search"}
    node = kubelet.Node(service.engine, f"proof{service.port}_inside", given, secrets)
    done = node.run(pod, tmp_path / "volumes")
    assert [each.returncode for each in done] == [0] * (len(pod["initContainers"]) + 1), done
    assert service.metric(f'search_trials{{state="complete",study="{name}"') == 3
