"""[warm_start] of a study file."""

import mine
import pytest

from search import errors
from search.study import specs


def parse(storage: str) -> specs.StudySpec:
    return specs.parse(f'{mine.text()}[warm_start]\nfrom = "a"\nstorage = "{storage}"\n', "own.toml")


@pytest.mark.parametrize("storage", ["sqlite:///a.db", "sqlite:////tmp/a b.db", "postgresql://user@host:5432/search"])
def test_an_address_without_a_secret(storage: str) -> None:
    """A file, or a database and its user."""
    found = parse(storage).warm_start
    assert found is not None
    assert (found.source, found.storage) == ("a", storage)


@pytest.mark.parametrize(
    "storage",
    [
        "postgresql://user:hidden@host/search",
        "postgresql://user:hid@den@host/search",
        "postgresql://host/search?password=hidden",
        "mysql://user:hidden@host/search",
        "hidden",
    ],
)
def test_a_secret_is_not_stored_nor_shown(storage: str) -> None:
    """A study's text is for all to read: a password in it is refused, and not repeated."""
    with pytest.raises(
        errors.StudyFileError, match=r"own.toml: warm_start.storage must be .* got \w*://\*\*\*"
    ) as error:
        parse(storage)
    assert "hid" not in str(error.value)


def test_a_misspelt_key_is_named() -> None:
    """Before what is missing for it; one that is only missing is said to be."""
    for line, said in (
        ('frm = "one"', "warm_start.frm is not a known key, got 'one'"),
        ("", "warm_start.from is missing"),
    ):
        with pytest.raises(errors.StudyFileError) as error:
            specs.parse(f"{mine.text()}[warm_start]\n{line}\n", "own.toml")
        assert str(error.value) == f"own.toml: {said}"
