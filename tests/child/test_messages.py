"""What a worker and the process of an objective say to each other arrives whole and in order."""

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.child import messages

JSON = st.dictionaries(
    st.text(), st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists)
)


@pytest.fixture
def pair() -> Iterator[tuple[messages.Channel, messages.Channel]]:
    incoming, theirs_out = os.pipe()
    theirs_in, outgoing = os.pipe()
    yield messages.Channel(incoming, outgoing), messages.Channel(theirs_in, theirs_out)
    for descriptor in (incoming, theirs_out, theirs_in, outgoing):
        try:
            os.close(descriptor)
        except OSError:
            continue


@settings(max_examples=30, deadline=None)
@given(st.lists(JSON, max_size=5))
def test_what_is_said_is_received(said: list[dict[str, object]]) -> None:
    """Any JSON, several messages at once, in their order; line ends and half characters within are kept."""
    incoming, outgoing = os.pipe()
    ours, theirs = messages.Channel(incoming, outgoing), messages.Channel(incoming, outgoing)
    try:
        for message in said:
            ours.send(message)
        assert theirs.is_spoken_to == bool(said)
        assert [theirs.receive(1.0) for _ in said] == said
        assert not theirs.is_spoken_to
    finally:
        os.close(incoming)
        os.close(outgoing)


def test_a_message_longer_than_a_pipe(pair: tuple[messages.Channel, messages.Channel]) -> None:
    """Three megabytes, which no pipe holds, arrive whole; numbers that are not finite do too."""
    ours, theirs = pair
    message = {"is": "report", "attrs": {"text": "ä\n" * 1_000_000, "values": [float("inf"), float("-inf"), 1e308]}}
    sending = threading.Thread(target=ours.send, args=(message,))
    sending.start()
    assert theirs.receive(10.0) == message
    sending.join()


def test_silence_and_the_end(pair: tuple[messages.Channel, messages.Channel]) -> None:
    """Nothing said is None after the time; a side that is gone is an EOFError, and a BrokenPipeError for who speaks."""
    ours, theirs = pair
    assert theirs.receive(0.01) is None
    os.close(ours.outgoing)
    os.close(ours.incoming)
    with pytest.raises(EOFError):
        theirs.receive(1.0)
    with pytest.raises(BrokenPipeError):
        theirs.send({"is": "over"})
