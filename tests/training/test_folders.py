"""The folder of a trial: what it holds through its life, and what is left."""

import pathlib

from search.training import folders


def test_a_folder_through_a_life(tmp_path: pathlib.Path) -> None:
    """A new trial finds nothing of a former study; one that starts over keeps its log; one that goes on its files."""
    folder = folders.Folders(tmp_path, "my study/ä").of(3)
    assert folder.path.parent.parent == tmp_path
    folder.begin(is_new=True, goes_on=False)
    for name in (folders.LOG, "model.bin"):
        (folder.path / name).write_text("first")
    folder.scratch.mkdir()
    (folder.scratch / "part").write_text("x")
    kept = folder.keep(folder.scratch / "part")
    folder.begin(is_new=False, goes_on=True)
    assert kept.read_text() == "x"
    assert (folder.path / "model.bin").exists()
    assert not folder.scratch.exists()
    folder.begin(is_new=False, goes_on=False)
    assert sorted(each.name for each in folder.path.iterdir()) == [folders.KEPT, folders.LOG]
    folder.end()
    folder.finish()
    assert [each.name for each in folder.path.iterdir()] == [folders.LOG]
    assert folder.logs == [folder.path / folders.LOG]
    folder.begin(is_new=True, goes_on=False)
    folder.end()
    assert not folder.path.parent.exists(), "an empty one was left"


def test_no_two_studies_share_a_folder(tmp_path: pathlib.Path) -> None:
    """Names that a file system could not hold, or would take for one another's."""
    names = ["a", "a/b", "a_b", "..", ".", "A" * 300, "A" * 299, "con"]
    places = {folders.Folders(tmp_path, name).of(0).path for name in names}
    assert len(places) == len(names)
    assert all(place.parent.parent == tmp_path for place in places)
