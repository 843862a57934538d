"""`search notify`, and what other commands say of a study's addresses."""

import json
import pathlib

import pytest
import receivers
from conftest import quick_text

from search import cli
from search.ledger import dispatches, notices, studies
from search.storage import databases

pytestmark = pytest.mark.usefixtures("own_folder")
STORAGE = "sqlite:///runs/search.db"


def write(**more: str) -> None:
    """quick.toml, which tells."""
    table = "".join(f"{key} = {value}\n" for key, value in more.items())
    pathlib.Path("quick.toml").write_text(quick_text(more=f'[notify]\nurls_file = "notify-urls"\n{table}'))


def refused(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a refusal."""
    assert cli.main(list(arguments)) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_a_test_says_who_has_taken_it(
    receiver: receivers.Receiver, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of a study that is not created yet, too: each address by its place; exit code 1 where one has not."""
    write()
    receiver.file(tmp_path)
    assert cli.main(["notify", "quick.toml", "--test"]) == 0
    assert capfd.readouterr().out == "address 1 http: sent\n"
    assert receiver.events == ["test"]
    receiver.file(tmp_path, "http://127.0.0.1:9/sEcReT")
    assert cli.main(["create", "quick.toml"]) == 0
    capfd.readouterr()
    assert cli.main(["notify", "quick", "--test"]) == 1
    said = capfd.readouterr()
    assert said.out == "address 1 http: sent\naddress 2 http: NOT sent: connection refused\n"
    assert "sEcReT" not in said.out + said.err
    assert not pathlib.Path("sEcReT").exists()


@pytest.mark.parametrize("command", ["create", "run"])
def test_a_study_is_not_made_without_its_addresses(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    """A missing or empty file is a line, before anything is written."""
    write()
    assert "'notify-urls' cannot be read here: No such file or directory" in refused(capfd, command, "quick.toml")
    (tmp_path / "notify-urls").touch()
    assert "'notify-urls' must hold at least one address, one a line, got none" in refused(capfd, command, "quick.toml")
    assert not (tmp_path / "runs").exists()


def test_mistakes_are_a_line(capfd: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """An event that there is not, a stall of no time, an address in the file, a study that tells nobody anything."""
    (tmp_path / "notify-urls").write_text("https://hooks.example/x\n")
    for key, value, said in (
        ("on", '["end"]', "notify.on[0] must be 'finished', 'best', 'stalled', 'failed' or 'lost', got 'end'"),
        ("stalled_minutes", "0", "notify.stalled_minutes must be > 0, got 0"),
        ("urls", '["https://hooks.example/sEcReT"]', "notify.urls is not a known key; write addresses into a file"),
    ):
        write(**{key: value})
        assert (found := refused(capfd, "create", "quick.toml")).startswith(f"search: quick.toml: {said}")
        assert "sEcReT" not in found
    pathlib.Path("quick.toml").write_text(quick_text())
    assert cli.main(["create", "quick.toml"]) == 0
    capfd.readouterr()
    assert "study 'quick' tells nobody anything" in refused(capfd, "notify", "quick")


def test_what_is_not_delivered_is_shown_and_tried_again(
    receiver: receivers.Receiver, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`search status` says why, in JSON how many; `search notify` sends it."""
    write()
    receiver.file(tmp_path)
    assert cli.main(["create", "quick.toml"]) == 0
    database = databases.Database(STORAGE)
    study = studies.load(database, "quick")
    database.write(lambda connection: notices.add(connection, study, notices.Event("x", "best", "quick: new best")))
    notice = dispatches.claim(database, study.study_id, "a")
    assert notice is not None
    dispatches.note(database, notice, [], {"1 http": "answered 500"}, 0.0, notices.UNDELIVERED)
    capfd.readouterr()
    assert cli.main(["status", "quick"]) == 0
    assert "not delivered: 1 message: address 1 http: answered 500; `search notify quick`" in capfd.readouterr().out
    assert cli.main(["status", "quick", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["messages"] == {"sent": 0, "pending": 0, "undelivered": 1}
    receiver.answers = [(500, {})]
    assert cli.main(["notify", "quick"]) == 1
    assert capfd.readouterr().out == "0 messages delivered, 1 not: address 1 http: answered 500\n"
    assert cli.main(["notify", "quick"]) == 0
    assert capfd.readouterr().out == "1 message delivered, 0 not\n"
    assert receiver.events == ["best"]
    database.close()
