"""Sends a message to an address: our JSON to a webhook, a line of text to a service of apprise's.

Whatever a receiver does, it is over in a while. What is said of it names no part of the address.
"""

import base64
import contextlib
import dataclasses
import email.utils
import http.client
import json
import logging
import math
import queue
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib import parse

from search import errors
from search.worker import addressees

log = logging.getLogger("search")

ANSWER_SECONDS = 10.0  # that a webhook may be silent
WHOLE_SECONDS = 15.0  # that any receiver may take
POLL_SECONDS = 0.1  # between two looks at whether there is still time to wait
AGENT = "optuna-search-service"
KEY = "Idempotency-Key"


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a message did not go out.

    Attributes:
        reason: a phrase without secrets.
        wait_seconds: for how long the receiver has asked to be left alone, if it has.
    """

    reason: str
    wait_seconds: float | None = None


def send(addressee: addressees.Addressee, body: Mapping[str, Any]) -> Refusal | None:
    """Sends a message; returns why it did not go out, or None."""
    ((_, refusal),) = send_all([addressee], body)
    return refusal


def send_all(
    people: Sequence[addressees.Addressee], body: Mapping[str, Any], left: Callable[[], float] = lambda: math.inf
) -> Iterator[tuple[addressees.Addressee, Refusal | None]]:
    """Sends a message to all at once; each with why it did not go out, or None, as the answers come.

    A receiver that drips its answer, or a service that hangs, is left to a thread of its own, which ends with it.

    Args:
        left: for how many seconds from now answers may be waited for at most.
    """
    answers, began = queue.SimpleQueue[tuple[addressees.Addressee, Refusal | None]](), time.monotonic()
    for each in people:
        threading.Thread(target=lambda to=each: answers.put((to, _send(to, body))), name="notice", daemon=True).start()
    waiting = list(people)
    while waiting:
        wait = min(began + WHOLE_SECONDS - time.monotonic(), left())
        try:
            addressee, refusal = answers.get(timeout=min(max(0.0, wait), POLL_SECONDS))
        except queue.Empty:
            if wait > 0:
                continue
            break
        waiting.remove(addressee)
        yield addressee, refusal
    for each in waiting:
        yield each, Refusal(f"no answer in {time.monotonic() - began:.0f} s")


def _send(addressee: addressees.Addressee, body: Mapping[str, Any]) -> Refusal | None:
    try:
        return (_post if addressee.is_webhook else _tell)(addressee, body)
    except errors.InputError as error:
        return Refusal(str(error))
    except Exception as error:  # noqa: BLE001  # what a foreign library raises may hold the address: its kind says enough
        return Refusal(type(error).__name__)


class _Still(urllib.request.HTTPRedirectHandler):
    """A webhook that has moved is not followed: what is secret in its address would go elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """None."""


def _post(addressee: addressees.Addressee, body: Mapping[str, Any]) -> Refusal | None:
    parts = parse.urlsplit(addressee.url)
    headers = {"Content-Type": "application/json", "User-Agent": AGENT, KEY: str(body["id"])}
    if parts.username is not None:
        who = f"{parse.unquote(parts.username)}:{parse.unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(who.encode()).decode()}"
    url = parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    sent = json.dumps(body, allow_nan=False).encode()
    request = urllib.request.Request(url, sent, headers, method="POST")  # noqa: S310  # http or https: `addressees`
    try:
        with urllib.request.build_opener(_Still).open(request, timeout=ANSWER_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            more = ", which is not followed" if 300 <= error.code < 400 else ""
            return Refusal(f"answered {error.code}{more}", _retry_after(error.headers))
    except (OSError, http.client.HTTPException) as error:
        return Refusal(_said(error))


def _said(error: Exception) -> str:
    """What went wrong on the way, in a phrase; what it says itself may repeat the address."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer in {ANSWER_SECONDS:.0f} s"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not taken: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return "it speaks no TLS that is understood here"
    if isinstance(cause, socket.gaierror):
        return "its host is not known here"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return f"it broke off: {type(cause).__name__}"


def _retry_after(headers: Any) -> float | None:
    """Seconds of a header that gives seconds or a date."""
    given = str(headers.get("Retry-After") or "").strip()
    if given.isascii() and given.isdigit():
        return float(given[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _tell(addressee: addressees.Addressee, body: Mapping[str, Any]) -> Refusal | None:
    place = f"address {addressee.place}"
    apprise, service = addressees.apprise(place), addressees.service(addressee.url, place)
    if service is None:
        return Refusal("no service of apprise takes it")
    several = apprise.Apprise()
    several.add(service)
    text = f"{body['text']}\n\n{body['time']}, id {body['id']}"
    went_out = several.notify(
        title=f"{body['study']}: {body['event']}", body=text, body_format=apprise.NotifyFormat.TEXT
    )
    return None if went_out else Refusal("the service did not take it")
