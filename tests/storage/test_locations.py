"""The URL of a store."""

import pathlib

import pytest

from search import errors
from search.storage import locations


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("/data/../store", "/store"),
        ("file:///data/a%20b", "/data/a b"),
        ("file://localhost/data", "/data"),
        ("s3://bucket", "s3://bucket"),
        ("S3://bucket//a/b/", "s3://bucket/a/b"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("~/store", str(pathlib.Path.home() / "store")),
    ],
)
def test_a_place_has_one_form(url: str, place: str) -> None:
    """However it was written."""
    assert locations.check(url) == place
    assert locations.check(place) == place


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "must be a folder or a URL"),
        ("s3://key:secret@bucket/x", "must hold no password"),
        ("s3://bucket/x?secret=1", "must hold no password"),
        ("s3://", "must be s3://BUCKET or"),
        ("s3://bucket/../x", "must be s3://BUCKET or"),
        ("ftp://host/x", "must be a folder or begin with one of s3://"),
        ("file://data/x", "must be file:///FOLDER"),
    ],
)
def test_what_is_no_place_is_refused(url: str, message: str) -> None:
    """In one line that says what to do, and shows no secret."""
    with pytest.raises(errors.InputError, match=message) as told:
        locations.check(url, "trial.store")
    assert str(told.value).startswith("trial.store must")
    assert "secret" not in str(told.value)
