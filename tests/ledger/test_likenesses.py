import unicodedata

import optuna
import pytest
from conftest import quick_text
from trials import Make

from search import errors
from search.ledger import copies, lives, studies
from search.storage import databases
from search.study import specs

ONE = "d'\u00e9t\u00e9"
TWO = unicodedata.normalize("NFD", ONE)


def test_a_name_is_found_however_its_accents_are_typed(opened: databases.Database, make_study: Make) -> None:
    """A study is created, found, renamed and copied by either form, and keeps one."""
    assert make_study(name=TWO).name == ONE
    with pytest.raises(errors.StudyExists):
        make_study(name=ONE)
    assert studies.load(opened, TWO).name == studies.load(opened, ONE).name == ONE
    copies.copy(opened, studies.load_stored(opened, TWO), TWO + "2")
    lives.rename(opened, studies.load_stored(opened, TWO), "e\u0301")
    assert studies.names(opened) == ["\u00e9", ONE + "2"]
    for call in (lives.rename, copies.copy):
        with pytest.raises(errors.StudyExists):
            call(opened, studies.load_stored(opened, "\u00e9"), TWO + "2")


def test_what_another_tool_named_looks_like_no_study_of_ours(opened: databases.Database, url: str) -> None:
    """A study that another tool called so, in the other form, keeps its name to itself and is found by both."""
    optuna.create_study(study_name=TWO, storage=url)
    found = studies.load_stored(opened, ONE)
    assert (found.name, found.token) == (TWO, None)
    with pytest.raises(errors.StudyExists, match="with accents of another form"):
        studies.create(opened, specs.parse(quick_text(ONE), "x"))
    lives.rename(opened, found, ONE)
    assert studies.load_stored(opened, TWO).name == ONE
