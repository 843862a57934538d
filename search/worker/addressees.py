"""Whom messages go to: the addresses of a file, one a line. They are secrets, and named by their places in it."""

import dataclasses
import functools
import logging
import os
import pathlib
import re
import string
import types
import unicodedata
from typing import Any
from urllib import parse

from search import errors
from search.storage import addresses
from search.study import notices, validation

VARIABLE = "SEARCH_NOTIFY_URLS_FILE"  # of the environment: where the file is here, whatever a study says
EXTRA = 'pip install "optuna-search-service[notify]"'
MOST = 20  # addresses
LARGEST_BYTES = 100_000
WEBHOOKS = ("http", "https")
PLAIN = string.printable  # what stays as it was written
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://\S")


@dataclasses.dataclass(frozen=True)
class Addressee:
    """One of them.

    Attributes:
        place: its number among the addresses, from 1, and its scheme: what may be shown of it.
        url: the secret.
    """

    place: str
    url: str = dataclasses.field(repr=False)

    @property
    def is_webhook(self) -> bool:
        """Whether it takes our JSON; others are services of apprise's."""
        return self.place.partition(" ")[2] in WEBHOOKS


def check(notify: notices.Notify) -> None:
    """Passes a study of which nobody is told anything, or whose file of addresses is there.

    Raises:
        errors.InputError: see `load`.
    """
    if notify.is_on:
        load(notify)


def load(notify: notices.Notify, given: pathlib.Path | None = None) -> list[Addressee]:
    """Reads the file; from then on its secrets are hidden in all that is logged.

    Args:
        given: where it is here; what the environment says, or else the study, where nothing is given.

    Raises:
        errors.InputError: it cannot be read, holds no address, or one that cannot be sent to; no part of it is shown.
    """
    variable = os.environ.get(VARIABLE)
    path = given or pathlib.Path(variable or notify.urls_file or "")
    name = "--urls-file" if given else VARIABLE if variable else "notify.urls_file"
    name = f"{name} {validation.named(str(path))!r}"
    try:
        path = path.expanduser()
        with path.open("rb") as file:
            text = file.read(LARGEST_BYTES + 1)
        lines = text.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise errors.InputError(
            f"{name} cannot be read here: {reason}; {VARIABLE} names the file where it lies elsewhere"
        ) from None  # its own words repeat the path, which may be an address by mistake
    if len(text) > LARGEST_BYTES:
        raise errors.InputError(f"{name} must hold addresses, one a line, got more than {LARGEST_BYTES:,} bytes")
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    numbered = [(number, line) for number, line in numbered if line and not line.startswith("#")]
    if not numbered:
        raise errors.InputError(f"{name} must hold at least one address, one a line, got none")
    if len(numbered) > MOST:
        raise errors.InputError(f"{name} must hold at most {MOST} addresses, got {len(numbered)}")
    for _, url in numbered:
        addresses.hide(_secrets(url))
    return [_checked(url, count, f"{name}, line {number}") for count, (number, url) in enumerate(numbered, 1)]


def _checked(url: str, count: int, place: str) -> Addressee:
    found = SCHEME.match(url)
    if found is None or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise errors.InputError(f"{place}: must be an address, as https://... or mailto://..., without blanks")
    scheme = found[1].lower()
    if scheme not in WEBHOOKS:
        _check_service(url, scheme, place)
    elif (sendable := _sendable(url)) is None:
        raise errors.InputError(
            f"{place}: {scheme}:// must be followed by a host, and a port must be a number (a host beyond ASCII is "
            "best written as xn--...)"
        )
    else:
        url = sendable
        addresses.hide(_secrets(url))
    return Addressee(f"{count} {scheme}", url)


def _sendable(url: str) -> str | None:
    """The address of a webhook in ASCII, as browsers send it, a user aside; None where it has no host or no port."""
    try:
        parts = parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port
        name = host.encode("idna").decode("ascii")  # raises where a part of the host is empty or too long, too
        if not host or port == 0:
            return None
        # where it does not come back, a newer rule would name another host: a secret must not go to the wrong one
        if not host.isascii() and name.encode().decode("idna") != unicodedata.normalize("NFKC", host):
            return None
    except ValueError:
        return None
    if url.isascii():
        return url
    if not host.isascii():
        user, at, _ = parts.netloc.rpartition("@")
        parts = parts._replace(netloc=f"{user}{at}{name}{'' if port is None else f':{port}'}")
    rest = {part: parse.quote(getattr(parts, part), safe=PLAIN) for part in ("path", "query", "fragment")}
    return parse.urlunsplit(parts._replace(**rest))


@functools.lru_cache(MOST)
def _check_service(url: str, scheme: str, place: str) -> None:
    if service(url, place) is None:
        raise errors.InputError(f"{place}: no service of apprise takes this {scheme}:// address")


def service(url: str, place: str) -> Any:
    """Apprise's, of an address; None where it has none.

    Raises:
        errors.InputError: apprise is not installed.
    """
    return apprise(place).Apprise.instantiate(url, suppress_exceptions=True)


def apprise(place: str) -> types.ModuleType:
    """The library, which takes half a second to import.

    Raises:
        errors.InputError: it is not installed.
    """
    try:
        import apprise as found
    except ImportError as error:
        raise errors.InputError(
            f"{place}: addresses other than http:// and https:// need apprise: {EXTRA} installs it"
        ) from error
    # what it logs repeats addresses
    log = logging.getLogger("apprise")
    log.propagate, log.disabled = False, True
    return found


def _secrets(url: str) -> list[str]:
    """All of an address but its scheme, and the host of a webhook."""
    rest = url.partition("://")[2]
    user, _, host = rest.rpartition("@")
    behind = re.split(r"[/?#]", host, maxsplit=1)[1:] if url.lower().startswith(WEBHOOKS) else [host]
    return [url, rest, *behind, user, user.partition(":")[2]]
