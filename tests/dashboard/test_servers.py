"""The dashboard behind its door, its metrics and pictures; in a real browser too."""

import base64
import dataclasses
import http.client
import io
import json
import pathlib
import signal
import socket
import threading
import time

import numpy
import pytest
from conftest import Processes, Server, quick_text
from doors import HASH, ME, PASSWORD, ask, ask_bytes, basic, finish, started
from matplotlib import image
from optuna.trial import TrialState
from playwright import sync_api
from processes import until
from trials import Make
from waitress import wasyncore

from search.dashboard import curves, listeners, metrics, passwords, servers
from search.ledger import allocations, claims, presence, queues, rosters, studies
from search.storage import addresses, databases
from search.study import notes, specs


def test_everybody_reads(opened: databases.Database, make_study: Make) -> None:
    """The dashboard's pages and its API answer; a study has its settings as note, a trial its reason and worker."""
    study = make_study()
    finish(opened, study, [0.2, 0.1], TrialState.PRUNED, "hopeless after epoch 2")
    door = servers.Door(opened)
    assert ask(door, "/")[0] == 302
    assert "<html" in ask(door, "/dashboard")[1]
    assert ask(door, f"/dashboard/studies/{study.study_id}")[0] == 200
    status, text = ask(door, f"/api/studies/{study.study_id}?after=0")
    detail = json.loads(text)
    (trial,) = detail["trials"]
    attrs = {each["key"]: each["value"] for each in trial["user_attrs"]}
    assert (status, trial["state"]) == (200, "Pruned")
    assert attrs == {"search:reason": "hopeless after epoch 2", "search:worker": "host:1"}
    assert detail["note"]["body"] == notes.markdown(study.spec)
    assert "| `width` | `8, 16, 32` | `depth > 0` |" in detail["note"]["body"]
    assert study.spec.text.strip() in detail["note"]["body"]
    assert ask(door, "/csv/1")[0] == 200


def test_a_long_note_is_read_whole() -> None:
    """A note is stored in pieces, and optuna-dashboard reads the same text from them."""
    spec = specs.parse(quick_text() + "# " + "x" * 9_000, "x")
    attributes = notes.attributes(spec)
    assert len(attributes) == 6
    from optuna_dashboard._note import get_note_from_system_attrs

    assert get_note_from_system_attrs(attributes, None) == {"version": 1, "body": notes.markdown(spec)}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FROBNICATE"])
def test_writes_are_refused(opened: databases.Database, make_study: Make, method: str) -> None:
    """Any method but GET and HEAD is answered 405, and nothing has changed."""
    study, door = make_study(), servers.Door(opened)
    body = json.dumps({"study_name": "more", "directions": ["maximize"]}).encode()
    for path in ("/api/studies", "/api/studies/1", "/healthz", "/metrics", "/api/artifacts/1"):
        answered = ask(door, path, method, body, HTTP_AUTHORIZATION=basic(PASSWORD))
        assert answered == (405, "this dashboard only reads\n"), path
        assert studies.names(opened) == [study.name], path
        assert [each.study_name for each in opened.optuna.get_all_studies()] == [study.name], path


def test_the_password_opens_writing(opened: databases.Database, make_study: Make) -> None:
    """With it the dashboard writes; without it, with another or from another origin it does not."""
    study = make_study()
    door = servers.Door(opened, password_hash=HASH)
    path, body = f"/api/studies/{study.study_id}/note", json.dumps({"body": "changed", "version": 2}).encode()
    assert ask(door, path, "PUT", body)[0] == 401
    for wrong in (
        basic("other"),
        basic(""),
        "Basic ???",
        "Bearer x",
        "Basic " + base64.b64encode(b"\xff:\xfe").decode(),
    ):
        assert ask(door, path, "PUT", body, HTTP_AUTHORIZATION=wrong)[0] == 401
    status, text = ask(door, path, "PUT", body, HTTP_AUTHORIZATION=basic(PASSWORD), HTTP_ORIGIN="http://evil.example")
    assert (status, text.partition(";")[0]) == (
        403,
        "a page of 'http://evil.example' may not write to 'localhost:8080'",
    )
    assert "changed" not in str(opened.optuna.get_study_system_attrs(study.study_id))
    origin = "http://localhost:8080"
    assert ask(door, path, "PUT", body, HTTP_AUTHORIZATION=basic(PASSWORD), HTTP_ORIGIN=origin)[0] == 204
    assert opened.optuna.get_study_system_attrs(study.study_id)[notes.PIECE + "0"] == "changed"
    assert ask(door, "/api/artifacts/1", "POST", b"{}", HTTP_AUTHORIZATION=basic(PASSWORD))[0] == 405


