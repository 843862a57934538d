"""A Docker engine for the container test: the machine's own, or one that the test starts and stops.

A machine where Docker and compose v2 answer (a developer's laptop) is used as it is. Where they do not, and we are
root on a Debian that apt can add to (CI), Docker is installed and started in a folder of the test's own; where no
registry can be reached, the images that the project names are made from Debian packages (tests/whole/stand_ins).

    SEARCH_TEST_ENGINE_DIR=FOLDER    keeps the images there for the next run, which then starts in seconds
    SEARCH_REQUIRE_CONTAINERS=1      fails where there is no engine, instead of skipping (as CI=1 does)
"""

import ast
import concurrent.futures
import contextlib
import dataclasses
import logging
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from conftest import APT

BASE_IMAGE = "debian:trixie-slim"
IMAGES = {"python:3.13-slim-trixie": "python", "postgres:17-trixie": "postgres"}  # name: folder of its stand-in
STAND_INS = pathlib.Path(__file__).resolve().parent / "stand_ins"
SUITE = "trixie"  # of the stand-ins, and of compose v2, which an older Debian lacks
PACKAGES = ("docker.io", "mmdebstrap")  # mmdebstrap: debootstrap's result in half its time
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")

START_SECONDS = 60
STOP_SECONDS = 30
STEP_SECONDS = 600
REGISTRY_SECONDS = 20  # one small answer; a firewall that drops packets would hold us for minutes

_log = logging.getLogger(__name__)


class NoEngine(Exception):
    """No Docker engine can be used or started here."""


