"""Files that trials have kept, on the dashboard."""

import json
import pathlib
import threading
import urllib.request

import pytest
import trials
from conftest import Processes
from doors import HASH, PASSWORD, ask, asked, basic, finish, started
from optuna.trial import TrialState
from s3_services import S3
from trials import Make

from search.dashboard import servers
from search.ledger import artifacts, studies
from search.storage import artifact_stores, databases, stores
from search.worker import ownership


@pytest.fixture
def kept(opened: databases.Database, make_study: Make, tmp_path: pathlib.Path) -> studies.Study:
    """A study whose one trial, still running, has kept a page with a script and a file of an odd name."""
    study = make_study()
    trial = ownership.OwnedTrial(
        opened, study, trials.begin(opened, study), threading.Event(), place=str(tmp_path / "store")
    )
    (tmp_path / "page").write_text("<script>alert(1)</script>")
    trial.artifact(tmp_path / "page", "plots/page.html")
    trial.artifact(tmp_path / "page", 'ö "quoted"\'; x=1.bin')
    return study


def paths(database: databases.Database, study: studies.Study) -> list[str]:
    """Where the page asks for them."""
    return [f"/artifacts/{study.study_id}/{e.trial_id}/{e.artifact_id}" for e in artifacts.of_study(database, study)]


def test_a_trial_s_page_lists_and_shows_them(
    opened: databases.Database, kept: studies.Study, tmp_path: pathlib.Path
) -> None:
    """Beside the learning curve of an ended trial; with kind, length and name, and as a page from nowhere."""
    finish(opened, kept, [0.5], TrialState.COMPLETE)
    door = servers.Door(opened, store=str(tmp_path / "store"))
    listed = json.loads(ask(door, f"/api/studies/{kept.study_id}?after=0")[1])["trials"]
    names = [[each["filename"] for each in trial["artifacts"]] for trial in listed]
    assert sorted(names[0]) == ["plots/page.html", 'ö "quoted"\'; x=1.bin']
    assert names[1] == ["learning-curve-1.png"]
    page, odd = paths(opened, kept)
    status, headers, body = asked(door, page)
    assert (status, body) == (200, b"<script>alert(1)</script>")
    assert (headers["Content-Type"], headers["Content-Length"]) == ("text/html", "25")
    assert headers["Content-Security-Policy"].startswith("sandbox ")
    assert "allow-same-origin" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers
    _, headers, _ = asked(door, odd)
    assert headers["Content-Disposition"] == "inline; filename*=UTF-8''%C3%B6%20%22quoted%22%27%3B%20x%3D1.bin"
    status, headers, body = asked(door, page, "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "25", b"")
    curve = listed[1]["artifacts"][0]["artifact_id"]
    status, headers, body = asked(door, f"/artifacts/{kept.study_id}/{listed[1]['trial_id']}/{curve}")
    assert (status, headers["Content-Type"], body[:4]) == (200, "image/png", b"\x89PNG")


def test_a_bucket_s_files_are_shown(
    opened: databases.Database, make_study: Make, tmp_path: pathlib.Path, s3: S3
) -> None:
    """As a folder's."""
    study, place = make_study(), s3.new_place()
    claim = trials.begin(opened, study)
    (tmp_path / "file").write_bytes(b"x" * (3 << 20))
    ownership.OwnedTrial(opened, study, claim, threading.Event(), place=place).artifact(tmp_path / "file", "a.bin")
    status, headers, body = asked(servers.Door(opened, store=place), paths(opened, study)[0])
    assert (status, headers["Content-Length"], body) == (200, str(3 << 20), b"x" * (3 << 20))


def test_what_is_not_to_be_had_is_told(opened: databases.Database, kept: studies.Study, tmp_path: pathlib.Path) -> None:
    """404 for what is gone from the store, 503 for a store that cannot be used, with its reason."""
    page, _ = paths(opened, kept)
    door = servers.Door(opened, store=str(tmp_path / "elsewhere"))
    status, text = ask(door, page)
    assert status == 404
    assert "/elsewhere has no 'artifacts/" in json.loads(text)["reason"]
    status, text = ask(servers.Door(opened, store="gs://no/library"), page)
    assert status == 503
    assert "needs the package gcsfs" in json.loads(text)["reason"]


def test_nothing_is_uploaded_or_deleted(
    opened: databases.Database, kept: studies.Study, tmp_path: pathlib.Path
) -> None:
    """With the password neither; but a study that is deleted takes its files along."""
    door = servers.Door(opened, password_hash=HASH, store=str(tmp_path / "store"))
    page, _ = paths(opened, kept)
    write = {"HTTP_AUTHORIZATION": basic(PASSWORD)}
    body = json.dumps({"file": "data:text/plain;base64,eA==", "filename": "x"}).encode()
    store = stores.Store(str(tmp_path / "store"))
    before = store.names()
    for method, path in (("DELETE", f"/api{page}"), ("POST", f"/api{page.rpartition('/')[0]}")):
        assert ask(door, path, method, body, **write) == (405, "this dashboard only reads\n")
    assert store.names() == before
    (owned,) = artifacts.of_study(opened, kept)[:1]
    opened.optuna.set_trial_state_values(owned.trial_id, TrialState.FAIL)
    assert ask(door, f"/api/studies/{kept.study_id}", "DELETE", b"{}", **write)[0] == 204
    assert store.names() == []


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_real_dashboard_serves_them(
    processes: Processes, opened: databases.Database, kept: studies.Study, tmp_path: pathlib.Path
) -> None:
    """Over HTTP, where `--store` says."""
    page, _ = paths(opened, kept)
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 4096 * 4)
    trial = artifacts.of_study(opened, kept)[0]
    entry = {**trial.entry, "artifact_id": artifacts.new_id(kept.token, 0), "filename": "large.bin"}
    stores.Store(str(tmp_path / "store")).put(artifact_stores.path_of(entry["artifact_id"]), large)
    opened.write(lambda connection: artifacts.put_row(connection, trial.trial_id, entry))
    _, port = started(processes, "--store", str(tmp_path / "store"))
    for path, content in (
        (page, b"<script>alert(1)</script>"),
        *[(f"{page.rpartition('/')[0]}/{entry['artifact_id']}", large.read_bytes())],
    ):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            assert answer.read() == content
