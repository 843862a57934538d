"""What is searched in a simulation: a study file and a table of its trainings."""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

from models import blas
from search import errors
from search.space import scalars, surfaces, tables
from search.study import specs


@dataclasses.dataclass(frozen=True)
class Ground:
    """What is searched.

    Attributes:
        text: of the study file, and `place`, the file.
        table: its path.
        training_seed: of the trainings in the table.
        whole: see `surfaces.Surface`.
        only: settings as in `batch_size=1,4,16`: the other rows of the table are left out.
    """

    text: str
    place: str
    table: pathlib.Path
    training_seed: int = 0
    whole: bool = False
    only: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: pathlib.Path, table: pathlib.Path | None = None, **more: Any) -> "Ground":
        """A study file, with the table beside it where no other is named.

        Raises:
            errors.InputError: the study file is wrong, or there is no table.
        """
        spec = specs.load(path)
        table = table or tables.beside(path)
        if table is None:
            raise errors.InputError(f"--table must name a table: there is no {path.stem}{tables.ENDING} beside {path}")
        return cls(spec.text, str(path), table, **more)

    @property
    def spec(self) -> specs.StudySpec:
        """The study as its file has it."""
        return specs.parse(self.text, self.place)

    def surface(self) -> surfaces.Surface:
        """What trainings come to.

        Raises:
            errors.InputError: the table is wrong, or of another study.
        """
        blas.use_one_thread()  # as each process of several: the last bits depend on it
        spec, table = self.spec, tables.load(self.table)
        if spec.training is not None:
            table = table.cut(spec.training.epochs)
        for setting in self.only:
            name, values = self._parse(spec, setting)
            table = table.only(name, values)
        maximize = spec.study.direction == "maximize"
        return surfaces.Surface(spec.space, table, maximize, self.training_seed, self.whole)

    @staticmethod
    def _parse(spec: specs.StudySpec, setting: str) -> tuple[str, list[scalars.Value]]:
        found = spec.space.split(setting)
        if found is None:
            raise errors.InputError(f"--only must read PARAMETER=VALUE,..., got {setting!r}")
        name, text = found
        try:
            return name, [spec.space.parse(name, value) for value in text.split(",")]
        except ValueError as error:
            raise errors.InputError(f"--only: {error}") from error

    @property
    def checksum(self) -> str:
        """Of the table and the space, with which runs can be pooled."""
        content = self.table.read_bytes() + json.dumps([self.training_seed, self.whole, self.only]).encode()
        return hashlib.sha256(content + repr(self.spec.space).encode()).hexdigest()[:16]
