"""What a process prints is kept by trial, bounded, and never keeps anybody."""

import os
import pathlib
import threading
from collections.abc import Iterator

import pytest
from processes import until

from search.training import folders, outputs


@pytest.fixture
def ends() -> Iterator[tuple[int, int, int, int]]:
    """A pipe to print into, and one for what no trial printed."""
    printed, printing = os.pipe()
    elsewhere, out = os.pipe()
    os.set_blocking(elsewhere, False)
    yield printed, printing, elsewhere, out
    for descriptor in (printing, elsewhere, out):
        os.close(descriptor)


def test_each_trial_has_its_own(tmp_path: pathlib.Path, ends: tuple[int, int, int, int]) -> None:
    """What was printed before the end of one is in its log, what comes between two goes where it did."""
    printed, printing, elsewhere, out = ends
    output, heard = outputs.Output(printed, out), threading.Event()
    place = folders.Folders(tmp_path, "s")
    for number in (1, 2):
        folder = place.begin(object(), number, is_new=True, goes_on=False)
        output.begin(folder, heard.set)
        os.write(printing, f"trial {number}\n".encode())
        assert output.end() == f"trial {number}\n"
        os.write(printing, b"between\n")
        until(lambda: _has(elsewhere), 5)
    assert heard.is_set()
    assert [(place.find(number).path / folders.LOG).read_text() for number in (1, 2)] == ["trial 1\n", "trial 2\n"]
    assert output.end() == ""
    output.close()


def test_a_flood_is_bounded(
    tmp_path: pathlib.Path, ends: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of it stays, in two files of bounded size, and its end waits for nobody."""
    printed, printing, _, out = ends
    monkeypatch.setattr(outputs, "LOG_BYTES", 100_000)
    output, stop = outputs.Output(printed, out), threading.Event()
    folder = folders.Folders(tmp_path, "s").begin(object(), 0, is_new=True, goes_on=False)
    log = output.begin(folder, lambda: None)

    def flood() -> None:
        while not stop.is_set():
            os.write(printing, b"more and more\n" * 1000)

    flooding = threading.Thread(target=flood)
    flooding.start()
    until(lambda: log.total > 1_000_000, 20)
    tail = output.end()
    stop.set()
    sizes = [path.stat().st_size for path in folder.logs]
    assert len(sizes) == 2
    assert max(sizes) <= 100_000 + outputs.CHUNK_BYTES
    assert len(tail) <= outputs.TAIL_BYTES
    assert set(tail.splitlines()[:-1]) == {"more and more"}
    flooding.join()
    output.close()


def test_who_does_not_read_keeps_no_trial(tmp_path: pathlib.Path, ends: tuple[int, int, int, int]) -> None:
    """What is printed between two trials and nobody takes is dropped once the pipe is full; the next one runs."""
    printed, printing, _, out = ends
    output = outputs.Output(printed, out)
    for _ in range(200):
        os.write(printing, b"between and more\n" * 200)
    folder = folders.Folders(tmp_path, "s").begin(object(), 0, is_new=True, goes_on=False)
    log = output.begin(folder, lambda: None)
    os.write(printing, b"its own\n")
    until(lambda: log.tail.endswith("its own\n"), 20)
    assert output.end().endswith("its own\n")
    output.close()


def _has(descriptor: int) -> bool:
    try:
        return bool(os.read(descriptor, 100))
    except BlockingIOError:
        return False
