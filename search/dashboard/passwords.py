"""The password that opens writing: stored as argon2's hash, and guessed at a limited rate.

A hash is slow on purpose, so whoever may have one computed may keep the machine busy. What is refused is refused before
it, and what was right is remembered, by a keyed digest in memory: who is at work is not held up by others' guesses.
"""

import base64
import collections
import dataclasses
import enum
import hashlib
import ipaddress
import math
import secrets
import threading
import time

import argon2

from search import errors

WINDOW_SECONDS = 60.0
TRIES = 10  # of an address in a window
TRIES_OF_ALL = 60  # of all addresses together
AT_ONCE = 2  # hashes that are computed at a time, each for another address: 64 MB and a thread of the server each
REMEMBERED_SECONDS = 3_600.0
REMEMBERED = 256  # credentials, each from an address


class Verdict(enum.Enum):
    """What the door makes of credentials."""

    RIGHT = enum.auto()
    WRONG = enum.auto()
    LATER = enum.auto()


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A verdict; where it is LATER, after how many seconds it is worth another try."""

    verdict: Verdict
    seconds: int = 0


class Guard:
    """Judges credentials.

    Args:
        password_hash: what `hash_password` made.
    """

    def __init__(self, password_hash: str) -> None:
        self._hash = password_hash
        self._tries: collections.deque[tuple[float, str]] = collections.deque()
        self._remembered: collections.OrderedDict[bytes, float] = collections.OrderedDict()
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._at_work: set[str] = set()  # addresses for which a hash is computed

    def judge(self, address: str, header: str) -> Judgement:
        """What an Authorization header from an address is worth.

        Args:
            address: who asks, IP.
            header: of HTTP's Basic scheme; any user name.
        """
        credentials = _credentials(header)
        if credentials is None:
            return Judgement(Verdict.WRONG)
        place = _place(address)
        digest = hashlib.blake2b(f"{place} {credentials}".encode(), key=self._key).digest()
        now = time.monotonic()
        with self._lock:
            if self._remembered.get(digest, 0.0) > now:
                return Judgement(Verdict.RIGHT)
            if wait := self._wait(place, now):
                return Judgement(Verdict.LATER, math.ceil(wait))
            self._tries.append((now, place))
            self._at_work.add(place)
        right = False
        try:
            right = self._is_right(credentials.partition(":")[2])
        finally:
            with self._lock:
                self._at_work.discard(place)
                if right:
                    self._remember(digest)
                    if (now, place) in self._tries:  # it was no guess
                        self._tries.remove((now, place))
        return Judgement(Verdict.RIGHT if right else Verdict.WRONG)

    def _wait(self, place: str, now: float) -> float:
        """Seconds until this place may try; 0: now."""
        while self._tries and self._tries[0][0] <= now - WINDOW_SECONDS:
            self._tries.popleft()
        own = [when for when, who in self._tries if who == place]
        if len(own) >= TRIES:
            return own[0] + WINDOW_SECONDS - now
        if len(self._tries) >= TRIES_OF_ALL:
            return self._tries[0][0] + WINDOW_SECONDS - now
        return 1.0 if place in self._at_work or len(self._at_work) >= AT_ONCE else 0.0

    def _remember(self, digest: bytes) -> None:
        self._remembered[digest] = time.monotonic() + REMEMBERED_SECONDS
        self._remembered.move_to_end(digest)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    def _is_right(self, password: str) -> bool:
        try:
            return argon2.PasswordHasher().verify(self._hash, password)
        except argon2.exceptions.VerificationError:
            return False


def check_hash(text: str, place: str) -> str:
    """A password hash as it is stored.

    Raises:
        errors.InputError: it is none of argon2's.
    """
    try:
        argon2.extract_parameters(text.strip())
    except argon2.exceptions.InvalidHashError as error:
        raise errors.InputError(
            f"{place} must hold what `search dashboard --hash-password` prints, got something else"
        ) from error
    return text.strip()


def hash_password(password: str) -> str:
    """What `check_hash` takes."""
    return argon2.PasswordHasher().hash(password)


def _credentials(header: str) -> str | None:
    """`USER:PASSWORD` of a header of the Basic scheme."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        found = base64.b64decode(encoded, validate=True).decode()
    except ValueError:  # neither base64 nor UTF-8
        return None
    return found if ":" in found else None


def _place(address: str) -> str:
    """Who counts as one: an address, or all that an owner of IPv6 is usually given."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(ip), 64), strict=False))
    return str(ip)