@dataclasses.dataclass(frozen=True)
class Engine:
    """A Docker engine with compose v2; `env` is the environment in which `docker` is its client."""

    env: dict[str, str]

    def docker(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `docker ARGS`; options are those of subprocess.run, by default check=True and text=True."""
        return subprocess.run(["docker", *args], **{"env": self.env, "check": True, "text": True, **options})

    def compose(self, project_folder: pathlib.Path, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `docker compose ARGS` in a project's folder."""
        return self.docker("compose", *args, **{"cwd": project_folder, **options})

    def can(self, *args: str) -> bool:
        """Whether `docker ARGS` succeeds, soon."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self.docker(*args, capture_output=True, timeout=REGISTRY_SECONDS)
            return True
        return False


@contextlib.contextmanager
def running() -> Iterator[Engine]:
    """A Docker engine that can build and run the project's images; skips the test, or fails it in CI, without one."""
    own = Engine({**os.environ, "DOCKER_BUILDKIT": "1"})
    if own.can("info") and own.can("compose", "version"):
        yield own
        return
    required = {os.environ.get("CI", ""), os.environ.get("SEARCH_REQUIRE_CONTAINERS", "")} - {"", "0", "false"}
    with contextlib.ExitStack() as until_the_end:
        try:
            engine = until_the_end.enter_context(_started())
        except (NoEngine, OSError, subprocess.SubprocessError) as reason:
            give_up = pytest.fail if required else pytest.skip
            give_up(f"no Docker engine: {reason}")
        yield engine


@contextlib.contextmanager
def _started() -> Iterator[Engine]:
    """An engine of our own, with compose v2 and the images."""
    if os.geteuid() != 0 or not pathlib.Path("/etc/debian_version").exists() or not shutil.which("apt-get"):
        raise NoEngine("none answers with compose v2, and only root on Debian can start one here")
    with contextlib.ExitStack() as until_the_end:
        folder = until_the_end.enter_context(_folder())
        _install()
        engine = Engine(_environment(folder))
        with _step("compose v2 and the daemon"), concurrent.futures.ThreadPoolExecutor() as beside:
            compose = beside.submit(_add_compose, folder)
            # here, not in a thread: the daemon would end with the thread that started it
            until_the_end.enter_context(_daemon(folder, engine))
            compose.result()
        if not engine.can("manifest", "inspect", next(iter(IMAGES))):
            _make_stand_ins(engine)
        yield engine


@contextlib.contextmanager
def _folder() -> Iterator[pathlib.Path]:
    kept = os.environ.get("SEARCH_TEST_ENGINE_DIR")
    if kept:
        pathlib.Path(kept).mkdir(parents=True, exist_ok=True)
        yield pathlib.Path(kept).resolve()
        return
    # not /tmp, which is often memory: images take gigabytes
    with tempfile.TemporaryDirectory(prefix="search-engine-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        yield pathlib.Path(folder)


def _environment(folder: pathlib.Path) -> dict[str, str]:
    """For the client that was installed with the engine: another one on PATH may lack BuildKit."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "docker").unlink(missing_ok=True)
    (programs / "docker").symlink_to("/usr/bin/docker")
    others = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    ours = {"DOCKER_HOST": f"unix://{folder}/docker.sock", "DOCKER_CONFIG": str(folder / "config")}
    return {**others, **ours, "DOCKER_BUILDKIT": "1", "PATH": f"{programs}:{os.environ['PATH']}"}


def _install() -> None:
    with APT:
        _install_alone()


def _install_alone() -> None:
    if all(shutil.which(program) for program in ("dockerd", "mmdebstrap", "/usr/bin/docker")):
        return
    with _step("apt-get install " + " ".join(PACKAGES)):
        _run("apt-get", "update", "-q")
        unsafe = "Dpkg::Options::=--force-unsafe-io"  # no fsync per file
        # RUNLEVEL: in runlevel 1 the package's scripts start no service
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        _run("apt-get", "install", "-qy", "--no-install-recommends", "-o", unsafe, *PACKAGES, env=quiet)


def _apt_sources() -> str:
    """The host's own Debian sources, in whichever format they are written, with our suite for the host's."""
    fields = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)"
    targets = _run("apt-get", "indextargets", "--format", fields, "Created-By: Packages").split()
    [codename] = re.findall(r"^VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text(), re.MULTILINE)
    debian = re.compile(rf"(\S+)\|{codename}(|-updates|-security)\|main\|Debian")
    matches = [match for target in dict.fromkeys(targets) if (match := debian.fullmatch(target))]
    if not matches:
        raise NoEngine(f"apt knows no Debian source for {codename}")
    return "".join(f"deb [signed-by={KEYRING}] {match[1]} {SUITE}{match[2]} main\n" for match in matches)


def _add_compose(folder: pathlib.Path) -> None:
    """Compose v2 as a plugin of our client, by package lists that leave the host's as they were."""
    plugin = folder / "config/cli-plugins/docker-compose"
    if plugin.exists():
        return
    with tempfile.TemporaryDirectory() as name:
        apt = pathlib.Path(name)
        (apt / "sources.list").write_text(_apt_sources())
        (apt / "lists/partial").mkdir(parents=True)
        (apt / "cache/archives/partial").mkdir(parents=True)
        settings = [f"Dir::Etc::SourceList={apt}/sources.list", "Dir::Etc::SourceParts=/dev/null"]
        settings += [f"Dir::State::Lists={apt}/lists", f"Dir::Cache={apt}/cache", "APT::Sandbox::User=root"]
        options = [f"--option={setting}" for setting in settings]
        _run("apt-get", *options, "-q", "update")
        _run("apt-get", *options, "-q", "download", "docker-compose", cwd=apt)
        _run("dpkg-deb", "-x", str(next(apt.glob("docker-compose_*.deb"))), str(apt / "unpacked"))
        plugin.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(apt / "unpacked/usr/libexec/docker/cli-plugins/docker-compose", plugin)


@contextlib.contextmanager
def _daemon(folder: pathlib.Path, engine: Engine) -> Iterator[None]:
    log = folder / "dockerd.log"
    places = ["--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "dockerd.pid"]
    # pdeathsig: a killed test run leaves no daemon behind
    command = ["setpriv", "--pdeathsig", "TERM", "dockerd", *map(str, places), "-H", engine.env["DOCKER_HOST"]]
    with log.open("w") as output:
        daemon = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not engine.can("version"):
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise NoEngine(f"dockerd did not start within {START_SECONDS} s:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield
    finally:
        with _step("stop of the daemon"):
            _remove_containers(engine)
            _stop(daemon, folder)


def _remove_containers(engine: Engine) -> None:
    """A kept folder keeps images, and nothing that would change the next run."""
    for kind, listed in {"container": ["ls", "-aq"], "volume": ["ls", "-q"]}.items():
        names = engine.docker(kind, *listed, check=False, capture_output=True).stdout.split()
        if names:
            engine.docker(kind, "rm", "--force", *names, check=False, capture_output=True)
    engine.docker("network", "prune", "--force", check=False, capture_output=True)


def _stop(daemon: subprocess.Popen[bytes], folder: pathlib.Path) -> None:
    daemon.terminate()
    try:
        daemon.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
    for process in psutil.process_iter(["name", "cmdline"]):  # containerd's shims outlive a killed daemon
        ours = str(folder) in " ".join(process.info["cmdline"] or [])
        if ours and process.info["name"].startswith("containerd"):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    mounts = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
        subprocess.run(["umount", "--lazy", mount], check=False)


def _make_stand_ins(engine: Engine) -> None:
    if not engine.can("image", "inspect", BASE_IMAGE):
        with _step(f"stand-in for {BASE_IMAGE}"), tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            engine.docker("import", str(_debian(pathlib.Path(folder))), BASE_IMAGE, capture_output=True)
    with _step("stand-ins for " + ", ".join(IMAGES)), concurrent.futures.ThreadPoolExecutor() as beside:
        list(beside.map(lambda image: _build(engine, image), IMAGES))


def _debian(folder: pathlib.Path) -> pathlib.Path:
    """A minimal Debian with the host's apt sources, proxies and certificates, as an archive."""
    (folder / "sources.list").write_text(_apt_sources())
    network = r"^Acquire::(?:https?|Retries|Check-Date|Check-Valid-Until)\b.*$"
    settings = re.findall(network, _run("apt-config", "dump"), re.MULTILINE)
    (folder / "apt.conf").write_text("\n".join([*settings, 'Acquire::Languages "none";', ""]))
    (folder / "host.crt").write_bytes(CERTIFICATES.read_bytes() if CERTIFICATES.exists() else b"")
    dpkg = ["force-unsafe-io", "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*"]
    hooks = [f"copy-in {folder}/host.crt /usr/local/share/ca-certificates", 'chroot "$1" update-ca-certificates']
    options = [f"--dpkgopt={option}" for option in dpkg] + [f"--customize-hook={hook}" for hook in hooks]
    options += ["--variant=minbase", "--include=ca-certificates", f"--aptopt={folder}/apt.conf"]
    _run("mmdebstrap", *options, SUITE, str(folder / "debian.tar"), str(folder / "sources.list"))
    return folder / "debian.tar"


def _build(engine: Engine, image: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        context = shutil.copytree(STAND_INS / IMAGES[image], pathlib.Path(folder) / "context")
        (context / "pip.conf").write_text(_pip_settings())
        _run("docker", "build", "--progress=plain", "--tag", image, str(context), env=engine.env)


def _pip_settings() -> str:
    """The host's package index, for pip in the stand-in; an index of files stays on the host."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    setting = r"^(?:global|:env:)\.(index-url|extra-index-url|trusted-host|proxy)=(.*)$"
    found = {name: ast.literal_eval(value).split() for name, value in re.findall(setting, listed, re.MULTILINE)}
    kept = {name: [word for word in words if not word.startswith("file:")] for name, words in found.items()}
    lines = [f"{name} = {' '.join(words)}" for name, words in kept.items() if words]
    return "\n".join(["[global]", f"cert = {CERTIFICATES}", *lines, ""])


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    _log.info("%s: %.0f s", what, time.monotonic() - begun)


def _run(*command: str, env: dict[str, str] | None = None, cwd: pathlib.Path | None = None) -> str:
    """A step's standard output; its last words in the error if it fails."""
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=STEP_SECONDS)
    if done.returncode:
        raise NoEngine(f"{' '.join(command)} exited with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout
