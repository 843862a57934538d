"""What MLflow's client says when it fails: a line without what it logs in with."""

import pathlib
from collections.abc import Iterator

import publishing
import pytest

from search import cli, errors
from search.exports import mlflow_clients
from search.storage import addresses, databases

SECRETS = ("SECRETTOK", "SECRETWORD", "SECRETUSER", "SECRETKEY")


@pytest.fixture(autouse=True)
def none_before(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """No other test's secrets are known, and none that stand in the real home folder."""
    monkeypatch.setattr(addresses, "_secrets", set())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


@pytest.fixture
def database(tmp_path: pathlib.Path, prepared_file: pathlib.Path) -> Iterator[databases.Database]:
    (tmp_path / "search.db").write_bytes(prepared_file.read_bytes())
    opened = databases.Database(f"sqlite:///{tmp_path}/search.db")
    yield opened
    opened.close()


@pytest.mark.parametrize("token", ["SECRETTOK\n", " SECRETTOK\r", "SECRETTOK\r\nSECRETKEY", "SECRETTOK\x7f\n"])
@pytest.mark.parametrize("is_debugged", [False, True])
def test_a_token_that_no_header_takes_is_not_shown(
    database: databases.Database,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    token: str,
    is_debugged: bool,
) -> None:
    """Neither in the line nor in a traceback."""
    publishing.create(database)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
    port = publishing.free_port()
    debug = ["--debug"] if is_debugged else []
    given = ["publish", "own", "--to", f"mlflow:http://127.0.0.1:{port}", "--storage", database.url]
    assert cli.main([*given, *debug]) == 2
    said = capfd.readouterr().err
    assert f"--to mlflow:http://127.0.0.1:{port} does not take it: " in said
    assert "***" in said
    assert not [secret for secret in SECRETS if secret in said]


def test_what_logs_in_is_in_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once there is a client, of the environment: a token, a password, a long user, both as they are sent."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "SECRETUSER")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", " SECRETWORD ")
    monkeypatch.setenv("DATABRICKS_TOKEN", "SECRETKEY")
    mlflow_clients.Client("http://127.0.0.1:9")
    text = "SECRETUSER, SECRETWORD, SECRETKEY, Basic U0VDUkVUVVNFUjogU0VDUkVUV09SRCA="
    assert addresses.scrub(text) == "***, ***, ***, Basic ***"


def test_a_short_user_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be any word of a sentence."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "lab")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "SECRETWORD")
    mlflow_clients.Client("http://127.0.0.1:9")
    assert addresses.scrub("study lab waits: SECRETWORD") == "study lab waits: ***"


def test_the_file_of_credentials_is_hidden_too(tmp_path: pathlib.Path) -> None:
    """And one that cannot be read is a line that repeats nothing of it."""
    (tmp_path / ".mlflow").mkdir()
    path = tmp_path / ".mlflow" / "credentials"
    path.write_text("[mlflow]\nmlflow_tracking_username = lab\nmlflow_tracking_password = SECRETWORD\n")
    mlflow_clients.Client("http://127.0.0.1:9")
    assert addresses.scrub("no SECRETWORD") == "no ***"
    for text in ("[mlflow]\nmlflow_tracking_password = %SECRETKEY\n", "[mlflow]\nSECRETKEY\n", "SECRETKEY\n"):
        path.write_text(text)
        with pytest.raises(errors.PublishFailed, match="~/.mlflow/credentials cannot be read: ") as failed:
            mlflow_clients.Client("http://127.0.0.1:9")
        assert "SECRET" not in str(failed.value)


def test_tags_that_somebody_has_edited_are_nobodys_run() -> None:
    """Not a number, too many digits: it is no trial's, and no point counts as sent."""
    client = mlflow_clients.Client("http://127.0.0.1:9")
    info = client.entities.RunInfo("id", "0", "user", "RUNNING", 5, None, "active")
    for number in ("x", "", "1.5", "9" * 5_000):
        tags = [
            client.entities.RunTag(mlflow_clients.NUMBER, number),
            client.entities.RunTag(mlflow_clients.SENT, "x:y"),
        ]
        run = mlflow_clients.Run.of(client.entities.Run(info, client.entities.RunData(tags=tags)))
        assert (run.trial, run.sent) == (None, (0, "y"))
