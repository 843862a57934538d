"""The folder of a trial: what it holds through its life, and what is left."""

import os
import pathlib

from search.training import folders


def test_a_folder_through_a_life(tmp_path: pathlib.Path) -> None:
    """A new trial finds nothing of a former study; one that starts over keeps its log; one that goes on its files."""
    places, trial = folders.Folders(tmp_path, "my study/ä"), object()
    folder = places.begin(trial, 3, is_new=True, goes_on=False)
    assert folder.path.parent.parent == tmp_path
    for name in (folders.LOG, "model.bin"):
        (folder.path / name).write_text("first")
    folder.scratch.mkdir()
    (folder.scratch / "part").write_text("x")
    kept = folder.keep(folder.scratch / "part")
    assert places.begin(trial, 3, is_new=False, goes_on=True) is folder, "tried again by its owner"
    assert kept.read_text() == "x"
    assert (folder.path / "model.bin").exists()
    assert not folder.scratch.exists()
    places.begin(trial, 3, is_new=False, goes_on=False)
    assert sorted(each.name for each in folder.path.iterdir()) == [folders.KEPT, folders.LOG]
    folder.end()
    folder.finish()
    assert [each.name for each in folder.path.iterdir()] == [folders.LOG]
    assert places.find(3).logs == [folder.path / folders.LOG]
    again = places.begin(object(), 3, is_new=True, goes_on=False)
    assert again.path == folder.path
    again.end()
    again.finish()
    assert not folder.path.exists(), "an empty one was left"


def test_a_former_owner_keeps_its_folder(tmp_path: pathlib.Path) -> None:
    """Two that both think they own a trial write into folders of their own; the log is the last one's."""
    former, later = (folders.Folders(tmp_path, "s") for _ in range(2))
    first, second = (each.begin(object(), 7, is_new=each is former, goes_on=False) for each in (former, later))
    assert [first.path.name, second.path.name] == ["7", "7-2"]
    (first.path / folders.LOG).write_text("former")
    os.utime(first.path / folders.LOG, (1, 1))
    (second.path / folders.LOG).write_text("later")
    assert folders.Folders(tmp_path, "s").find(7).path == second.path
    again = former.begin(object(), 7, is_new=False, goes_on=True)
    assert again.path.name == "7-3", "its next owner, in the same process"
    for folder in (again, first, first, second):
        folder.finish()
    assert later.begin(object(), 7, is_new=False, goes_on=True).path.name == "7"


def test_no_two_studies_share_a_folder(tmp_path: pathlib.Path) -> None:
    """Names that a file system could not hold, or would take for one another's."""
    names = ["a", "a/b", "a_b", "..", ".", "A" * 300, "A" * 299, "con"]
    places = {folders.Folders(tmp_path, name).find(0).path for name in names}
    assert len(places) == len(names)
    assert all(place.parent.parent == tmp_path for place in places)
