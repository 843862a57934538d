"""Writes hashes.txt and hashes-torch.txt, what the image installs: `make hashes`, after a change of constraints.txt.

Every version of constraints.txt that the service needs, with the hash of each of its files, for every platform and
Python that the project supports. torch and what only its CUDA build needs stand apart: a build with TORCH_SOURCE takes
them from another index, whose files have other hashes.
"""

import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
OLDEST_PYTHON = "3.11"
TORCH = re.compile(r"(torch|torchvision|triton|cuda-.*|nvidia-.*)==")
HEADERS = {
    "hashes.txt": "# What the image installs but for torch; written by `make hashes`, not by hand",
    "hashes-torch.txt": "# torch with CUDA and what only it needs; written by `make hashes`, not by hand",
}


def compiled() -> list[str]:
    """A block of text for each package: its version, where it applies, its hashes."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "pyproject.toml", "-"]
    command += ["--constraint", "constraints.txt", "--universal", "--python-version", OLDEST_PYTHON]
    command += ["--generate-hashes", "--only-binary", ":all:", "--no-annotate", "--no-header"]
    # the image builds the service itself in place, without looking for the builder once more
    builder = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    done = subprocess.run(
        command, input="\n".join(builder), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=600
    )
    return re.findall(r"^[a-z0-9].*(?:\n +.*)*", done.stdout, re.MULTILINE)


def main() -> None:
    """Both files, whole or not at all."""
    blocks = compiled()
    apart = [block for block in blocks if TORCH.match(block)]
    rest = [block for block in blocks if block not in apart]
    for (name, header), chosen in zip(HEADERS.items(), (rest, apart), strict=True):
        (ROOT / name).write_text("\n".join([header, *chosen, ""]))


if __name__ == "__main__":
    main()
