"""The compose files and the image say what the program understands, and give containers no more than they need."""

import os
import pathlib
import re
import shutil
import subprocess
import tomllib
from typing import Any

import yaml
from asked_commands import check_command, known_variables
from conftest import ROOT


def composed() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def test_compose_asks_for_commands_that_exist() -> None:
    """The compose files' commands, options and settings too; nothing is published beyond loopback; no password."""
    services = composed()["services"]
    ours = {name: each for name, each in services.items() if name != "db"}
    assert set(ours) == {"create", "fetch", "worker", "dashboard"}
    more = [
        yaml.safe_load((ROOT / f"compose.{name}.yaml").read_text())["services"]
        for name in ("notify", "gpu", "password", "own")
    ]
    for each in (more[-1][name] for name in ("create", "fetch", "worker")):
        check_command(each["command"])
    for each in ours.values():
        check_command(each["command"])
        assert each["init"]
    named = [set(service.get("environment", {})) for group in (ours, *more) for service in group.values()]
    assert {name for names in named for name in names if name.startswith("SEARCH_")} <= known_variables()
    assert [port for each in services.values() for port in each.get("ports", ())] == [
        "127.0.0.1:${DASHBOARD_PORT:-8080}:8080"
    ]
    assert "POSTGRES_PASSWORD" not in services["db"]["environment"]


def test_compose_is_locked() -> None:
    """No service can gain, write or start more than it needs, the database included."""
    services = composed()["services"]
    for name, each in services.items():
        assert (each["read_only"], each["cap_drop"], each.get("cap_add")) == (True, ["ALL"], None), name
        assert each["security_opt"] == ["no-new-privileges:true"]
        assert each["pids_limit"] <= 2048
        assert "mem_limit" in each
        assert "/tmp" in each["tmpfs"]
    assert services["db"]["user"] == "postgres"
    assert services["fetch"]["secrets"] == []
    assert "environment" not in services["fetch"]


def test_compose_restarts_by_a_count_that_is_set_back() -> None:
    """Docker's `on-failure:N` counts over a container's whole life: workers are kept by a rule of ours instead."""
    services = composed()["services"]
    assert {name: each["restart"] for name, each in services.items()} == {
        **{"create": "no", "fetch": "no", "worker": "no"},
        **{"db": "on-failure", "dashboard": "on-failure"},
    }
    assert services["worker"]["command"][-2:] == ["--stay", "--restart"]


def test_compose_connects_what_must_be() -> None:
    """Only what fetches data reaches the outside, and it alone reaches no database."""
    found = composed()
    assert {name: each["networks"] for name, each in found["services"].items()} == {
        **{name: ["inside"] for name in ("db", "create", "worker")},
        "fetch": ["outside"],
        "dashboard": ["inside", "door"],
    }
    door = {"driver_opts": {"com.docker.network.bridge.enable_ip_masquerade": "false"}}
    assert found["networks"] == {"inside": {"internal": True}, "outside": {}, "door": door}


def test_compose_shares_nothing_to_write_to() -> None:
    """No folder that one container writes holds what another one runs: data only, and from one hand."""
    written = [
        (name, volume)
        for name, each in composed()["services"].items()
        for volume in each.get("volumes", ())
        if not volume.endswith(":ro")
    ]
    assert written == [("db", "db:/var/lib/postgresql/data"), ("fetch", "${DATA_FOLDER:-data}:/data")]


def test_code_of_the_users_own_changes_nothing_else() -> None:
    """Beside an image FROM ours, its command and a folder that is only read, each service stays as it is."""
    services = yaml.safe_load((ROOT / "compose.own.yaml").read_text())["services"]
    store = {"environment": {"SEARCH_STORE": "${STORE:-/store}"}}
    assert services.pop("dashboard") == {**store, "volumes": ["store:/store:ro"]}
    assert set(services) == {"create", "fetch", "worker"}
    trials = {"SEARCH_TRIALS_DIR": "/store/trials"}
    assert services["worker"].pop("environment") == {**store["environment"], **trials}
    assert services["worker"]["volumes"].pop() == "store:/store"
    for name, each in services.items():
        assert set(each) - {"build"} == {"image", "working_dir", "volumes", "command"}, name
        assert each["volumes"] == ["${OWN:-./own}:/own:ro"]
        words = [word.replace("study.toml", "lab") for word in each["command"]]
        assert words == composed()["services"][name]["command"]
    inline = services["create"]["build"]["dockerfile_inline"].replace("$$", "$")
    text = (ROOT / "deploy" / "own.Dockerfile").read_text()
    assert text.endswith(f"{inline}COPY . /own\nWORKDIR /own\n")
    assert inline.endswith("USER search\n")


def names_of(name: str) -> dict[str, str]:
    """Versions by name, of a file for pip."""
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


def test_the_image_installs_by_hashes() -> None:
    """Each version that the image installs has hashes and is that of the constraints; no file names a place."""
    hashed = {**names_of("hashes.txt"), **names_of("hashes-torch.txt")}
    for name in ("hashes.txt", "hashes-torch.txt"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        blocks = re.findall(r"^\w.*(?:\n +.*)*", text, re.MULTILINE)
        assert len(blocks) == len(names_of(name))
        assert all(re.search(r"==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", block) for block in blocks)
    constraints = names_of("constraints.txt")
    assert {name: version for name, version in hashed.items() if constraints.get(name, version) != version} == {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    assert {re.split(r"[^\w-]", each)[0].lower() for each in needed} <= set(hashed)
    assert set(names_of("hashes.txt")).isdisjoint({"torch", "torchvision", "triton"})


def test_nothing_is_installed_without_them() -> None:
    """Each `pip install` of the Dockerfile asks for hashes, but for the project's own and for torch of your source."""
    text = (ROOT / "Dockerfile").read_text()
    lines = re.findall(r"pip install (.*?)(?:;? \\)?$", text, re.MULTILINE)
    assert [line for line in lines if "--require-hashes" not in line] == [
        "--only-binary :all: --constraint constraints.txt ${TORCH_SOURCE} torch torchvision",
        "--no-deps --no-build-isolation --editable .",
    ]
    assert len(lines) == 4
    assert "ENV SEARCH_ALLOW_OBJECTIVES=none" in text


def test_base_images_can_be_pinned(tmp_path: pathlib.Path) -> None:
    """`make digests` prints lines for .env with what docker answers; the compose file hands them to build and run."""
    program = tmp_path / "docker"
    program.write_text(
        '#!/bin/sh\ncase "$*" in *imagetools*python:*) echo sha256:12;; *postgres:*) echo sha256:34;; esac\n'
    )
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["make", "--silent", "digests"], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "PYTHON_IMAGE=python:3.13-slim-trixie@sha256:12",
        "POSTGRES_IMAGE=postgres:17-trixie@sha256:34",
    ]
    services = composed()["services"]
    assert services["create"]["build"]["args"] == {"PYTHON_IMAGE": "${PYTHON_IMAGE:-python:3.13-slim-trixie}"}
    assert services["db"]["image"] == "${POSTGRES_IMAGE:-postgres:17-trixie}"
    assert "ARG PYTHON_IMAGE=python:3.13-slim-trixie\nFROM ${PYTHON_IMAGE}\n" in (ROOT / "Dockerfile").read_text()


def test_a_secret_is_made_for_a_cluster(tmp_path: pathlib.Path) -> None:
    """`make kubernetes-secrets` writes a password and the URL with it, both without an end of line, once."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for _ in range(2):
        subprocess.run(["make", "--silent", "kubernetes-secrets"], cwd=tmp_path, check=True)
        password, url = ((tmp_path / "secrets" / name).read_text() for name in ("password", "url"))
        assert re.fullmatch(r"[\w-]{32}", password)
        assert url == f"postgresql://search:{password}@search-postgres/search"
        assert password == (tmp_path / "secrets" / "db-password").read_text().strip()
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0


def test_the_example_settings_are_the_defaults() -> None:
    """.env.example has every setting of the compose files, each with the value that holds without it."""
    text = "".join((ROOT / f"{name}.yaml").read_text() for name in ("compose.gpu", "compose.own"))
    text = text.replace("${DEVICE:-cuda}", "").replace("${STUDY:-study.toml}", "")
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text() + text))
    lines = (ROOT / ".env.example").read_text().splitlines()
    shown = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert shown == used


def test_replicas_share_the_gpus_of_a_machine() -> None:
    """Docker gives each replica all of them; locks in one folder that all projects share say whose each is."""
    override = yaml.safe_load((ROOT / "compose.gpu.yaml").read_text())
    worker, folder = override["services"]["worker"], "/gpu-locks"
    assert set(override["services"]) == {"worker"}
    (reserved,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (reserved["driver"], reserved["count"]) == ("nvidia", "all")
    assert {"gpu", "compute", "utility"} == set(reserved["capabilities"])  # utility: nvidia-smi
    assert worker["environment"]["SEARCH_GPU_LOCKS"] == folder
    assert worker["volumes"] == [f"gpu-locks:{folder}"]
    volume = override["volumes"]["gpu-locks"]
    assert volume["name"] == "search-gpu-locks"
    # a tmpfs of the image's user: nothing is left of it, and none but workers can hold a lock there
    user = re.findall(r"useradd --uid (\d+)", (ROOT / "Dockerfile").read_text())
    assert {f"uid={user[0]}", "mode=0700"} <= set(volume["driver_opts"]["o"].split(","))
