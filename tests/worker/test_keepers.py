"""Files that a worker keeps for its trial."""

import pathlib
import threading

import pytest
from s3_services import S3
from trials import Make, begin

from search import errors
from search.storage import databases, stores
from search.worker import keepers


@pytest.mark.parametrize("place", [None, "shared"])
def test_a_folder_that_others_may_not_see_is_said(
    opened: databases.Database,
    make_study: Make,
    tmp_path: pathlib.Path,
    own_folder: None,
    caplog: pytest.LogCaptureFixture,
    place: str | None,
) -> None:
    """Where workers of other machines may be at the study, and nobody has named a store: once."""
    study = make_study()
    (tmp_path / "file").write_text("x")
    keeper = keepers.Keeper(opened, study, begin(opened, study), threading.Event(), place)
    for name in ("a", "b"):
        keeper.keep(tmp_path / "file", name)
    is_alone = place is None and opened.url.startswith("postgresql")
    assert caplog.text.count("event=local-store folder=") == int(is_alone)
    assert len(stores.Store(stores.location(None, opened.url, place)).names()) == 2


def test_who_is_asked_to_stop_hands_over(
    opened: databases.Database,
    make_study: Make,
    tmp_path: pathlib.Path,
    s3: S3,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While its store is away, too: the trial waits for a worker that reaches it."""
    del s3
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    stores._bucket.cache_clear()
    study, stop = make_study(), threading.Event()
    (tmp_path / "file").write_text("x")
    keeper = keepers.Keeper(opened, study, begin(opened, study), stop, "s3://hpo/away")
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(errors.HandOver):
        keeper.keep(tmp_path / "file", "a")
    stores._bucket.cache_clear()
