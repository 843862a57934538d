"""The dashboard behind a real nginx, below a path: in a browser, and for programs."""

import base64
import gzip
import http.client
import json
import pathlib
import re

import pytest
from conftest import Processes
from doors import HASH, PASSWORD, ask, basic, finish, started
from optuna.trial import TrialState
from playwright import sync_api
from proxies import Nginx
from trials import Make

from search.dashboard import pages, servers
from search.storage import databases

pytestmark = pytest.mark.slow
one_database = pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # paths are the same on any
LOCATION = "location {path} {{ proxy_pass http://127.0.0.1:{port}{to}; proxy_set_header Host {host}; {more} }}"


def location(port: int, path: str = "/hpo/", to: str = "/", host: str = "$http_host", more: str = "") -> str:
    return LOCATION.format(port=port, path=path, to=to, host=host, more=more)


def requested(
    port: int, path: str, method: str = "GET", body: str | None = None, **headers: str
) -> tuple[int, str, bytes]:
    """Status, Location and body of what a program is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"Content-Type": "application/json", **given})
    answer = connection.getresponse()
    found = answer.status, answer.getheader("Location", ""), answer.read()
    connection.close()
    return found


class Looked:
    """A page of a browser, and what went wrong in it: errors, refused requests, what was asked for outside a path."""

    def __init__(self, browser: sync_api.Browser, base: str) -> None:
        credentials = {"username": "anybody", "password": PASSWORD}
        self.context = browser.new_context(
            viewport={"width": 1400, "height": 1000}, ignore_https_errors=True, http_credentials=credentials
        )
        self.base, self.problems, self.page = base, list[str](), self.context.new_page()
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("response", self._answered)

    def _answered(self, answer: sync_api.Response) -> None:
        is_below = answer.url.startswith((f"{self.base}/", "data:", "blob:"))
        if not is_below or (answer.status >= 400 and answer.status != 401):
            self.problems.append(f"{answer.status} {answer.url}")

    def deep(self, path: str, words: str) -> None:
        """A page by its address: words are there."""
        self.page.goto(self.base + path)
        self.page.get_by_text(words).first.wait_for()
        assert self.page.url.startswith(self.base + path)


@one_database
@pytest.mark.timeout(600)  # of megabytes of script that a busy machine reads for every page
@pytest.mark.parametrize(("whole", "tls"), [(False, False), (True, True)], ids=["stripped", "whole-tls"])
def test_every_page_works_below_a_path(
    browser: sync_api.Browser,
    processes: Processes,
    opened: databases.Database,
    make_study: Make,
    nginx: Nginx,
    tmp_path: pathlib.Path,
    whole: bool,
    tls: bool,
) -> None:
    """Whether the proxy takes the path away or not: lists, plots, tables, pictures, links, writing."""
    study = make_study()
    ids = [finish(opened, study, [0.2, number / 9], TrialState.COMPLETE, "long " * 200) for number in range(3)]
    (tmp_path / "hash").write_text(HASH + "\n")
    _, port = started(processes, "--password-hash-file", "hash", *(("--sub-path", "/hpo") if whole else ()))
    front = nginx.serve(location(port, to="" if whole else "/"), tls)
    looked = Looked(browser, f"{'https' if tls else 'http'}://localhost:{front}/hpo")
    page, base = looked.page, looked.base
    one = f"/dashboard/studies/{study.study_id}"

    page.goto(f"{base}/")
    page.get_by_text(study.name).first.click()
    page.get_by_text("Hyperparameter Importance").first.wait_for()
    page.reload()
    page.locator(".js-plotly-plot svg").first.wait_for()
    assert page.url.startswith(f"{base}{one}")
    for path, words in (
        ("/dashboard", study.name),
        (f"{one}/analytics", "Hyperparameter Relationships"),
        (f"{one}/smartSelection", "Download CSV File"),
        (f"{one}/note", "Budget at the start"),
        (f"{one}/trials", "Trial 2"),
        (f"/dashboard/compare-studies?ids={study.study_id}", "Compare studies with"),
    ):
        looked.deep(path, words)
    page.goto(f"{base}{one}/smartSelection")
    link = page.get_by_text("Download CSV File")
    link.wait_for()
    with page.expect_download() as downloaded:
        link.click()
    assert downloaded.value.path().read_text().startswith("Number,State,")
    page.goto(f"{base}{one}/trials?numbers=2")
    wait_for_pictures(page, f"img[src='/hpo/artifacts/{study.study_id}/{ids[2]}/", 768)
    assert page.evaluate("document.documentElement.scrollWidth") == 1400  # long attributes scroll in their box

    path = f"/artifacts/{study.study_id}/{ids[0]}/00000000-0000-0000-0000-{ids[0]:012x}"
    note = json.dumps(
        {"version": 2, "body": f"![curve]({path}) [to it](/dashboard/studies/1/trials) [out](https://a.example/)"}
    )
    written = page.evaluate(
        "([url, body]) => fetch(url, {method: 'PUT', body, headers: {'Content-Type': 'application/json'}})"
        ".then(answer => answer.status)",
        [f"{base}/api/studies/{study.study_id}/note", note],
    )
    assert written == 204
    page.goto(f"{base}{one}/note")
    wait_for_pictures(page, f"img[src='/hpo{path}", 768)
    assert page.get_by_text("to it").get_attribute("href") == "/hpo/dashboard/studies/1/trials"
    assert page.get_by_text("out", exact=True).get_attribute("href") == "https://a.example/"
    icon = page.evaluate("document.querySelector('link[rel=icon]').href")
    assert icon == f"{base}/favicon.ico"
    assert looked.context.request.get(icon).headers["content-type"] == "image/vnd.microsoft.icon"
    assert looked.problems == []
    looked.context.close()


def wait_for_pictures(page: sync_api.Page, selector: str, width: int) -> None:
    picture = page.locator(
        f"{selector}']" if selector.endswith("'") else selector.replace("src='", "src^='") + "']"
    ).first
    picture.wait_for()
    page.wait_for_function("([image, width]) => image.naturalWidth === width", arg=[picture.element_handle(), width])


@one_database
def test_programs_ask_through_a_proxy(
    processes: Processes,
    opened: databases.Database,
    make_study: Make,
    nginx: Nginx,
) -> None:
    """Health, metrics, redirects and files, by each way in which nginx can hand a path on."""
    make_study()
    _, port = started(processes, SEARCH_DASHBOARD_SUB_PATH="/hpo/")
    ways = [
        location(port),
        location(port, "/whole/hpo/", "/hpo/"),
        location(port, "/doubled"),
        location(port, "/plain/", more='proxy_set_header Accept-Encoding "";'),
    ]
    front = nginx.serve("\n".join(ways))
    for way in ("/hpo", "/whole/hpo", "/doubled", "/plain"):
        assert requested(front, f"{way}/healthz") == (200, "", b"ok\n"), way
        assert b'search_active{study="quick"}' in requested(front, f"{way}/metrics")[2], way
        assert b"study_summaries" in requested(front, f"{way}/api/studies")[2], way
        assert requested(front, f"{way}/favicon.ico")[0] == 200, way
        assert requested(front, f"{way}/static/bundle.js")[2] == pages.rewritten(pages.FILE.read_bytes()), way
        assert requested(front, f"{way}/")[:2] == (302, "/hpo/dashboard"), way
    packed = requested(front, "/hpo/static/bundle.js", Accept_Encoding="gzip")[2]
    assert gzip.decompress(packed) == pages.rewritten(pages.FILE.read_bytes())
    packed = requested(front, "/hpo/api/studies", Accept_Encoding="gzip")[2]
    assert b"study_summaries" in (gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed)
    for path in ("/hpo/dashboard", "/hpo/static/bundle.js"):
        assert requested(front, path, "HEAD") == (200, "", b"")
    known = {"If_None_Match": f"W/{pages._script().tag}"}
    assert requested(front, "/hpo/static/bundle.js", **known) == (304, "", b"")
    page = requested(front, "/hpo/dashboard/studies/1", If_Modified_Since="Fri, 01 Jan 2100 00:00:00 GMT")
    assert (page[0], b'src="../../static/bundle.js"' in page[2]) == (200, True)  # not one of before an upgrade
    assert requested(port, "/hpo/healthz") == (200, "", b"ok\n")
    assert requested(port, "/")[1] == "/hpo/dashboard"


@one_database
def test_a_proxy_that_keeps_a_path_is_told_what_to_do(opened: databases.Database) -> None:
    """Where no --sub-path was given, what comes below one is answered in a line with that option."""
    status, text = ask(servers.Door(opened), "/a/hpo/dashboard/studies/1")
    assert status == 404
    assert text == (
        "there is no page '/a/hpo/dashboard/studies/1' here; where a proxy serves the dashboard below /a/hpo, "
        "`search dashboard --sub-path /a/hpo` or SEARCH_DASHBOARD_SUB_PATH says so\n"
    )


@one_database
def test_names_and_passwords_through_a_proxy(
    processes: Processes,
    opened: databases.Database,
    make_study: Make,
    nginx: Nginx,
    tmp_path: pathlib.Path,
) -> None:
    """The browser's name has to be known, by Host or X-Forwarded-Host; nginx may ask for the password, or send it."""
    study = make_study()
    (tmp_path / "hash").write_text(HASH + "\n")
    (tmp_path / "users").write_text(f"ada:{{PLAIN}}{PASSWORD}\neve:{{PLAIN}}other\n")
    _, port = started(processes, "--password-hash-file", "hash", "--host-name", "lab.example")
    ask_for_it = f"auth_basic lab; auth_basic_user_file {tmp_path}/users;"
    ours = f'proxy_set_header Authorization "Basic {base64.b64encode(f"door:{PASSWORD}".encode()).decode()}";'
    ways = [
        location(port),
        location(port, "/silent/", host="$proxy_host"),
        location(port, "/forwarded/", host="$proxy_host", more="proxy_set_header X-Forwarded-Host $http_host;"),
        location(port, "/asks/", more=ask_for_it),
        location(port, "/sends/", more=ask_for_it + ours),
    ]
    front = nginx.serve("\n".join(ways))

    def write(way: str, host: str = "lab.example", origin: str = "https://lab.example", **headers: str) -> int:
        version = str(opened.optuna.get_study_system_attrs(study.study_id)["dashboard:note_ver"] + 1)  # type: ignore[operator]
        body = json.dumps({"version": int(version), "body": version})
        path = f"{way}/api/studies/{study.study_id}/note"
        return requested(front, path, "PUT", body, Host=host, Origin=origin, **headers)[0]

    right = {"Authorization": basic(PASSWORD)}
    assert write("/hpo") == 401
    assert write("/hpo", **right) == 204
    assert write("/hpo", "lab.example:8443", "https://lab.example:8443", **right) == 204
    assert write("/hpo", "evil.example", "https://evil.example", **right) == 400
    assert write("/hpo", origin="https://evil.example", **right) == 403
    assert write("/forwarded", **right) == 204
    assert write("/forwarded", "evil.example", "https://evil.example", **right) == 400
    status, _, text = requested(front, "/silent/api/studies", "POST", "{}", Origin="https://lab.example", **right)
    assert (status, text.decode()) == (
        403,
        f"a page of 'https://lab.example' may not write to '127.0.0.1:{port}'; "
        "a proxy between must hand on the browser's Host\n",
    )
    for way, mine, others in (("/asks", 204, 401), ("/sends", 204, 204)):
        assert requested(front, f"{way}/dashboard", Host="lab.example")[0] == 401
        users = {"ada": PASSWORD, "eve": "other"}
        sent = {n: "Basic " + base64.b64encode(f"{n}:{p}".encode()).decode() for n, p in users.items()}
        for name, expected in (("ada", mine), ("eve", others)):
            assert requested(front, f"{way}/dashboard", Host="lab.example", Authorization=sent[name])[0] == 200
            assert write(way, Authorization=sent[name]) == expected, (way, name)