def test_a_study_deleted_on_the_dashboard_is_gone(opened: databases.Database, make_study: Make) -> None:
    """Its pictures need no deleting, and its metrics end."""
    study = make_study()
    finish(opened, study, [0.2], TrialState.COMPLETE)
    door = servers.Door(opened, password_hash=HASH)
    assert study.name in ask(door, "/metrics")[1]
    assert ask(door, f"/api/studies/{study.study_id}", "DELETE", b"{}", HTTP_AUTHORIZATION=basic(PASSWORD))[0] == 204
    assert studies.names(opened) == []
    status, text = ask(door, "/metrics")
    assert (status, study.name in text) == (200, False)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:1", 200), ("127.0.0.1:8080", 200), ("[::1]:80", 200), ("localhost.", 200),
        ("lab.example", 200), ("Lab.Example:8080", 200), ("evil.example", 400), ("localhost.evil.example", 400),
        ("", 400), ("[", 400), ("localhost@evil.example", 400), ("evil.example:80:80", 400),
    ],
)  # fmt: skip
def test_only_known_hosts(opened: databases.Database, host: str, status: int) -> None:
    """Another Host header is refused on every page; health and metrics are exempt."""
    door = servers.Door(opened, hosts=["Lab.example"])
    assert ask(door, "/dashboard", HTTP_HOST=host)[0] == status
    assert ask(door, "/api/studies", HTTP_HOST=host)[0] == status
    assert ask(door, "/healthz", HTTP_HOST=host) == (200, "ok\n")
    assert ask(door, "/metrics", HTTP_HOST=host)[0] == 200
    assert ask(servers.Door(opened, hosts=["*"]), "/dashboard", HTTP_HOST=host)[0] == 200


def test_finished_trials_have_their_learning_curve(opened: databases.Database, make_study: Make) -> None:
    """A PNG per finished trial that reported, none for one that runs or never trained; and nothing is stored."""
    study = make_study()
    whole = finish(opened, study, [0.1, 0.5, 0.8], TrialState.COMPLETE)
    finish(opened, study, [], TrialState.PRUNED, "hopeless before training")
    broken = finish(opened, study, [float("nan"), float("inf"), 0.5], TrialState.FAIL, "ValueError: $x$ | $\\frac{1$")
    door = servers.Door(opened)
    running = allocations.take(opened, study, ME, presence.Watch(30.0))
    assert isinstance(running, claims.Claim)
    claims.report(opened, running, {1: 0.5}, 1.0, {})

    def listed() -> dict[int, list[dict[str, str]]]:
        trials = json.loads(ask(door, f"/api/studies/{study.study_id}?after=0")[1])["trials"]
        return {trial["trial_id"]: trial["artifacts"] for trial in trials}

    found = listed()
    assert [len(each) for each in found.values()] == [1, 0, 1, 0]
    for trial_id in (whole, broken):
        (entry,) = found[trial_id]
        status, picture = ask_bytes(door, f"/artifacts/{study.study_id}/{trial_id}/{entry['artifact_id']}")
        pixels = image.imread(io.BytesIO(picture))
        assert (status, entry["mimetype"], pixels.shape) == (200, "image/png", (432, 768, 4))
        # the line, or the mark at the end of a trial that has a reason
        colour = numpy.array([0, 0x72, 0xB2] if trial_id == whole else [0xD5, 0x5E, 0]) / 255
        assert (numpy.abs(pixels[..., :3] - colour).max(axis=2) < 0.05).sum() > 60
    assert ask(door, f"/artifacts/{study.study_id}/{whole}/00000000-0000-0000-0000-00000000ffff")[0] == 404
    stored = {key for t in opened.optuna.get_all_trials(study.study_id) for key in t.system_attrs}
    assert not any(key.startswith(curves.ENTRY) for key in stored)


