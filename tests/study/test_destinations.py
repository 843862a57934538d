"""Where results are published, as it is typed."""

import pathlib

import publishing
import pytest

from search import errors
from search.study import destinations, specs


@pytest.mark.parametrize(
    ("text", "kind", "place"),
    [
        ("mlflow:http://127.0.0.1:5000", "mlflow", "http://127.0.0.1:5000"),
        ("mlflow:https://team.example.org/mlflow/", "mlflow", "https://team.example.org/mlflow"),
        ("mlflow:sqlite:///runs.db", "mlflow", "sqlite:///runs.db"),
        ("mlflow:databricks", "mlflow", "databricks"),
        ("mlflow:http://[::1]:5000", "mlflow", "http://[::1]:5000"),
        ("mlflow:databricks://team-1", "mlflow", "databricks://team-1"),
        ("tensorboard:/runs/board", "tensorboard", "/runs/board"),
        ("wandb:/runs/a b", "wandb", "/runs/a b"),
    ],
)
def test_a_place_is_read(text: str, kind: str, place: str) -> None:
    """Its kind, and what is behind the first colon."""
    found = destinations.read(text)
    assert (found.kind, found.place) == (kind, place)
    assert str(found) == f"{kind}:{place}"


def test_a_folder_is_absolute(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the folder that the reader is in, or of its home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert destinations.read("tensorboard:board").place == str(tmp_path / "board")
    assert destinations.read("wandb:~/runs").place == "/home/somebody/runs"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("board", "must be mlflow:URI, tensorboard:FOLDER or wandb:FOLDER, got 'board'"),
        ("neptune:x", "got 'neptune:...'"),
        ("http://user:secret@host", "got 'http:...'"),
        ("tensorboard:", "must be tensorboard:FOLDER, got 'tensorboard:'"),
        ("wandb: ", "must be wandb:FOLDER, got 'wandb: '"),
        ("mlflow:", "must be mlflow:http://HOST:PORT, "),
        ("mlflow:http:", "must be mlflow:http://HOST:PORT, "),
        ("mlflow:ftp://host", "must be mlflow:http://HOST:PORT, "),
        ("mlflow:http://user:secret@host", "must hold no user, password or option: "),
        ("mlflow:https://host/?token=secret", "must hold no user, password or option: "),
        ("mlflow:postgresql://user:secret@host/db", "must hold no user, password or option: "),
        ("mlflow:postgresql://user:secret@host/db", "; got mlflow:postgresql:***"),
        ("mlflow:secret@host.example/api:5000", "; got mlflow:***"),
        ("mlflow:secret:5000", "mlflow:databricks, got mlflow:***"),
        ("mlflow:ftp://host/secret", "mlflow:databricks, got mlflow:ftp:***"),
        ("mlflow:http://user:secret", "mlflow:databricks, got mlflow:http:***"),
        ("mlflow:databricks://profile:secret", "mlflow:databricks, got mlflow:databricks:***"),
        ("mlflow:sqlite://user:secret/runs.db", "mlflow:databricks, got mlflow:sqlite:***"),
        ("secret@host:5000", "got '***:...'"),
        ("user-secret0123456789", "got '***'"),
        (
            "tensorboard:s3://bucket/secret",
            "must be tensorboard:FOLDER, a folder and no address, got 'tensorboard:***'",
        ),
        ("wandb:https://api:secret@host", "must be wandb:FOLDER, a folder and no address, got 'wandb:***'"),
        ("wandb:runs/https://api:secret@host", "must be wandb:FOLDER, a folder and no address, got 'wandb:***'"),
        ("tensorboard:gs:/secret", "must be tensorboard:FOLDER, a folder and no address, got 'tensorboard:***'"),
    ],
)
def test_a_mistake_is_a_line_without_the_secret(text: str, said: str) -> None:
    """Of the command line and of a file, which says where it stands."""
    with pytest.raises(errors.InputError) as failed:
        destinations.read(text)
    assert str(failed.value).startswith("--to must ")
    assert said in str(failed.value)
    assert "secret" not in str(failed.value)
    for to in (f'"{text}"', f'["tensorboard:board", "{text}"]'):
        with pytest.raises(errors.StudyFileError) as failed:
            specs.parse(f"{publishing.TEXT}[publish]\nto = {to}\n", "own.toml")
        assert str(failed.value).startswith("own.toml: publish.to must ")
        assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    ("to", "shown"),
    [
        ("3", "3"),
        ("0", "0"),
        ("true", "True"),
        ("2026-11-01", "2026-11-01"),
        ('{ mlflow = "http://secret" }', "a table"),
        ("{}", "a table"),
        ('["wandb:/w", 1.5]', "1.5"),
        ('[["secret"]]', "a list"),
    ],
)
def test_what_is_no_text_is_a_line_with_the_forms(to: str, shown: str) -> None:
    """It asks for no number, and shows nothing that may hold a password."""
    with pytest.raises(errors.StudyFileError) as failed:
        specs.parse(f"{publishing.TEXT}[publish]\nto = {to}\n", "own.toml")
    forms = "mlflow:URI, tensorboard:FOLDER or wandb:FOLDER"
    assert str(failed.value) == (f"own.toml: publish.to must be a text, or a list of texts, each {forms}, got {shown}")


def test_a_file_has_one_or_several() -> None:
    """Each once; without [publish] there is none."""
    text = publishing.TEXT
    assert specs.parse(text, "x").publish.destinations == []
    one = specs.parse(f'{text}[publish]\nto = "wandb:/w"\nseconds = 60\n', "x").publish
    assert ([str(each) for each in one.destinations], one.seconds) == (["wandb:/w"], 60)
    several = specs.parse(f'{text}[publish]\nto = ["wandb:/w", "wandb:/w", "tensorboard:/t"]\n', "x").publish
    assert [str(each) for each in several.destinations] == ["wandb:/w", "tensorboard:/t"]
