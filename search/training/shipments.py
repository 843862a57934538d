"""A function of a notebook or a running script, on its way to the workers of this machine: pickled, in a private file.

It never goes into the database: whoever can write there could have any code run. One of a module that others can import
goes by its name.
"""

import contextlib
import dataclasses
import importlib.machinery
import inspect
import linecache
import os
import pathlib
import pickle
import platform
import re
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle

from search import errors, lines
from search.training import children, fingerprints

VARIABLE = "SEARCH_FUNCTION"  # the file, for workers that `search.run` starts
MAIN = "__main__"
HOUSE = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Shipment:
    """A function, ready to go.

    Attributes:
        objective: what a study calls it: `module:function`, or `__main__:function` where no module has it.
        program: the program that it lives in, a word for a name.
        home: where that is, in words.
        checksum: of the code, see `fingerprints`; None where workers import it.
        content: what goes into the file; None where workers import it.
    """

    objective: str
    program: str
    home: str
    checksum: str | None = None
    content: bytes | None = None

    @contextlib.contextmanager
    def sent(self) -> Iterator[None]:
        """Processes that are started meanwhile have it, and find the modules that this one finds."""
        with contextlib.ExitStack() as stack:
            variables = {"PYTHONPATH": os.pathsep.join(_paths())}
            if self.content is not None:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="search-"))  # nobody else's
                path = pathlib.Path(folder, f"{self.checksum}.pickle")
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:  # noqa: PTH123
                    stream.write(self.content)
                variables[VARIABLE] = str(path)
            stack.enter_context(children.environment(variables))
            yield


def is_shipped(objective: str | None) -> bool:
    """Whether a study's function lives in no module."""
    return objective is not None and objective.startswith(f"{MAIN}:")


def received(objective: str) -> pathlib.Path | None:
    """The file of a study's function, None where it is imported.

    Raises:
        errors.InputError: it lives in another process, which has not sent it.
    """
    if not is_shipped(objective):
        return None
    if not (path := os.environ.get(VARIABLE)):
        raise errors.InputError(
            f"objective {objective!r} lives in a notebook or script that called search.run, and only the workers that "
            "this call starts have it; a function in a module of its own can be had anywhere"
        )
    return pathlib.Path(path)


def pack(function: Callable[[Any], Any]) -> Shipment:
    """A function, by name where a module that is a file has it, else pickled.

    Raises:
        errors.InputError: it cannot be pickled, and which variable it is that cannot.
    """
    module, name = str(getattr(function, "__module__", None)), _name(function)
    holder = sys.modules.get(module)
    kept: list[Any] = []  # a module that goes along
    if inspect.isfunction(function) and module != MAIN and getattr(holder, function.__qualname__, None) is function:
        if _is_importable(module):
            return Shipment(f"{module}:{name}", module, f"module {module}")
        kept = [holder]
    program, home = _program()
    with contextlib.ExitStack() as stack:
        for each in kept:
            cloudpickle.register_pickle_by_value(each)
            stack.callback(cloudpickle.unregister_pickle_by_value, each)
        pickled = _pickled(function, name)
    content = pickle.dumps({"function": pickled, "sources": _sources(function)})
    plain, modules = re.sub(r"\W", "_", name), [each.__name__ for each in kept]
    return Shipment(f"{MAIN}:{plain}", program, home, fingerprints.of(function, modules), content)


def _pickled(function: Any, name: str) -> bytes:
    try:
        found: bytes = cloudpickle.dumps(function)
    except Exception as error:  # whatever an object of the user's own raises
        raise errors.InputError(f"search.run({name}): {_blame(function, error)}") from error
    return found


def _is_importable(module: str) -> bool:
    """Whether workers find the very file of a module: they look into the working folder first."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None)
    found = importlib.machinery.PathFinder.find_spec(top, [str(pathlib.Path.cwd()), *_paths(), *sys.path])
    if found is None:  # one that is installed in an editable way has a finder of its own
        specs = (finder.find_spec(top, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        found = next((each for each in specs if each is not None), None)
    if found is None or file is None or found.origin is None:
        return found is not None
    return pathlib.Path(found.origin).resolve() == pathlib.Path(file).resolve()


def _name(function: Any) -> str:
    inner = getattr(function, "func", function)  # of a partial
    name = str(getattr(inner, "__name__", type(inner).__name__))
    return "lambda" if name == "<lambda>" else name


def _program() -> tuple[str, str]:
    """What this process runs: a word for a name, and where it is, in words."""
    main, host = sys.modules[MAIN], platform.node()
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        path = getattr(main, "__vsc_ipynb_file__", None) or os.environ.get("JPY_SESSION_NAME") or ""
        word = pathlib.Path(path).stem or "notebook"
        return word, f"notebook {pathlib.Path(path).name} on {host}" if path else f"a notebook on {host}"
    if (path := getattr(main, "__file__", None)) is not None:
        return pathlib.Path(path).stem, f"script {pathlib.Path(path).resolve()} on {host}"
    return "session", f"an interactive session on {host}"


def _sources(function: Any) -> dict[str, str]:
    """The text of a cell, which no file has, for tracebacks."""
    code = getattr(inspect.unwrap(getattr(function, "func", function)), "__code__", None)
    name = code.co_filename if code else ""
    return {} if not name or pathlib.Path(name).is_file() else {name: "".join(linecache.getlines(name))}


def _paths() -> list[str]:
    """Where this process finds modules: its own folders, without those that any Python finds, or that are ours."""
    known = [
        pathlib.Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")
    ]
    said = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    found = [pathlib.Path(each).resolve() for each in sys.path if each and each not in said]
    found = [each for each in found if each.exists() and each != HOUSE]
    return [*(str(each) for each in found if not any(each.is_relative_to(one) for one in known)), *said]


def _blame(function: Any, error: Exception, outer: str = "", depth: int = 0) -> str:
    """Which variable it is that cannot be sent."""
    for name, value in fingerprints.captured(function):
        try:
            cloudpickle.dumps(value)
        except Exception as inner:  # noqa: BLE001  # the same
            place = f"{outer}{name}"
            if depth < fingerprints.DEEPEST and (callable(value) or hasattr(value, "__dict__")):
                found = _blame(value, inner, f"{place} > ", depth + 1)
                if "variable" in found:
                    return found
            return (
                f"variable {place} must be something that can be sent to the processes of workers, got "
                f"{type(value).__name__}: {lines.clean(str(inner))}; make it inside the function"
            )
    return f"the function cannot be sent to the processes of workers: {lines.clean(f'{type(error).__name__}: {error}')}"