def samples(text: str) -> dict[str, float]:
    """Prometheus's text: value by name and labels."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics_count_what_happened(opened: databases.Database, make_study: Make) -> None:
    """States, best, budget, epochs and images, workers, orphans, adoptions, hours; a failed scrape is a 503."""
    study = make_study(trials=9, more="hours = 2.5")
    finish(opened, study, [0.1, 0.5, 0.8], TrialState.COMPLETE)
    finish(opened, study, [0.1], TrialState.PRUNED, "hopeless")
    finish(opened, study, [], TrialState.FAIL, "raised")
    queues.enqueue(opened, study, {"depth": 0})
    gone = presence.Identity("host:2", ME.host, 2**22 + 1, 1.0)  # no process has this pid
    assert isinstance(allocations.take(opened, study, gone, presence.Watch(30.0)), claims.Claim)  # the enqueued one
    orphaned = samples(ask(servers.Door(opened), "/metrics")[1])
    assert orphaned['search_orphans{study="quick"}'] == 1
    adopted = allocations.take(opened, study, ME, presence.Watch(30.0))
    assert isinstance(adopted, claims.Claim)
    assert adopted.how == "adopted"
    found = samples(ask(servers.Door(opened), "/metrics")[1])
    assert found == {
        'search_trials{state="complete",study="quick"}': 1,
        'search_trials{state="pruned",study="quick"}': 1,
        'search_trials{state="failed",study="quick"}': 1,
        'search_trials{state="running",study="quick"}': 1,
        'search_trials{state="waiting",study="quick"}': 0,
        'search_todo_trials{study="quick"}': 7,  # of 9, two have finished
        "search_all_todo_trials": 7,
        'search_paused_trials{study="quick"}': 0,
        'search_best_value{study="quick"}': 0.8,
        'search_budget_trials{study="quick"}': 9,
        'search_budget_hours{study="quick"}': 2.5,
        'search_active{study="quick"}': 1,
        'search_workers_alive{study="quick"}': 0,
        'search_orphans{study="quick"}': 1,  # the adopter is not in the roster: no worker process runs here
        'search_lacked_trials{study="quick"}': 0,
        'search_epochs_per_second{study="quick"}': 0,
        'search_samples_per_second{study="quick"}': 0,
        'search_epochs_total{study="quick"}': 4,
        'search_samples_total{study="quick"}': 2400,
        'search_adoptions_total{study="quick"}': 1,
        'search_cpu_hours_total{study="quick"}': 0.03,
        "search_unreadable_studies": 0,
    }
    for number, device in enumerate(("gpu 0", "gpu 1", "gpu 1")):
        rosters.Entry(study, dataclasses.replace(ME, name=f"here:{number}"), device, 30.0).show(opened)
    found = samples(ask(servers.Door(opened), "/metrics")[1])
    assert found['search_workers{device="gpu 0",study="quick"}'] == 1
    assert found['search_workers{device="gpu 1",study="quick"}'] == 2


def test_rates_are_those_of_the_last_minute() -> None:
    """What happened before the last minute of scrapes does not count."""
    rate = metrics.Rate()
    assert [rate.after(count, now) for count, now in ((100, 0.0), (150, 10.0), (150, 40.0))] == [0.0, 5.0, 1.25]
    assert rate.after(150, 75.0) == 0.0  # against the scrape at 10 s: the one before is older than a minute
    assert rate.after(140, 80.0) == 0.0  # never below


@pytest.mark.slow
def test_a_database_that_is_away_shows(postgres: Server) -> None:
    """Health and metrics say 503 with the reason while Postgres is stopped, and are well again after."""
    database = databases.Database(postgres.new_database(), patience_seconds=1)
    door = servers.Door(database)
    assert ask(door, "/healthz")[0] == ask(door, "/metrics")[0] == 200
    postgres.control("stop", "-m", "fast")
    try:
        for path in ("/healthz", "/metrics"):
            status, text = ask(door, path)
            assert (status, text.count("\n"), "stayed away for 1 s" in text) == (503, 1, True)
    finally:
        postgres.control("start")
    assert ask(door, "/healthz")[0] == ask(door, "/metrics")[0] == 200
    database.close()


@pytest.mark.slow
def test_the_command(
    processes: Processes, opened: databases.Database, make_study: Make, tmp_path: pathlib.Path
) -> None:
    """`search dashboard` serves, takes its password hash from a file, and ends well on SIGTERM and Ctrl-C."""
    make_study()
    (tmp_path / "hash").write_text(HASH + "\n")
    for number, options in ((signal.SIGTERM, ()), (signal.SIGINT, ("--password-hash-file", "hash"))):
        server, port = started(processes, *options)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", "/api/studies", "{}")
        answer = connection.getresponse()
        assert (answer.status, "password" in answer.read().decode()) == ((401, True) if options else (405, False))
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
        connection.close()
        server.send_signal(number)
        assert server.wait(20) == (130 if number == signal.SIGINT else 0)
        assert "Traceback" not in (server.stdout.read() if server.stdout else "")


def requested(port: int, method: str, path: str, password: str = "", source: str = "127.0.0.1") -> tuple[int, str, str]:
    """Status, Retry-After and text of an answer to somebody at a loopback address."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
    headers = {"Authorization": basic(password)} if password else {}
    connection.request(method, path, "{}" if method != "GET" else None, headers)
    answer = connection.getresponse()
    found = answer.status, answer.getheader("Retry-After", ""), answer.read().decode()
    connection.close()
    return found


