"""The password that opens writing: who may try, how often, and who is remembered."""

import base64
import threading
import time

import pytest
from doors import HASH, PASSWORD

from search.dashboard import passwords
from search.dashboard.passwords import Guard, Verdict

HERE, THERE = "203.0.113.1", "203.0.113.2"


def basic(password: str, user: str = "me") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def verdicts(guard: Guard, address: str, password: str, times: int) -> list[Verdict]:
    return [guard.judge(address, basic(password)).verdict for _ in range(times)]


def test_an_address_may_guess_so_often() -> None:
    """Then it is told when to come again, whatever it sends: no hash is computed. Others may try meanwhile."""
    guard = Guard(HASH)
    assert verdicts(guard, HERE, "wrong", passwords.TRIES) == [Verdict.WRONG] * passwords.TRIES
    for password in ("wrong", PASSWORD):
        judged = guard.judge(HERE, basic(password))
        assert judged.verdict is Verdict.LATER
        assert 0 < judged.seconds <= passwords.WINDOW_SECONDS
    assert guard.judge(THERE, basic(PASSWORD)).verdict is Verdict.RIGHT


def test_who_was_let_in_stays_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guesses from the same address, as behind a proxy, and from everywhere lock nobody out who is at work."""
    monkeypatch.setattr(passwords, "TRIES_OF_ALL", passwords.TRIES + 3)
    guard = Guard(HASH)
    assert guard.judge(HERE, basic(PASSWORD)).verdict is Verdict.RIGHT
    assert verdicts(guard, HERE, "wrong", passwords.TRIES + 1)[-1] is Verdict.LATER
    for number in range(passwords.TRIES_OF_ALL):
        guard.judge(f"198.51.100.{number}", basic("wrong"))
    assert guard.judge(THERE, basic(PASSWORD)).verdict is Verdict.LATER
    assert verdicts(guard, HERE, PASSWORD, 3) == [Verdict.RIGHT] * 3
    assert guard.judge(HERE, basic(PASSWORD, "somebody else")).verdict is Verdict.LATER
    assert guard.judge(HERE, basic(PASSWORD + " ")).verdict is Verdict.LATER


def test_hashes_are_computed_one_by_one_for_an_address() -> None:
    """Guesses at the same time are sent away at once but for one; another address has its turn beside it."""
    guard = Guard(HASH)
    found: dict[str, list[passwords.Judgement]] = {HERE: [], THERE: []}
    starting = threading.Barrier(13)

    def guess(address: str, password: str) -> None:
        starting.wait()
        found[address].append(guard.judge(address, basic(password)))

    threads = [threading.Thread(target=guess, args=(HERE, "wrong")) for _ in range(12)]
    threads.append(threading.Thread(target=guess, args=(THERE, PASSWORD)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [judged.verdict for judged in found[THERE]] == [Verdict.RIGHT]
    later = [judged for judged in found[HERE] if judged.verdict is Verdict.LATER]
    assert len(found[HERE]) == 12
    assert len(later) >= 12 - passwords.TRIES
    assert min(judged.seconds for judged in later) == 1


def test_right_passwords_are_no_guesses() -> None:
    """Any number of people may come in from one address within a window."""
    guard = Guard(HASH)
    for number in range(passwords.TRIES + 2):
        assert guard.judge(HERE, basic(PASSWORD, f"person {number}")).verdict is Verdict.RIGHT


def test_the_window_moves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """After it an address may try again, and what was remembered is forgotten in its time."""
    monkeypatch.setattr(passwords, "WINDOW_SECONDS", 2.0)
    monkeypatch.setattr(passwords, "REMEMBERED_SECONDS", 0.0)
    monkeypatch.setattr(passwords, "TRIES", 1)
    guard = Guard(HASH)
    assert guard.judge(HERE, basic("wrong")).verdict is Verdict.WRONG
    judged = guard.judge(HERE, basic(PASSWORD))
    assert judged.verdict is Verdict.LATER
    time.sleep(judged.seconds)
    assert guard.judge(HERE, basic(PASSWORD)).verdict is Verdict.RIGHT
    assert guard.judge(HERE, basic("wrong")).verdict is Verdict.WRONG
    assert guard.judge(HERE, basic(PASSWORD)).verdict is Verdict.LATER


@pytest.mark.parametrize("header", ["", "Basic", "Basic ???", "Bearer x", "Basic //79/Q=="])
def test_what_holds_no_password_is_no_guess(header: str) -> None:
    """A browser asks without one first, and is asked for it."""
    guard = Guard(HASH)
    for _ in range(passwords.TRIES + 1):
        assert guard.judge(HERE, header).verdict is Verdict.WRONG
    assert guard.judge(HERE, basic(PASSWORD)).verdict is Verdict.RIGHT


def test_a_network_of_ipv6_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner has 2**64 addresses; an IPv4 one that is written so stays one."""
    monkeypatch.setattr(passwords, "TRIES", 1)
    guard = Guard(HASH)
    assert guard.judge("2001:db8::1", basic("wrong")).verdict is Verdict.WRONG
    assert guard.judge("2001:db8::2:1%eth0", basic("wrong")).verdict is Verdict.LATER
    assert guard.judge("2001:db8:0:1::1", basic("wrong")).verdict is Verdict.WRONG
    assert guard.judge("::ffff:203.0.113.1", basic("wrong")).verdict is Verdict.WRONG
    assert guard.judge("::ffff:203.0.113.2", basic("wrong")).verdict is Verdict.WRONG
