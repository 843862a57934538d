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
    (source / "weights.tmp").write_text("whole: the code says when")
    (source / ".metadata").write_text("of torch.distributed.checkpoint")
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
        ".metadata",
        "inner",
        "inner/a.bin",
        "inner/empty",
        "weights.tmp",
    ]


def test_what_a_program_has_not_renamed_yet_is_left_out(tmp_path: pathlib.Path) -> None:
    """Nobody says of its folder that it is whole: names on their way, with a dot or `.tmp`, are no part of it."""
    source = tmp_path / "source"
    (source / ".cache").mkdir(parents=True)
    for name in ("state", "state.tmp", ".state", ".cache/state"):
        (source / name).write_text("")
    assert [name for name, _, _ in snapshots.pack(source, tmp_path / "kept", rest_seconds=0.01)] == ["state"]


def test_a_trial_s_own_folder_may_be_kept(tmp_path: pathlib.Path) -> None:
    """Without what the search has in it, the archive itself among it."""
    (tmp_path / "state").write_text("")
    (tmp_path / ".kept").mkdir()
    snapshots.keep(tmp_path, tmp_path / ".search" / "checkpoint-1")
    snapshots.unpack(tmp_path / ".search" / "checkpoint-1", tmp_path / "again")
    assert [each.name for each in (tmp_path / "again").iterdir()] == ["state"]


def test_what_keeps_a_folder_from_being_kept_is_said(tmp_path: pathlib.Path) -> None:
    """A full disk is an error of the system's; a link to itself, as one to nothing, is left out."""
    source, kept = tmp_path / "source", tmp_path / "kept"
    source.mkdir()
    (source / "loop").symlink_to("loop")
    (source / "state").write_bytes(b"x" * 100_000)
    assert [name for name, _, _ in snapshots.pack(source, tmp_path / "fine")] == ["state"]
    kept.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        snapshots.pack(source, kept)


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
