"""The NVIDIA GPUs of this machine: found by nvidia-smi, named by numbers or UUIDs, handed on by CUDA's variables."""

import contextlib
import dataclasses
import os
import re
import subprocess
from collections.abc import Iterable, Iterator

from search import errors, lines
from search.training import children

ALL, NONE = "all", "none"
SHARED_LIMIT = 64  # workers on one GPU
ANSWER_SECONDS = 60.0  # a driver that was asleep takes some seconds
VISIBLE = "CUDA_VISIBLE_DEVICES"
WORD = re.compile(r"\d+(:\d+)?|GPU-[\w-]+|MIG-[\w/-]+", re.ASCII)
COLUMNS = ("index", "uuid", "mig.mode.current", "memory.used", "utilization.gpu")
INSTANCE = re.compile(r"\s+MIG .*Device\s+(\d+): \(UUID: (\S+)\)")
LABEL_CHARACTERS = 40
SAID_CHARACTERS = 200


@dataclasses.dataclass(frozen=True)
class Gpu:
    """A GPU, or an instance of one that is cut into several (MIG).

    Attributes:
        name: its number, `2`, or of an instance `2:0`, as nvidia-smi counts.
        memory_mib: taken when it was looked at; `busy_percent`: of the last moments. Of an instance, the whole GPU's.
    """

    name: str
    uuid: str
    memory_mib: int = 0
    busy_percent: int = 0

    @property
    def is_instance(self) -> bool:
        """Whether it is an instance of a GPU."""
        return ":" in self.name

    def is_called(self, word: str) -> bool:
        """Whether a number or the beginning of a UUID means it; a GPU's number all its instances."""
        return word in (self.name, self.name.partition(":")[0]) or (
            not word[:1].isdigit() and self.uuid.startswith(word or " ")
        )


def check(words: str | None) -> str | None:
    """What `--gpus` was given, without blanks.

    Raises:
        errors.InputError: it is no such thing.
    """
    if words is None:
        return None
    named = [word.strip() for word in words.split(",")]
    if named not in ([ALL], [NONE]):
        for word in named:
            if not WORD.fullmatch(word):
                raise errors.InputError(
                    f"--gpus must be {ALL}, {NONE}, or numbers and UUIDs as `nvidia-smi -L` has them, separated by "
                    f"commas, got {words!r}"
                )
            if named.count(word) > 1:
                raise errors.InputError(f"--gpus must name each GPU once, got {words!r}")
    return ",".join(named)


def named(words: str) -> list[Gpu]:
    """The GPUs of this machine that `--gpus` means, within CUDA_VISIBLE_DEVICES where that is set.

    Raises:
        errors.InputError: one is not there, or nvidia-smi has no answer.
    """
    gpus, within = visible(probe(), os.environ.get(VISIBLE)), ""
    if VISIBLE in os.environ:
        within = f" within {VISIBLE}={os.environ[VISIBLE]!r}"
    if not gpus:
        raise errors.InputError(f"--gpus {words} must find a GPU, and nvidia-smi shows none{within}")
    if words == ALL:
        return gpus
    found: dict[str, Gpu] = {}
    for word in words.split(","):
        meant = [gpu for gpu in gpus if gpu.is_called(word)]
        if not meant or (len(meant) > 1 and not word[0].isdigit()):
            there_are = ", ".join(gpu.name for gpu in gpus)
            raise errors.InputError(f"--gpus must name GPUs that are there ({there_are}{within}), got {word!r}")
        found |= {gpu.uuid: gpu for gpu in meant}
    return list(found.values())


def visible(gpus: Iterable[Gpu], restricted: str | None) -> list[Gpu]:
    """Those that CUDA would show: whatever follows one that is none is hidden, as CUDA has it.

    Args:
        restricted: CUDA_VISIBLE_DEVICES; None where it is not set.
    """
    if restricted is None:
        return list(gpus)
    found: dict[str, Gpu] = {}
    for word in (each.strip() for each in restricted.split(",")):
        meant = [gpu for gpu in gpus if gpu.is_called(word)]
        if not word or not meant or (not word[0].isdigit() and len(meant) > 1):
            break
        found |= {gpu.uuid: gpu for gpu in meant}
    return list(found.values())


