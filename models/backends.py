"""What a training goes on with to end with the bits of an undisturbed one: engine, kind of device, precision, team."""

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it imports Numba, which commands that only look do without
    from models.engine import Engine

FLOAT32 = "float32"
PRECISIONS = (FLOAT32, "tf32", "bf16")  # of what is multiplied, the finest first
FEW = 8  # samples of a batch up to which the engines of GPUs multiply in float32, whatever their precision
TEAMS = (1, 2, 4, 8, 16)  # of blocks that share one network


@dataclasses.dataclass(frozen=True)
class Backend:
    """A small record, a line where it is stored.

    Attributes:
        engine: its name.
        device: the kind of its device, cpu or cuda.
        precision: of what it multiplies.
        team: parts of the device that share one network.
    """

    engine: str
    device: str = "cpu"
    precision: str = FLOAT32
    team: int = 1

    def __str__(self) -> str:
        return f"{self.engine} {self.device} {self.precision} {self.team}"

    @property
    def label(self) -> str:
        """For people: what is as usual is left out."""
        words = [self.engine]
        words += [] if self.device == "cpu" else [f"on {self.device}"]
        is_told = self.precision == FLOAT32 or self.engine.endswith(f"-{self.precision}")
        words += [] if is_told else [f"in {self.precision}"]
        words += [] if self.team == 1 else [f"in a team of {self.team}"]
        return " ".join(words)


def parse(text: str) -> Backend:
    """The one of a stored line.

    Raises:
        ValueError: it is none.
    """
    engine, device, precision, team = text.split(" ")
    return Backend(engine, device, precision, int(team))


def of(engine: "Engine") -> Backend:
    """What an engine trains with."""
    precision, team = getattr(engine, "precision", FLOAT32), getattr(engine, "team", 1)
    return Backend(engine.name, kind_of(engine.device), precision, team)


def are_allowed(precision: str) -> tuple[str, ...]:
    """The precisions that are no coarser."""
    return PRECISIONS[: PRECISIONS.index(precision) + 1]


def kind_of(device: str) -> str:
    """Cuda of cuda:1."""
    return device.partition(":")[0]
