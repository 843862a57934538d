"""optuna-dashboard's page and script, made to work below any path: a proxy may serve them at https://host/hpo/.

They ask for absolute paths, as `/static/bundle.js`. Here the page asks relative to its own place, and the script puts
what stands before `/static/` in its own address before every path. So nobody has to tell them where they are.
"""

import functools
import gzip
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib import parse

import optuna_dashboard

from search.dashboard import plots

PAGE, SCRIPT = re.compile(r"/dashboard(/.*)?"), "/static/bundle.js"
ICON = "/favicon.ico"
READS = ("GET", "HEAD")
FILE = pathlib.Path(optuna_dashboard.__file__).parent / "public" / "bundle.js"
GZIP_LEVEL = 6
# a long attribute scrolls in its box, and not the whole page
STYLE = f"<style>main {{ min-width: 0 }}</style>\n{plots.STYLE}"
CANNOT = "This version of optuna-dashboard works at the root of a host only: give it a host name of its own."
# What a note may link to; it is stored without what precedes it, which is another one for each way to the dashboard
PRELUDE = rb"""const searchBase=new URL(document.currentScript.src).pathname.replace(/\/static\/[^\/]*$/,"");
const searchBelow=u=>/^\/(artifacts|csv|dashboard)(\/|$)/.test(u)?searchBase+u:u;
"""
REFUSAL = f'if(searchBase){{document.getElementById("dashboard").textContent="{CANNOT}";throw new Error("{CANNOT}")}}\n'
# Where the script names a path: what is there, what takes its place, and how often
REWRITES = (
    (rb'url_prefix:"/dashboard"', rb'url_prefix:searchBase+"/dashboard"', 1),
    (rb"\$\{this\.baseURL\}/api/", rb"${this.baseURL}${searchBase}/api/", 24),
    (rb"`\$\{(\w+)\}/artifacts/\$\{", rb"`${\1}${searchBase}/artifacts/${", 1),
    (rb"`/(artifacts|csv)/\$\{", rb"`${searchBase}/\1/${", 4),
    (rb"\.urlTransform\|\|(\w+)", rb".urlTransform||(u=>searchBelow(\1(u)))", 1),  # links and pictures in notes
)
UNCONDITIONAL = ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_RANGE")
REPLACED = ("last-modified", "etag", "content-length", "accept-ranges")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class Script(NamedTuple):
    """The script as it is sent, plain and compressed, and the name of this version of it."""

    plain: bytes
    compressed: bytes
    tag: str


class Pages:
    """The WSGI application of optuna-dashboard, whose pages stand anywhere.

    Where SCRIPT_NAME tells the path below which browsers reach it, redirects lead there.
    """

    def __init__(self, dashboard: Application) -> None:
        self._dashboard = dashboard

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request."""
        path, is_read = environ["PATH_INFO"], environ["REQUEST_METHOD"] in READS
        # optuna-dashboard fails where a proxy took the header away, and sends a packed icon as what no browser shows
        environ["HTTP_ACCEPT_ENCODING"] = environ.get("HTTP_ACCEPT_ENCODING", "") if path != ICON else ""
        if is_read and path == SCRIPT:
            return _send_script(environ, start_response)
        up = "../" * (path.count("/") - 1)
        if is_read and PAGE.fullmatch(path):
            return self._page(environ, start_response, up)
        root = f"{environ['SCRIPT_NAME']}/" if environ.get("SCRIPT_NAME") else up

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            led = [(name, _below(root, value) if name.lower() == "location" else value) for name, value in headers]
            return start_response(status, led, *more)

        return self._dashboard(environ, start)

    def _page(self, environ: Environ, start_response: StartResponse, up: str) -> Iterable[bytes]:
        """The page, in which paths are relative: the same file differs with the depth of its address."""
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        asked = {name: value for name, value in environ.items() if name not in UNCONDITIONAL} | {
            "REQUEST_METHOD": "GET"
        }
        begun: list[tuple[str, list[tuple[str, str]]]] = []
        answer = self._dashboard(asked, lambda status, headers, *more: begun.append((status, headers)))
        body = b"".join(answer)
        if close := getattr(answer, "close", None):
            close()
        ((status, headers),) = begun
        more = f'<link rel="icon" href="{up}{ICON[1:]}" />\n{STYLE}\n'.encode()
        body = body.replace(b"</head>", more + b"</head>", 1).replace(
            f'"{SCRIPT}"'.encode(), f'"{up}{SCRIPT[1:]}"'.encode()
        )
        kept = [(name, value) for name, value in headers if name.lower() not in REPLACED]
        start_response(status, [*kept, ("Content-Length", str(len(body))), ("Cache-Control", "no-cache")])
        return [] if is_head else [body]


def _below(root: str, location: str) -> str:
    """Where a redirect of optuna-dashboard leads: below `root`, whatever host the proxy has named."""
    asked = parse.urlsplit(location)
    return root + parse.urlunsplit(("", "", asked.path.lstrip("/"), asked.query, ""))


def _send_script(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    script = _script()
    headers = [("ETag", script.tag), ("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding")]
    if script.tag in environ.get("HTTP_IF_NONE_MATCH", ""):  # behind W/ too, which a proxy that compresses adds
        start_response("304 Not Modified", headers)
        return []
    is_compressed = "gzip" in environ["HTTP_ACCEPT_ENCODING"]
    body = script.compressed if is_compressed else script.plain
    headers += [("Content-Type", "text/javascript; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers + ([("Content-Encoding", "gzip")] if is_compressed else []))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


@functools.cache
def _script() -> Script:
    plain = rewritten(FILE.read_bytes())
    tag = f'"{hashlib.sha256(plain).hexdigest()[:16]}"'
    return Script(plain, gzip.compress(plain, GZIP_LEVEL), tag)


def rewritten(script: bytes) -> bytes:
    """The script, which finds its paths below its own; one that we do not know says so anywhere but at the root."""
    changed = script
    for pattern, words, count in REWRITES:
        changed, found = re.subn(pattern, words, changed)
        if found != count:
            return PRELUDE + REFUSAL.encode() + script
    return PRELUDE + plots.PRELUDE + plots.bounded(changed)