def probe() -> list[Gpu]:
    """The GPUs of this machine, in the order of their numbers.

    Raises:
        errors.InputError: nvidia-smi is not there, or has no answer.
    """
    said, code = _ask(f"--query-gpu={','.join(COLUMNS)}", "--format=csv,noheader,nounits")
    rows = [row for line in said.splitlines() if len(row := [cell.strip() for cell in line.split(",")]) == len(COLUMNS)]
    rows = [row for row in rows if row[0].isdigit() and row[1].startswith("GPU-")]
    if code and not rows:  # one that is lost makes it fail, and the others may be there
        raise errors.InputError(
            f"--gpus needs nvidia-smi, which ended with exit code {code}: {lines.said(said.strip(), SAID_CHARACTERS)}"
        )
    cut = {row[0] for row in rows if row[2] == "Enabled"}
    instances = _instances(_ask("-L")[0]) if cut else {}
    found = []
    for index, uuid, _, *figures in rows:
        memory, busy = (int(figure) if figure.isdigit() else 0 for figure in figures)  # "[N/A]" where it has none
        if index in cut:
            found += [Gpu(f"{index}:{k}", each, memory, busy) for k, each in instances.get(index, ())]
        else:
            found.append(Gpu(index, uuid, memory, busy))
    return found


def _ask(*arguments: str) -> tuple[str, int]:
    """What nvidia-smi says, and its exit code; where it hangs it is left behind, since not even a kill may end it."""
    try:
        process = subprocess.Popen(
            ["nvidia-smi", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        why = "which is not on the PATH" if isinstance(error, FileNotFoundError) else f"and there is: {error}"
        raise errors.InputError(f"--gpus needs nvidia-smi, {why}") from error
    try:
        said, _ = process.communicate(timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise errors.InputError(
            f"--gpus needs nvidia-smi, which did not answer within {ANSWER_SECONDS:.0f} s"
        ) from error
    return said.decode(errors="replace"), process.returncode


def _instances(listed: str) -> dict[str, list[tuple[str, str]]]:
    """Number and UUID of each GPU's instances, of `nvidia-smi -L`."""
    found: dict[str, list[tuple[str, str]]] = {}
    index = ""
    for line in listed.splitlines():
        if gpu := re.match(r"GPU (\d+):", line):
            index = gpu[1]
        elif instance := INSTANCE.match(line):
            found.setdefault(index, []).append((instance[1], instance[2]))
    return found


def label(gpus: Iterable[Gpu]) -> str:
    """For people: `gpu 0`, `gpu 0,2`, `gpu 0-3`."""
    runs: list[list[str]] = []
    for gpu in gpus:
        if runs and gpu.name.isdigit() and runs[-1][-1].isdigit() and int(gpu.name) == int(runs[-1][-1]) + 1:
            runs[-1].append(gpu.name)
        else:
            runs.append([gpu.name])
    shown = ",".join(run[0] if len(run) == 1 else f"{run[0]}{'-' if len(run) > 2 else ','}{run[-1]}" for run in runs)
    text = f"gpu {shown}"
    return text if len(text) <= LABEL_CHARACTERS else f"{text[: LABEL_CHARACTERS - 3]}..."


@contextlib.contextmanager
def shown(gpus: Iterable[Gpu]) -> Iterator[None]:
    """CUDA shows these alone to this process, where it has not begun with CUDA, and to all that it starts.

    By UUID: the numbers of the others change where one is lost.
    """
    given = {VISIBLE: ",".join(gpu.uuid for gpu in gpus), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    with children.environment(given):
        yield
