"""Files put in place, and names of files for whatever people name."""

import pathlib
import tempfile

import pytest

from search import files


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_finished_file_gets_its_name_and_replaces_none(tmp_path: pathlib.Path, elsewhere: bool) -> None:
    """By a link, or as a copy where the system refuses one, as between two disks; a file that is there stays."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if elsewhere else tmp_path) as folder:
        part, path = pathlib.Path(folder, "part"), tmp_path / "whole"
        part.write_bytes(b"content" * 100_000)
        assert (part.stat().st_dev != tmp_path.stat().st_dev) == elsewhere
        files.put_in_place(part, path)
        assert path.read_bytes() == part.read_bytes()
        assert (path.stat().st_ino == part.stat().st_ino) != elsewhere
        part.write_bytes(b"another")
        with pytest.raises(FileExistsError):
            files.put_in_place(part, path)
        path.unlink()
        with pytest.raises(FileNotFoundError):
            files.put_in_place(part, tmp_path / "nowhere" / "whole")


@pytest.mark.parametrize("name", ["lab", "lab-2.old", "A_b", "x" * 100])
def test_a_plain_name_stays(name: str) -> None:
    """Letters, digits, dots, underscores and hyphens."""
    assert files.safe_name(name) == name


ODD = ("", ".", "..", "../../etc/passwd", "/", "a b", "a/b", 'a"b', "[bold]", "-rf", ".hidden", "研究", "a\0b", "a\nb")
ODD += ("x" * 101, "é" * 400, "\udcff", "CON ", "`id`", "nul", "COM1.old")


@pytest.mark.parametrize("name", ODD)
def test_any_name_becomes_a_file_s(name: str, tmp_path: pathlib.Path) -> None:
    """In its folder, short, shown by `ls`, the same each time, and no other name's."""
    safe = files.safe_name(name)
    (tmp_path / f"{safe}.log").write_text("x")
    assert [each.name for each in tmp_path.iterdir()] == [f"{safe}.log"]
    assert safe.isascii()
    assert safe[0] not in ".-"
    assert safe.partition(".")[0].upper() not in ("CON", "NUL", "COM1")  # devices of Windows
    assert len(safe) <= files.LONGEST_NAME
    assert (files.safe_name(name), files.safe_name(name + " ")) != (safe, safe)
    assert files.safe_name(safe) == safe
