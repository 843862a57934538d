"""A trial as the user's own code sees it, in its process."""

import pathlib
from typing import Any

import pytest

from search.child import trials


class Owner:
    """Hears what the trial asks, and answers as a worker does."""

    space: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer, self.asked = answer, list[dict[str, Any]]()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(message)
        return self.answer


def view(owner: Owner) -> trials.View:
    return trials.View(owner, {"params": {}, "number": 3, "seed": 0, "attrs": {}, "folder": ".", "saved": None})


def test_a_file_is_named_by_its_whole_path(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker may have another working folder; the name is the file's own, or the one that is given."""
    (tmp_path / "model.pt").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    owner = Owner({"do": "kept", "id": "an-id"})
    assert view(owner).artifact("model.pt") == "an-id"
    view(owner).artifact(pathlib.Path("model.pt"), "last/épé e.pt")
    assert owner.asked == [
        {"is": "artifact", "path": str(tmp_path / "model.pt"), "name": name} for name in ("model.pt", "last/épé e.pt")
    ]


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201, "../x", "/x", "a//b", "a/", ".", 3])
def test_a_name_is_one_that_can_be_shown(tmp_path: pathlib.Path, name: Any) -> None:
    """Printable, of a bounded length, and no way out of a folder."""
    (tmp_path / "f").write_bytes(b"")
    owner = Owner({"do": "kept", "id": "an-id"})
    with pytest.raises(ValueError, match="artifact: a name must be 1 to 200 printable characters"):
        view(owner).artifact(tmp_path / "f", name)
    assert owner.asked == []


def test_what_is_no_file_is_refused(tmp_path: pathlib.Path) -> None:
    """A folder with what to do; and what the worker refuses is told as it says it."""
    with pytest.raises(FileNotFoundError, match=r"there is no file .*: pack a folder first, as shutil\.make_archive"):
        view(Owner({})).artifact(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no file .*/nowhere$"):
        view(Owner({})).artifact(tmp_path / "nowhere")
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(ValueError, match="artifact: too many"):
        view(Owner({"do": "refused", "reason": "too many"})).artifact(tmp_path / "f")
