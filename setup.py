"""Puts the study files of `studies/`, and tables of them, into a wheel; all else is said in pyproject.toml."""

import pathlib
import shutil

import setuptools
from setuptools.command import build_py

STUDIES = pathlib.Path("studies")
INSIDE = pathlib.Path("search", "study", "files")  # where search/study/specs.py looks for them outside a clone


class BuildPy(build_py.build_py):
    """The packages, and the study files among them. An editable install reads those of the clone."""

    def run(self) -> None:
        """Copies them, where a wheel is built."""
        super().run()
        if self.editable_mode:
            return
        for name, target in self._study_files().items():
            pathlib.Path(target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, target)

    def get_source_files(self) -> list[str]:
        """What an sdist has to have, too."""
        return [*super().get_source_files(), *self._study_files()]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What is built."""
        return [*super().get_outputs(include_bytecode), *self._study_files().values()]

    def _study_files(self) -> dict[str, str]:
        folder = pathlib.Path(self.build_lib, INSIDE)
        found = (path for pattern in ("*.toml", "*.table.jsonl.gz") for path in sorted(STUDIES.glob(pattern)))
        return {path.as_posix(): str(folder / path.name) for path in found}


setuptools.setup(cmdclass={"build_py": BuildPy})
