"""Functions on their way to workers."""

import functools
import os
import pathlib
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from search import errors
from search.training import shipments


def objective(trial: Any) -> float:
    return 0.5


class Held:
    """With a method, and something that no process can be sent."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def train(self, trial: Any) -> float:
        return float(self.lock.locked())


def test_a_function_of_a_module_goes_by_name(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is pickled, and workers look where this process looks for modules."""
    (tmp_path / "mine_to_pack.py").write_text("def objective(trial):\n    return 0.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    import mine_to_pack  # type: ignore[import-not-found]

    packed = shipments.pack(mine_to_pack.objective)
    assert (packed.objective, packed.program, packed.content) == ("mine_to_pack:objective", "mine_to_pack", None)
    with packed.sent():
        assert os.environ["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path.resolve())
        assert shipments.VARIABLE not in os.environ


def test_a_module_that_workers_would_not_find_goes_along(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file of its name lies in the working folder, where workers look first: theirs would be trained."""
    for folder, value in (("here", 1), ("there", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine_twice.py").write_text(f"VALUE = {value}\ndef objective(trial):\n    return VALUE\n")
    monkeypatch.syspath_prepend(tmp_path / "there")
    monkeypatch.chdir(tmp_path / "here")
    import mine_twice  # type: ignore[import-not-found]

    packed = shipments.pack(mine_twice.objective)
    assert packed.objective == "__main__:objective"
    assert packed.content is not None
    monkeypatch.delitem(sys.modules, "mine_twice")
    assert pickle.loads(pickle.loads(packed.content)["function"])(None) == 2  # noqa: S301


@pytest.mark.parametrize(
    ("function", "name"),
    [(lambda trial: 0.5, "lambda"), (functools.partial(objective), "objective"), (pow, "pow")],
)
def test_any_other_is_sent(function: Callable[[Any], Any], name: str) -> None:
    """In a file that nobody else reads, in a folder that is gone afterwards, and which the function comes out of."""
    packed = shipments.pack(function)
    assert packed.objective == f"__main__:{name}"
    with pytest.raises(errors.InputError, match="lives in a notebook or script"):
        shipments.received(packed.objective)
    with packed.sent():
        file = shipments.received(packed.objective)
        assert file is not None
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert file.stem == packed.checksum
        assert callable(pickle.loads(pickle.loads(file.read_bytes())["function"]))  # noqa: S301
    assert not file.parent.exists()
    assert shipments.VARIABLE not in os.environ


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda held: lambda trial: held.lock.locked(), "variable held > lock must be something that can be sent"),
        (lambda held: held.train, "variable lock must be something that can be sent"),
        (lambda held: functools.partial(objective, model=held), "variable model > lock must be"),
        (lambda held: lambda trial, kept=(held.lock,): 0.5, "variable default 0 must be .* got tuple"),
    ],
)
def test_what_cannot_be_sent_is_named(make: Callable[[Held], Any], message: str) -> None:
    """The variable that holds it, its kind, and what to do."""
    cloudpickle.register_pickle_by_value(__import__(__name__))
    try:
        with pytest.raises(errors.InputError, match=message) as raised:
            shipments.pack(make(Held()))
    finally:
        cloudpickle.unregister_pickle_by_value(__import__(__name__))
    assert "make it inside the function" in str(raised.value)
    assert "\n" not in str(raised.value)
