"""Studies as wholes, from Python."""

import pathlib

import pytest
from trials import Make, trained

import search
from search import errors
from search.ledger import presence, rosters, studies
from search.storage import databases


def test_rename_copy_delete(opened: databases.Database, make_study: Make, tmp_path: pathlib.Path) -> None:
    """As the commands: the copy comes back as an Optuna study; delete asks nobody."""
    trained(opened, make_study(trials=3))
    search.rename("quick", "monday", storage=opened)
    copied = search.copy("monday", "tuesday", storage=opened)
    assert (copied.study_name, len(copied.trials)) == ("tuesday", 1)
    elsewhere = search.copy("monday", "monday", to=f"sqlite:///{tmp_path}/other.db", storage=opened)
    assert (elsewhere.study_name, len(elsewhere.trials)) == ("monday", 1)
    search.delete("monday", storage=opened)
    assert studies.names(opened) == ["tuesday"]
    with pytest.raises(errors.StudyNotFound, match="no study 'monday' in .*; did you mean tuesday|there are tuesday"):
        search.delete("monday", storage=opened)


def test_not_under_workers(opened: databases.Database, make_study: Make) -> None:
    """What has workers is refused by all three."""
    rosters.Entry(make_study(), presence.Identity.this(), "cpu", 30.0).show(opened)
    with pytest.raises(errors.StudyInUse):
        search.delete("quick", storage=opened)
    for call in (search.rename, search.copy):
        with pytest.raises(errors.StudyInUse):
            call("quick", "new", storage=opened)
    assert studies.names(opened) == ["quick"]
