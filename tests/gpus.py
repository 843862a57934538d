"""A machine's nvidia-smi for tests: a real program that says what it is told to, where there is no GPU."""

import pathlib
import shlex
from collections.abc import Sequence

ROW = "{index}, {uuid}, {mig}, {memory}, {busy}"


class Machine:
    """GPUs as nvidia-smi shows them; `folder` goes on the PATH."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()
        self._state = folder / "gpus"
        self._state.mkdir()
        where = shlex.quote(str(self._state))
        self.answer(
            f'echo x >> {where}/asked; if [ "$1" = -L ]; then cat {where}/list; else cat {where}/rows; fi; '
            f"exit $(cat {where}/code)"
        )
        self.has(0)

    def answer(self, script: str) -> None:
        """Does something else when it is asked."""
        program = self.folder / "nvidia-smi"
        new = program.with_name("new")
        new.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        new.chmod(0o755)
        new.rename(program)

    def has(
        self, count: int, *, lost: Sequence[int] = (), memory: Sequence[int] = (), busy: Sequence[int] = ()
    ) -> None:
        """So many GPUs, some of which are lost; MiB taken, and percent at work, of each."""
        rows = []
        for index in (each for each in range(count) if each not in lost):
            figures = {"memory": memory[index] if memory else 4, "busy": busy[index] if busy else 0}
            rows.append(ROW.format(index=index, uuid=uuid(index), mig="[N/A]", **figures))
        self.says(rows, code=15 if lost else 0)

    def says(self, rows: Sequence[str], listed: Sequence[str] = (), code: int = 0) -> None:
        """These lines, and `nvidia-smi -L`'s."""
        for name, text in (("rows", "\n".join(rows)), ("list", "\n".join(listed)), ("code", str(code))):
            new = self._state / "new"
            new.write_text(f"{text}\n", encoding="utf-8")
            new.replace(self._state / name)

    @property
    def asked(self) -> int:
        """How often it was asked."""
        asked = self._state / "asked"
        return len(asked.read_text().splitlines()) if asked.exists() else 0


def uuid(index: int) -> str:
    return f"GPU-{index:08x}-1111-2222-3333-444444444444"