def test_a_script_that_is_not_known_says_so() -> None:
    """Of an optuna-dashboard with other paths nothing is rewritten: at the root it works, elsewhere the page tells."""
    script = pages.FILE.read_bytes()
    other = script.replace(b'url_prefix:"/dashboard"', b'url_prefix:"/boards"')
    assert pages.rewritten(other) == pages.PRELUDE + pages.REFUSAL.encode() + other
    assert pages.CANNOT.encode() not in pages.rewritten(script)
    left = re.findall(rb'["`(]/(?:api|artifacts|csv|static)/', pages.rewritten(script))
    assert left == [b"(/artifacts/"]  # in the text of a note, which is stored


def test_the_page_that_cannot_says_what_to_do(
    browser: sync_api.Browser,
    nginx: Nginx,
    tmp_path: pathlib.Path,
) -> None:
    """In place of the dashboard, below a path; at the root the script runs."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static/bundle.js").write_bytes(
        pages.rewritten(b'document.getElementById("dashboard").textContent="runs"')
    )
    page = '<div id="dashboard"></div><script src="static/bundle.js"></script>'
    (tmp_path / "index.html").write_text(page)
    front = nginx.serve(f"location / {{ root {tmp_path}; }} location /hpo/ {{ alias {tmp_path}/; }}")
    opened = browser.new_page()
    for path, words in (("/index.html", "runs"), ("/hpo/index.html", pages.CANNOT)):
        opened.goto(f"http://localhost:{front}{path}")
        assert opened.locator("#dashboard").inner_text() == words
    opened.close()
