"""A store of files: whole or not at all, in a folder or behind an S3-like service."""

import os
import pathlib
import subprocess
import sys
import threading
import time
from concurrent import futures

import pytest
from s3_services import S3

from search import errors
from search.storage import folders, stores

ODD = "checkpoints/Ünï *?[a]:%2F/..hidden/a b.pt"


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> stores.Store:
    """One of each kind, empty."""
    if request.param == "folder":
        return stores.Store(str(tmp_path / "kept here"))
    service: S3 = request.getfixturevalue("s3")
    return stores.Store(service.new_place())


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    """A file of more than one piece of an upload."""
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(range(256)) * (10 << 12) + b"end")
    return path


def test_a_file_comes_back_as_it_went(store: stores.Store, file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Whatever its path holds; its size is known, how far it has come is told, and a reader gets it too."""
    store.put(ODD, file)
    pieces: list[int] = []
    store.fetch(ODD, tmp_path / "back", pieces.append)
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert sum(pieces) == store.size(ODD) == file.stat().st_size
    with store.open(ODD) as content:
        assert content.read(3) == b"\0\1\2"


def test_names_are_those_that_begin_so(store: stores.Store, file: pathlib.Path) -> None:
    """Of all, of a folder, of a part of a name; nothing where nothing was put."""
    assert store.names() == []
    for path in ("a/b/1", "a/bc", "a/b/2", ODD):
        store.put(path, file)
    assert store.names() == sorted(["a/b/1", "a/b/2", "a/bc", ODD])
    assert store.names("a/b/") == ["a/b/1", "a/b/2"]
    assert store.names("a/b") == ["a/b/1", "a/b/2", "a/bc"]
    assert store.names("a/x/") == []


def test_what_is_removed_is_gone(store: stores.Store, file: pathlib.Path) -> None:
    """One, or all below a prefix and no other; what is not there is no error."""
    for path in ("a/b/1", "a/bc", "a/b/2"):
        store.put(path, file)
    assert store.remove_all("a/b/") == 2
    store.remove("a/b/1")
    assert store.names() == ["a/bc"]
    with pytest.raises(stores.Missing, match="has no 'a/b/1'"):
        store.open("a/b/1")
    with pytest.raises(stores.Missing):
        store.size("a/b/1")


def test_a_copy_stays_when_its_source_goes(store: stores.Store, file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Within a store, where nothing is sent through this machine, or to another one."""
    other = stores.Store(str(tmp_path / "other"))
    store.put("a/1", file)
    store.copy("a/1", "b/2", store)
    store.copy("a/1", "b/2", other)
    store.remove("a/1")
    assert store.names() == other.names() == ["b/2"]
    assert store.size("b/2") == other.size("b/2") == file.stat().st_size
    with pytest.raises(stores.Missing):
        store.copy("a/1", "c", store)


def test_a_new_file_takes_the_old_one_s_place(store: stores.Store, file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Readers get one or the other, whole, while writers put both again and again."""
    small = tmp_path / "small"
    small.write_bytes(b"small")
    known = {file.read_bytes(), b"small"}
    store.put("x", file)
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            store.put("x", small)
            store.put("x", file)

    with futures.ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for number in range(5):
                store.fetch("x", tmp_path / str(number))
                assert (tmp_path / str(number)).read_bytes() in known
        finally:
            ended.set()
        writing.result()


def test_who_reads_a_file_goes_on_with_it(tmp_path: pathlib.Path, file: pathlib.Path) -> None:
    """Though another takes its place meanwhile, or it is removed."""
    store = stores.Store(str(tmp_path / "store"))
    store.put("x", file)
    (tmp_path / "small").write_bytes(b"small")
    with store.open("x") as content:
        store.put("x", tmp_path / "small")
        assert content.read() == file.read_bytes()
    with store.open("x") as content:
        store.remove("x")
        assert content.read() == b"small"


KILLED = """
import pathlib, sys
from search.storage import stores
store = stores.Store(sys.argv[1])
print("begun", flush=True)
while True:
    store.put("deep/x", pathlib.Path(sys.argv[2]))
"""


def test_a_killed_writer_leaves_no_half(file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """What it was writing is under no name, and is removed a day later by whoever writes next."""
    folder = tmp_path / "store"
    for round_ in range(3):
        arguments = [sys.executable, "-c", KILLED, str(folder), str(file)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.05 + 0.03 * round_)
            process.kill()
        store = stores.Store(str(folder))
        assert set(store.names()) <= {"deep/x"}
        if store.names():
            assert store.size("deep/x") == file.stat().st_size
    left = folder / folders.PARTS / "left"
    left.write_bytes(b"half")
    stores.Store(str(folder)).put("y", file)
    assert left.exists()
    os.utime(left, (0, time.time() - folders.STALE_SECONDS - 60))
    stores.Store(str(folder)).put("y", file)
    assert not left.exists()


def test_a_service_that_is_away_is_waited_for(
    s3_service: S3, monkeypatch: pytest.MonkeyPatch, file: pathlib.Path
) -> None:
    """For as long as its patience, or until the worker is to stop; then the place is named, in one line."""
    for name, value in s3_service.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    stop = threading.Event()
    store = stores.Store("s3://hpo/x", 60, stop)
    threading.Timer(0.2, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(errors.StorageError, match=r"store s3://hpo/x stayed away: .*127\.0\.0\.1:9") as told:
        store.put("a", file)
    assert "\n" not in str(told.value)
    assert time.monotonic() - begun < 5


def test_a_folder_that_cannot_be_written_is_named(tmp_path: pathlib.Path, file: pathlib.Path) -> None:
    """At once: a wait would not mend it."""
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(errors.StorageError, match=r"store .*/taken cannot be used: .*Not a directory"):
        stores.Store(str(tmp_path / "taken")).put("a", file)


@pytest.mark.parametrize("path", ["", "a//b", "/a", "a/", "x" * 300])
def test_a_path_that_no_store_has_is_refused(tmp_path: pathlib.Path, path: str, file: pathlib.Path) -> None:
    """Before anything is written."""
    with pytest.raises(errors.InputError, match="a path in a store must have"):
        stores.Store(str(tmp_path)).put(path, file)


def test_no_path_leads_out_of_the_store(tmp_path: pathlib.Path, file: pathlib.Path) -> None:
    """Whatever a trial calls its files."""
    store = stores.Store(str(tmp_path / "store"))
    for path in ("../out", "a/../../out", "./x", "..\\out", ".parts/x", "a/\udcff\0"):
        store.put(path, file)
        assert path in store.names()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file.bin", "store"]


@pytest.mark.parametrize(
    ("of_study", "storage", "given", "place"),
    [
        ("s3://bucket/a/", "sqlite:///x.db", "other", "s3://bucket/a"),
        (None, "sqlite:///x.db", "other", "{here}/other"),
        (None, "sqlite:////data/lab.db", None, "/data/lab.store"),
        (None, "sqlite:///runs/lab", None, "{here}/runs/lab.store"),
        (None, "postgresql://user:pw@host/lab", None, "{here}/runs/lab.store"),
        ("../shared", "postgresql://user:pw@host/lab", None, "{above}/shared"),
    ],
)
@pytest.mark.usefixtures("own_folder")
def test_the_place_is_decided_in_one_order(
    tmp_path: pathlib.Path, of_study: str | None, storage: str, given: str | None, place: str
) -> None:
    """The study file's, else what is given, else the environment's, else beside the database."""
    found = stores.location(of_study, storage, given)
    assert found == place.format(here=tmp_path, above=tmp_path.parent)


def test_the_environment_may_name_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file and the command do not."""
    monkeypatch.setenv(stores.VARIABLE, "s3://bucket")
    assert stores.location(None, "sqlite:///x.db") == "s3://bucket"
    assert stores.location(None, "sqlite:///x.db", "/given") == "/given"
    assert stores.location("/of/file", "sqlite:///x.db") == "/of/file"


def test_a_service_without_its_library_is_named() -> None:
    """With what to install, before anything else."""
    with pytest.raises(errors.InputError, match="a store at gs:// needs the package gcsfs"):
        stores.Store("gs://bucket/prefix")
