"""Files put in place."""

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
