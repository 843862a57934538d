"""The file of addresses: what it may hold, and that nothing of it is ever shown."""

import logging
import pathlib
import sys

import pytest

from search import errors
from search.storage import addresses
from search.study import notices
from search.worker import addressees

SECRET = "T0-sEcReT-B1"  # noqa: S105  # it is what the tests look for


def load(path: pathlib.Path, text: str | bytes) -> list[addressees.Addressee]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return addressees.load(notices.Notify(urls_file=str(path)))


def test_addresses_are_known_by_their_places(tmp_path: pathlib.Path) -> None:
    """Blank lines and comments aside, each has a number and its scheme; a webhook is told from apprise's services."""
    found = load(
        tmp_path / "urls",
        f"# chat\r\n\r\nHTTPS://hooks.example/{SECRET}\r\n  json://127.0.0.1:9/{SECRET}\r\nntfy://127.0.0.1:9/topic",
    )
    assert [each.place for each in found] == ["1 https", "2 json", "3 ntfy"]
    assert [each.is_webhook for each in found] == [True, False, False]
    assert SECRET not in repr(found)


def test_a_mark_of_windows_is_no_part_of_an_address(tmp_path: pathlib.Path) -> None:
    """The file is UTF-8, with the mark that an editor puts before it or without; before a remark too."""
    for text in ("https://hooks.example/x", "# chat\nhttps://hooks.example/x\n"):
        found = load(tmp_path / "urls", b"\xef\xbb\xbf" + text.encode())
        assert [each.url for each in found] == ["https://hooks.example/x"]


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://Bücher.example:81/x", "http://xn--bcher-kva.example:81/x"),
        ("http://ü:p%40@bücher.example/ün/%C3%BC?ö=a+b&c=%20#é", "http://ü:p%40@xn--bcher-kva.example/%C3%BCn/%C3%BC?%C3%B6=a+b&c=%20#%C3%A9"),
        ("HTTPS://Hooks.example./a/%zz;b=c?d", "HTTPS://Hooks.example./a/%zz;b=c?d"),
        ("https://xn--strae-oqa.example/ü", "https://xn--strae-oqa.example/%C3%BC"),
        ("http://[::1]:81/x", "http://[::1]:81/x"),
    ],
)  # fmt: skip
def test_a_webhook_is_written_in_ascii(tmp_path: pathlib.Path, url: str, sent: str) -> None:
    """Its host, path and options as browsers send them; what is encoded, or was ASCII, stays."""
    assert [each.url for each in load(tmp_path / "urls", url)] == [sent]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold at least one address, one a line, got none"),
        ("# nothing\n\n", "must hold at least one address, one a line, got none"),
        (f"hooks.example/{SECRET}", "line 1: must be an address"),
        (f"# x\nhttps://hooks.example/{SECRET} more", "line 2: must be an address"),
        (
            f"https://hooks.example:{SECRET}/",
            "line 1: https:// must be followed by a host, and a port must be a number",
        ),
        (f"https:///{SECRET}", "line 1: https:// must be followed by a host"),
        (f"https://{'x' * 64}.example/{SECRET}", "line 1: https:// must be followed by a host"),
        (f"https://straße.example/{SECRET}", "line 1: https:// must be followed by a host, and a port must"),
        (f"foo://{SECRET}", "line 1: no service of apprise takes this foo:// address"),
        (b"https://x/\xff", "cannot be read here: not UTF-8 text"),
        ("https://x/\n" * 21, "must hold at most 20 addresses, got 21"),
        ("#" * 100_001, "got more than 100,000 bytes"),
    ],
)
def test_mistakes_are_said_in_a_line_without_secrets(tmp_path: pathlib.Path, text: str | bytes, said: str) -> None:
    """File, line and rule, and nothing of the line itself."""
    with pytest.raises(errors.InputError) as raised:
        load(tmp_path / "urls", text)
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"notify.urls_file '{tmp_path}/urls'")
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_environment_says_where_it_is_here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container has it elsewhere than the study says; where it is nowhere, the line says how to name it."""
    with pytest.raises(errors.InputError, match="SEARCH_NOTIFY_URLS_FILE names the file where it lies elsewhere"):
        addressees.load(notices.Notify(urls_file=str(tmp_path / "urls")))
    (tmp_path / "here").write_text("https://hooks.example/x\n")
    monkeypatch.setenv(addressees.VARIABLE, str(tmp_path / "here"))
    assert len(addressees.load(notices.Notify(urls_file="elsewhere"))) == 1


def test_apprise_is_asked_for_only_where_it_is_needed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it webhooks are read; the line of another address says what to install."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    addressees._check_service.cache_clear()
    assert len(load(tmp_path / "urls", "https://hooks.example/x")) == 1
    with pytest.raises(errors.InputError, match=r'need apprise: pip install "optuna-search-service\[notify\]"'):
        load(tmp_path / "urls", "ntfy://topic")


def test_what_is_logged_hides_them(tmp_path: pathlib.Path) -> None:
    """From the reading on: whole, in part, and in another library's line; all else is readable."""
    load(tmp_path / "urls", f"https://user:pa55w0rd@hooks.example/services/{SECRET}\nntfy://{SECRET}@127.0.0.1:9/t")
    record = logging.LogRecord(
        "urllib3", logging.DEBUG, "", 0, f"POST /services/{SECRET} to hooks.example as user:pa55w0rd", (), None
    )
    shown = addresses.Formatter("%(message)s").format(record)
    assert SECRET not in shown
    assert "pa55w0rd" not in shown
    assert shown == "POST /*** to *** as ***"
