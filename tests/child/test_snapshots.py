"""What code keeps to go on from is given back as it was given, and a folder is read at one moment only."""

import pathlib
import threading
import time

import pytest

from search.child import snapshots


def test_what_was_given_comes_back(tmp_path: pathlib.Path) -> None:
    """Bytes as bytes, a file and a folder as copies that may be changed."""
    source = tmp_path / "source"
    (source / "inner" / "empty").mkdir(parents=True)
    (source / "inner" / "a.bin").write_bytes(b"\0\1")
    (source / "on-its-way.tmp").write_text("half")
    (source / ".hidden").write_text("half")
    kept = tmp_path / "kept"
    assert snapshots.keep(memoryview(b"state"), kept) == snapshots.BYTES
    assert snapshots.give_back(kept, snapshots.BYTES, tmp_path / "one") == b"state"
    assert snapshots.keep(source / "inner" / "a.bin", kept) == snapshots.FILE
    (tmp_path / "two").mkdir()
    file = snapshots.give_back(kept, snapshots.FILE, tmp_path / "two")
    assert isinstance(file, pathlib.Path)
    assert file.read_bytes() == b"\0\1"
    assert snapshots.keep(str(source), kept) == snapshots.FOLDER
    folder = snapshots.give_back(kept, snapshots.FOLDER, tmp_path / "three")
    assert isinstance(folder, pathlib.Path)
    assert sorted(str(each.relative_to(folder)) for each in folder.rglob("*")) == [
        "inner",
        "inner/a.bin",
        "inner/empty",
    ]


def test_what_is_no_checkpoint_is_refused(tmp_path: pathlib.Path) -> None:
    """Something that is neither bytes nor a path, by its kind; a path without a file by the system's error."""
    with pytest.raises(TypeError, match="must be bytes, or the path of a file or folder, got dict"):
        snapshots.keep({"weights": 1}, tmp_path / "kept")
    with pytest.raises(FileNotFoundError):
        snapshots.keep(tmp_path / "nothing", tmp_path / "kept")


def test_a_folder_that_is_written_to_is_read_when_it_rests(tmp_path: pathlib.Path) -> None:
    """A file that grows meanwhile is in the archive whole; one that never rests is left alone."""
    source, kept, done = tmp_path / "source", tmp_path / "kept", threading.Event()
    source.mkdir()

    def write(pieces: int) -> None:
        with (source / "state").open("wb") as stream:
            for _ in range(pieces):
                if done.wait(0.02):
                    return
                stream.write(b"x" * 1000)
                stream.flush()

    writer = threading.Thread(target=write, args=(20,))
    writer.start()
    time.sleep(0.05)
    snapshots.pack(source, kept, rest_seconds=0.3)
    writer.join()
    snapshots.unpack(kept, tmp_path / "again")
    assert (tmp_path / "again" / "state").stat().st_size == 20_000
    writer = threading.Thread(target=write, args=(10_000,))
    writer.start()
    try:
        time.sleep(0.05)
        with pytest.raises(snapshots.Unsettled):
            snapshots.pack(source, kept, rest_seconds=0.3)
    finally:
        done.set()
        writer.join()
    assert not kept.exists()


def test_an_archive_stays_in_its_folder(tmp_path: pathlib.Path) -> None:
    """A link that leads out of the folder is not followed into the archive."""
    secret = tmp_path / "secret"
    secret.write_text("mine")
    source = tmp_path / "source"
    source.mkdir()
    (source / "out").symlink_to(secret.parent)
    snapshots.pack(source, tmp_path / "kept")
    snapshots.unpack(tmp_path / "kept", tmp_path / "again")
    assert not list((tmp_path / "again").rglob("secret"))
