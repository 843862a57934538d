"""How a parent knows that a worker ended by itself: code of the user's own can end a process with any exit code.

A pipe goes along with each worker; what ends as it should writes a byte to it.
"""

import contextlib
import dataclasses
import os

VARIABLE = "SEARCH_FAREWELL"


@dataclasses.dataclass(frozen=True)
class Ear:
    """The parent's side of a pipe; `mouth` is the child's descriptor."""

    descriptor: int
    mouth: int

    @classmethod
    def open(cls) -> "Ear":
        """A new pipe, of which nothing is heard yet."""
        ear, mouth = os.pipe()
        os.set_blocking(ear, False)
        return cls(ear, mouth)

    @property
    def environment(self) -> dict[str, str]:
        """What tells the child."""
        return {VARIABLE: str(self.mouth)}

    def started(self) -> None:
        """The child has its side; ours is closed."""
        os.close(self.mouth)

    def has_heard(self) -> bool:
        """Whether the child, which has ended, said that it would; asked once."""
        try:
            return os.read(self.descriptor, 1) == b"."
        except BlockingIOError:  # a child of the child still holds the other side
            return False
        finally:
            os.close(self.descriptor)


def say() -> None:
    """Tells the parent that this process ends by itself, where one listens."""
    mouth = os.environ.pop(VARIABLE, None)
    if mouth is not None:
        with contextlib.suppress(OSError, ValueError):  # the parent is gone
            os.write(int(mouth), b".")