@pytest.mark.slow
def test_a_crowd_does_not_stall_it(
    processes: Processes, opened: databases.Database, make_study: Make, tmp_path: pathlib.Path
) -> None:
    """With 100 wrong passwords at once and 200 idle connections it is healthy, and who has the password is let in."""
    study = make_study()
    (tmp_path / "hash").write_text(HASH + "\n")
    _, port = started(processes, "--password-hash-file", "hash")
    note = f"/api/studies/{study.study_id}/note"
    assert requested(port, "PUT", note, PASSWORD)[0] not in (401, 429)
    idle = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(200)]
    answers: list[tuple[int, str, str]] = []
    start = threading.Barrier(101)

    def guess() -> None:
        start.wait()
        answers.append(requested(port, "POST", "/api/studies", "wrong"))

    threads = [threading.Thread(target=guess) for _ in range(100)]
    for thread in threads:
        thread.start()
    start.wait()
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    asked.request("GET", "/healthz")
    assert asked.getresponse().read() == b"ok\n"
    for thread in threads:
        thread.join(60)
    counts = {status: sum(answer[0] == status for answer in answers) for status in (401, 429)}
    assert sum(counts.values()) == 100
    assert 1 <= counts[401] <= passwords.TRIES
    assert all(1 <= int(after) <= passwords.WINDOW_SECONDS for status, after, _ in answers if status == 429)
    for _ in range(passwords.TRIES):
        time.sleep(0 if requested(port, "POST", "/api/studies", "wrong")[0] == 429 else 0.1)
    status, after, text = requested(port, "POST", "/api/studies", PASSWORD + " ")
    assert (status, text) == (429, f"too many wrong passwords; try again in {after} s\n")
    assert requested(port, "PUT", note, PASSWORD)[0] not in (401, 429)  # at work before the guesses
    assert requested(port, "PUT", note, PASSWORD, source="127.0.0.2")[0] not in (401, 429)
    for client in idle:
        client.close()


@pytest.mark.slow
def test_health_does_not_wait_for_pages(postgres: Server) -> None:
    """More pages than there are threads wait for a table that is locked; /healthz has thread and connection."""
    url = postgres.new_database(postgres.prepared)
    database, other = databases.Database(url, patience_seconds=30), databases.Database(url)
    study = studies.create(database, specs.parse(quick_text(), "quick.toml"))
    server = listeners.listen(servers.Door(database), "127.0.0.1", 0)
    serving = threading.Thread(target=server.run, daemon=True)
    serving.start()
    port, answers = int(server.effective_port), list[int]()
    path = f"/api/studies/{study.study_id}?after=0"
    pages = [threading.Thread(target=lambda: answers.append(requested(port, "GET", path)[0])) for _ in range(12)]
    with other.engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("LOCK TABLE studies, trials IN ACCESS EXCLUSIVE MODE")
        for page in pages:
            page.start()
        until(lambda: len(server.task_dispatcher.queue) == len(pages) - listeners.THREADS, 30)
        assert requested(port, "GET", "/healthz") == (200, "", "ok\n")
        assert answers == []
    for page in pages:
        page.join(60)
    assert answers == [200] * len(pages)
    server.task_dispatcher.shutdown()
    wasyncore.close_all(server._map)
    serving.join(10)
    other.close()
    database.close()


def test_a_page_from_elsewhere_cannot_use_up_its_reader_s_tries(opened: databases.Database) -> None:
    """A browser sends what another site's page asks for: such guesses are refused before they count."""
    door = servers.Door(opened, password_hash=HASH)
    for origin in ("http://evil.example", "null", "http://["):
        for _ in range(passwords.TRIES):
            wrong = {"HTTP_AUTHORIZATION": basic("wrong"), "HTTP_ORIGIN": origin}
            assert ask(door, "/api/studies", "POST", b"{}", **wrong)[0] == 403
    assert ask(door, "/api/studies", "POST", b"{}", HTTP_AUTHORIZATION=basic("wrong"))[0] == 401


