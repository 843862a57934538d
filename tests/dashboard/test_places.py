"""Paths, hosts and origins of requests that came through a proxy."""

import pytest

from search import errors
from search.dashboard import places


@pytest.mark.parametrize(
    ("given", "kept"), [("", ""), ("/", ""), ("/hpo", "/hpo"), ("/a/b.c/", "/a/b.c"), ("/~me", "/~me")]
)
def test_a_sub_path_is_taken(given: str, kept: str) -> None:
    """A path, with or without its last slash."""
    assert places.sub_path(given) == kept


@pytest.mark.parametrize(
    "given", ["hpo", "https://host/hpo", "//hpo", "/a b", "/a/../b", "/.", "/é", "/a?b", "/%41", "/a\n"]
)
def test_what_is_no_path_is_refused(given: str) -> None:
    """In one line that shows what was given."""
    with pytest.raises(errors.InputError, match=r"--sub-path must be like /hpo: .*, got") as raised:
        places.sub_path(given)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("given", ["/dashboard", "/api/x", "/static", "/metrics"])
def test_a_path_of_the_dashboard_s_own_is_no_sub_path(given: str) -> None:
    """It could not be told whether a proxy has taken it away."""
    with pytest.raises(errors.InputError, match="must not begin with /"):
        places.sub_path(given)


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/hpo/dashboard", "/dashboard"), ("/hpo", "/"), ("/hpo/", "/"), ("/dashboard", "/dashboard"),
        ("//dashboard", "/dashboard"),
        ("/hpo//api/studies", "/api/studies"), ("/hpox/api", "/hpox/api"), ("", "/"), ("/hpo/hpo/api", "/hpo/api"),
    ],
)  # fmt: skip
def test_the_sub_path_is_taken_away_once(path: str, kept: str) -> None:
    """Where it is there; a doubled slash, which a proxy leaves, is one."""
    assert places.within(path, "/hpo") == kept


@pytest.mark.parametrize(
    ("origin", "host", "forwarded", "own"),
    [
        ("http://localhost:8080", "localhost:8080", "", True),
        ("https://lab.example", "lab.example", "", True),
        ("https://lab.example", "lab.example:443", "", True),
        ("http://lab.example", "lab.example:80", "", True),
        ("https://lab.example:8443", "lab.example:8443", "", True),
        ("https://Lab.example", "127.0.0.1:8080", "lab.example", True),
        ("https://lab.example", "127.0.0.1:8080", "lab.example, inner", True),
        ("https://lab.example", "127.0.0.1:8080", "", False),
        ("https://lab.example:8443", "lab.example", "", False),
        ("http://localhost:3000", "localhost:8080", "", False),
        ("https://lab.example", "127.0.0.1:8080", "inner, lab.example", False),
        ("null", "localhost:8080", "", False),
        ("null", "", "", False),
        ("http://[", "[", "", False),
        ("http://localhost:x", "localhost", "", False),
    ],
)
def test_a_page_is_the_dashboard_s_own(origin: str, host: str, forwarded: str, own: bool) -> None:
    """Where its name and port are those that were asked for, by the browser or by the proxy in its name."""
    assert places.is_own(origin, {"HTTP_HOST": host, "HTTP_X_FORWARDED_HOST": forwarded}) is own
