"""A message on its way to a real receiver, however that behaves."""

import email.utils
import pathlib
import socket
import time
from typing import Any

import pytest
import receivers

from search.storage import addresses
from search.study import notices
from search.worker import addressees, deliveries

BODY: dict[str, Any] = {"id": "0123", "event": "best", "study": "s", "text": "s: new best", "time": "now", "value": 0.5}


def one(folder: pathlib.Path, url: str) -> addressees.Addressee:
    (folder / "urls").write_text(url)
    (found,) = addressees.load(notices.Notify(urls_file=str(folder / "urls")))
    return found


def test_a_webhook_gets_the_body_and_its_id(tmp_path: pathlib.Path, receiver: receivers.Receiver) -> None:
    """JSON as it is, the id in a header too, and what stands before an @ as a password."""
    url = receiver.url.replace("127.0.0.1", "user:p%40ss@127.0.0.1")
    assert deliveries.send(one(tmp_path, url), BODY) is None
    assert receiver.got == [BODY]
    head = receiver.heads[0]
    assert (head["Idempotency-Key"], head["Content-Type"]) == ("0123", "application/json")
    assert head["Authorization"] == "Basic dXNlcjpwQHNz"
    assert receiver.paths == ["/hook/sEcReT-ToKeN-0123"]


def test_a_path_beyond_ascii_is_sent(tmp_path: pathlib.Path, receiver: receivers.Receiver) -> None:
    """As browsers send it, and hidden so, too."""
    assert deliveries.send(one(tmp_path, f"{receiver.url}/geheimnisvoll-ün?ö=ü"), BODY) is None
    assert receiver.paths == ["/hook/sEcReT-ToKeN-0123/geheimnisvoll-%C3%BCn?%C3%B6=%C3%BC"]
    assert "geheimnisvoll" not in addresses.scrub(receiver.paths[0])


@pytest.mark.parametrize(
    ("status", "headers", "reason", "wait"),
    [
        (500, {}, "answered 500", None),
        (429, {"Retry-After": "120"}, "answered 429", 120),
        (503, {"Retry-After": "soon"}, "answered 503", None),
        (302, {"Location": "http://127.0.0.1:9/"}, "answered 302, which is not followed", None),
        (404, {}, "answered 404", None),
    ],
)
def test_what_is_no_success_is_told(
    tmp_path: pathlib.Path,
    receiver: receivers.Receiver,
    status: int,
    headers: dict[str, str],
    reason: str,
    wait: float | None,
) -> None:
    """The status, and for how long the receiver asks to be left alone; a redirection is not followed."""
    receiver.answers = [(status, headers)]
    assert deliveries.send(one(tmp_path, receiver.url), BODY) == deliveries.Refusal(reason, wait)
    assert receiver.got == []


def test_a_date_to_wait_for_is_seconds(tmp_path: pathlib.Path, receiver: receivers.Receiver) -> None:
    """Retry-After may be a date."""
    receiver.answers = [(429, {"Retry-After": email.utils.formatdate(time.time() + 100, usegmt=True)})]
    refusal = deliveries.send(one(tmp_path, receiver.url), BODY)
    assert refusal is not None
    assert 90 < (refusal.wait_seconds or 0) <= 101


def test_who_hangs_or_drips_is_left(
    tmp_path: pathlib.Path, receiver: receivers.Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence ends a try, and so does an answer that comes a byte at a time."""
    monkeypatch.setattr(deliveries, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(deliveries, "WHOLE_SECONDS", 1.5)
    addressee = one(tmp_path, receiver.url)
    receiver.hang_seconds = 3
    assert deliveries.send(addressee, BODY) == deliveries.Refusal("no answer in 0 s")
    receiver.drips = True
    began = time.monotonic()
    assert deliveries.send(addressee, BODY) == deliveries.Refusal("no answer in 2 s")
    assert time.monotonic() - began < 3


def test_who_is_not_there_is_told_without_the_address(tmp_path: pathlib.Path) -> None:
    """Nobody at the port, no such host, a host that speaks no TLS: a phrase each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert deliveries.send(one(tmp_path, f"http://127.0.0.1:{port}/secret"), BODY) == deliveries.Refusal(
        "connection refused"
    )
    assert deliveries.send(one(tmp_path, "http://nobody.invalid/secret"), BODY) == deliveries.Refusal(
        "its host is not known here"
    )


def test_what_speaks_no_tls_is_told(tmp_path: pathlib.Path, receiver: receivers.Receiver) -> None:
    """https:// to a plain server."""
    refusal = deliveries.send(one(tmp_path, receiver.url.replace("http:", "https:")), BODY)
    assert refusal == deliveries.Refusal("it speaks no TLS that is understood here")


def test_a_service_of_apprises_gets_the_text(
    tmp_path: pathlib.Path, receiver: receivers.Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """json:// through the real library, with the id; what it says of a failure names no address."""
    url = f"json://127.0.0.1:{receiver.port}/sEcReT"
    assert deliveries.send(one(tmp_path, url), BODY) is None
    (got,) = receiver.got
    assert (got["title"], got["message"]) == ("s: best", "s: new best\n\nnow, id 0123")
    receiver.answers = [(500, {})]
    with caplog.at_level("DEBUG", "apprise"):
        assert deliveries.send(one(tmp_path, url), BODY) == deliveries.Refusal("the service did not take it")
    assert "sEcReT" not in "".join(record.getMessage() for record in caplog.records if record.name == "apprise")