def test_a_traceback_of_the_dashboard_holds_no_secret(
    opened: databases.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it writes to its log of errors is scrubbed of the parts of addresses."""
    monkeypatch.setattr(addresses, "_secrets", set())
    path, log = "/artifacts/1/7/00000000-0000-0000-0000-000000000001", io.StringIO()
    assert ask_bytes(servers.Door(opened), path, **{"wsgi.errors": log})[0] == 500  # type: ignore[arg-type]
    assert "KeyError: 'Record does not exist.'" in log.getvalue()
    addresses.check_url("postgresql://me:Record@127.0.0.1/db")
    ask_bytes(servers.Door(opened), path, **{"wsgi.errors": log})  # type: ignore[arg-type]
    assert "KeyError: '*** does not exist.'" in log.getvalue()


@pytest.mark.slow
def test_mistakes_are_told_in_a_line(processes: Processes, opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """A taken port, a hash file that is missing or holds none, and an address of another machine."""
    (tmp_path / "plain").write_text("hunter2\n")
    (tmp_path / "empty").write_text("")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments, words in (
            (("--port", port), f"--port {port} on 127.0.0.1 cannot be listened on: Address already in use"),
            (("--port", "99999"), "99999 is not in the range"),
            (("--host", "203.0.113.1"), "cannot be listened on"),
            (("--password-hash-file", "plain"), "must hold what `search dashboard --hash-password` prints"),
            (("--password-hash-file", "empty"), "must hold a secret, got an empty file"),
            (("--password-hash-file", "none"), "cannot be read: No such file"),
        ):
            code, output = processes.run("dashboard", *arguments)
            assert (code, output.count("\n"), words in output) == (2, 1, True), output


@pytest.mark.slow
def test_a_browser_sees_a_trial_that_finished_after_the_page_was_opened(
    browser: sync_api.Browser, processes: Processes, opened: databases.Database, make_study: Make
) -> None:
    """The study page follows the study by itself, shows curve, reason and note, and offers no way to write."""
    study = make_study()
    finish(opened, study, [0.2, 0.4], TrialState.COMPLETE)
    _, port = started(processes)
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto(f"http://127.0.0.1:{port}/dashboard/studies/{study.study_id}/trials")
    page.get_by_text("1 Trials").wait_for()
    later = finish(opened, study, [0.3, 0.6, 0.9], TrialState.PRUNED, "hopeless after epoch 3")
    page.get_by_text("Trial 1", exact=True).wait_for(timeout=60_000)
    page.get_by_text("Trial 1", exact=True).click()
    page.get_by_text("hopeless after epoch 3").wait_for()
    picture = page.locator(f"img[src*='/artifacts/{study.study_id}/{later}/']").first
    picture.wait_for()
    until_drawn = time.monotonic() + 20
    while picture.evaluate("image => image.naturalWidth") != 768:
        assert time.monotonic() < until_drawn
        time.sleep(0.1)
    page.goto(f"http://127.0.0.1:{port}/dashboard/studies/{study.study_id}/note")
    page.get_by_text("Budget at the start").wait_for()
    refused = page.evaluate("fetch('/api/studies/1', {method: 'DELETE', body: '{}'}).then(answer => answer.status)")
    assert (refused, problems) == (405, [])
    page.close()


def test_several_ask_at_once(opened: databases.Database, make_study: Make) -> None:
    """Threads that read pages, pictures and metrics at the same time all get theirs."""
    study = make_study(trials=20)
    ids = [finish(opened, study, [0.1, 0.2], TrialState.COMPLETE) for _ in range(4)]
    door = servers.Door(opened)
    artifact = "/artifacts/{}/{}/00000000-0000-0000-0000-{:012x}"
    paths = [artifact.format(study.study_id, each, each) for each in ids]
    paths += ["/metrics", f"/api/studies/{study.study_id}?after=0", "/healthz"]
    answers: list[tuple[str, int]] = []

    def read(path: str) -> None:
        answers.extend((path, ask_bytes(door, path)[0]) for _ in range(3))

    threads = [threading.Thread(target=read, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 3 * len(paths)
    assert {status for _, status in answers} == {200}
