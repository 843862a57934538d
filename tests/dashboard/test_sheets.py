"""The table of a study's trials."""

import csv
import io

import optuna
import optuna_dashboard
import pytest
from doors import ask, asked, fill

from search.dashboard import curves, servers, sheets
from search.storage import databases


@pytest.mark.parametrize("directions", [["minimize"], ["minimize", "maximize"]], ids=len)
def test_its_cells_are_optuna_dashboard_s(url: str, directions: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All trials or some, in pieces or not; what is not there is 404."""
    monkeypatch.setattr(sheets, "IN_A_PIECE", 7)
    study = fill(url, directions)
    database = databases.Database(url)
    door, application = servers.Door(database), optuna_dashboard.wsgi(curves.Gallery(database), None)
    for path in (f"/csv/{study._study_id}", f"/csv/{study._study_id}?trial_ids=3,%204,17"):
        status, headers, found = asked(door, path)
        expected = asked(application, path)[2].decode()
        assert (status, "odd.csv" in headers["Content-Disposition"]) == (200, True)
        assert [*csv.reader(io.StringIO(found.decode()))] == [*csv.reader(io.StringIO(expected))]
    assert b"all specified trial_ids is not found" in asked(door, f"/csv/{study._study_id}?trial_ids=99")[2]
    assert ask(door, "/csv/999")[0] == 404
    assert ask(door, f"/csv/{study._study_id}?trial_ids=x")[0] == 400
    database.close()


def test_any_name_is_a_file_s(url: str) -> None:
    """A name beyond Latin letters, or with a quote, is in the header as every browser reads it."""
    study = optuna.create_study(study_name='Sträße "δ" 日本', storage=url)
    database = databases.Database(url)
    status, headers, _ = asked(servers.Door(database), f"/csv/{study._study_id}")
    assert status == 200
    assert headers["Content-Disposition"].endswith("filename*=UTF-8''Str%C3%A4%C3%9Fe-%CE%B4-%E6%97%A5%E6%9C%AC.csv")
    database.close()
