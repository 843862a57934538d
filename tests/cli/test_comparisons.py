"""`search compare`: what it prints, what it refuses, and that it leaves no trace."""

import json
import pathlib
import re

import optuna
import pytest
import terminals
from conftest import quick_text
from looks import picture, plain
from optuna.trial import TrialState
from playwright import sync_api
from trials import begin

import search as package
from search import cli
from search.ledger import claims, studies
from search.storage import databases
from search.study import specs
from search.training import records

LONG = "a search of which nobody knows any more why it bears a name that goes on and on"


def fill(url: str, values: dict[str, list[float]]) -> None:
    """Studies of ours whose trials are told."""
    database = databases.Database(url)
    for name, own in values.items():
        text = quick_text("quick", trials=max(1, len(own)), hopeless="false").replace('"quick"', json.dumps(name))
        study = studies.create(database, specs.parse(text, "quick.toml"))
        for value in own:
            claims.tell(database, begin(database, study), TrialState.COMPLETE, value, {records.CPU_SECONDS.name: 2.0})
    database.close()


def search(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_studies_stand_side_by_side(
    capsys: pytest.CaptureFixture[str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row each: best, interval, counts, how soon; then what their files say, and what can be told."""
    fill(url, {"first": [0.5, 0.8, 0.7], "second": [0.6, 0.9]})
    monkeypatch.setenv("SEARCH_STORAGE", url)
    code, out, err = search(capsys, "compare", "first", "second")
    assert (code, err) == (0, "")
    rows = [re.split("  +", line) for line in out.splitlines()]
    assert rows[0][:3] == ["study", "best", "trial"]
    assert rows[2][:3] == ["first", "0.8000", "1"]
    assert rows[3][:3] == ["second", "0.9000", "1"]
    assert rows[5] == [
        *("study", "complete", "pruned", "failed", "paused", "CPU time"),
        *("best after", "best in", "0.8000 after", "0.8000 in"),
    ]
    assert rows[7] == ["first", "3", "0", "0", "0", "6 s", "2", "4 s", "2", "4 s"]
    assert rows[8] == ["second", "2", "0", "0", "0", "4 s", "2", "4 s", "2", "4 s"]
    assert ["budget.trials", "3", "2"] in rows
    assert "the best accuracy is that of second, 0.9000, by 0.1000; each is the best of several noisy values" in out
    found = json.loads(search(capsys, "compare", "first", "second", "--json")[1])
    assert [each["to_shared"]["trials"] for each in found["studies"]] == [2, 2]
    assert found["studies"][0]["best_by_trial"] == [[1, 0.5], [2, 0.8]]
    assert package.compare("first", "second", storage=url).as_json() == found


def test_studies_of_other_storages(
    capsys: pytest.CaptureFixture[str], url: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours and another tool's, of any storage; two of one name are told apart, and not a byte of theirs changes."""
    fill(url, {"mine": [0.5, 0.8]})
    folder = tmp_path / "theirs"
    folder.mkdir()
    other = f"sqlite:///{folder}/x.db"
    plain(other, "mine", direction="maximize")
    before = picture(folder)
    monkeypatch.setenv("SEARCH_STORAGE", url)
    code, out, err = search(capsys, "compare", "mine", "--other", other, "mine")
    assert code == 0
    assert f"mine of {other}" in out
    assert "they run different code (the lab's networks: " in err
    assert "no metric is named, it is taken for accuracy" in err
    assert picture(folder) == before
    code, out, _ = search(capsys, "compare", "--other", url, "mine", "--other", other, "mine", "--json")
    assert (code, len(json.loads(out)["studies"])) == (0, 2)


def test_what_cannot_be_compared_is_a_line(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too few, one twice under whatever address, an unknown one, several objectives, another direction: exit code 2."""
    url = f"sqlite:///{tmp_path}/x.db"
    fill(url, {"first": [0.5], "second": [0.6]})
    plain(url, "two goals", directions=["minimize", "maximize"])
    plain(url, "down")
    (tmp_path / "link.db").symlink_to(tmp_path / "x.db")
    monkeypatch.setenv("SEARCH_STORAGE", url)
    monkeypatch.chdir(tmp_path)
    refused = {
        (): "compare takes two studies or more, got 0",
        ("first",): "compare takes two studies or more, got 1",
        ("first", "first"): "study 'first' is given more than once: a study is compared with others",
        ("first", "--other", "sqlite:///link.db", "first"): "study 'first' is given more than once",
        ("first", "secnd"): "no study 'secnd' in sqlite:///",
        ("first", "--other", "sqlite:///none.db", "x"): "no database at none.db",
        ("first", "--other", "mysql://x", "x"): "--other must be sqlite:///FILE or postgresql://",
        ("first", "two goals"): "study 'two goals' has 2 objectives (minimize value 0, maximize value 1): only studies",
        ("first", "down"): "must have one direction: first has maximize, down has minimize",
        ("first", "second", "--output", "x.db"): "--output x.db must be a folder that can be written",
    }
    for words, said in refused.items():
        code, out, err = search(capsys, "compare", *words)
        assert (code, out, err.count("\n"), said in err) == (2, "", 1, True), (words, err)
    assert "did you mean second?" in search(capsys, "compare", "first", "secnd")[2]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_it_keeps_within_a_terminal(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Long names on a line of their own, what has no room is said; only lines with a command may be longer."""
    url = f"sqlite:///{tmp_path}/x.db"
    fill(url, {"first": [0.5], LONG: [0.6, 0.61], "none yet": []})
    monkeypatch.setenv("SEARCH_STORAGE", url)
    with terminals.in_place_of_stdout(monkeypatch, columns) as terminal:
        assert cli.main(["compare", "first", LONG, "none yet"]) == 0
    shown = [line for line in terminal.lines if "`" not in line and line != LONG]
    assert max(map(len, shown)) <= columns
    assert any("0.6100" in line for line in shown)
    assert "note: 'none yet' has no complete trial yet\n" in capsys.readouterr().err


def test_what_came_with_its_result_is_said(
    capsys: pytest.CaptureFixture[str], url: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork's imported best is one result with its source's, found by no trial of its own; the page says so."""
    fill(url, {"one": [0.5, 0.8, 0.7]})
    monkeypatch.setenv("SEARCH_STORAGE", url)
    changes = {"publish": {"to": [f"tensorboard:{tmp_path}/tb"]}}
    package.fork("one", "two", changes, storage=url)
    code, out, _ = search(capsys, "compare", "one", "two", "--output", str(tmp_path / "page"))
    rows = [re.split("  +", line) for line in out.splitlines()]
    assert (code, rows[3][:3]) == (0, ["two", "0.8000", "1 (imported)"])
    assert (rows[7][1], rows[8][1]) == ("3", "3 (3 imported)")
    assert (rows[7][-4], rows[7][-2]) == ("2", "2")
    assert rows[8][-4:] == ["imported", "-", "imported", "-"]
    assert "both have the same best accuracy, 0.8000: one result, which two has imported, so it speaks for none" in out
    assert "publish" not in out
    html, markdown = [(tmp_path / "page" / name).read_text() for name in ("report.html", "report.md")]
    assert (html.count("one beside two: compared</h1>"), "<nav" in html) == (1, False)
    assert markdown.count("one beside two: compared") == 1
    assert "(3 imported)" in markdown
    found = json.loads(search(capsys, "compare", "one", "two", "--json")[1])
    assert [(each["imported"], each["best"]["imported"]) for each in found["studies"]] == [(0, False), (3, True)]


def test_a_command_stays_whole_on_a_terminal(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A sentence with commands is broken beside these, never within one."""
    fill(url, {"first": [0.5], "second": [0.6]})
    monkeypatch.setenv("SEARCH_STORAGE", url)
    with terminals.in_place_of_stdout(monkeypatch, 60) as terminal:
        assert cli.main(["compare", "first", "second"]) == 0
    assert max(map(len, terminal.lines)) <= 60
    for name in ("first", "second"):
        assert any(f"`search confirm {name}`" in line for line in terminal.lines)


LOOK = """() => {
  const root = document.documentElement, problems = [];
  if (root.scrollWidth > root.clientWidth) problems.push(`page is ${root.scrollWidth} wide`);
  const svg = document.querySelector('figure svg'), box = svg.getBoundingClientRect();
  const overlaps = (a, b) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const texts = [...svg.querySelectorAll("g[id^='text_']")].map(g => g.getBoundingClientRect());
  for (let i = 0; i < texts.length; i++) {
    if (texts[i].left < box.left - 1 || texts[i].right > box.right + 1) problems.push(`text ${i} leaves the figure`);
    for (let j = 0; j < i; j++) if (overlaps(texts[i], texts[j])) problems.push(`texts ${j} and ${i} overlap`);
  }
  return problems;
}"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1200])
def test_a_page_of_eight_studies(tmp_path: pathlib.Path, browser: sync_api.Browser, width: int) -> None:
    """Long names, equal curves, a single trial, none: drawn whole, on a phone too; the Markdown has its picture."""
    url = f"sqlite:///{tmp_path}/x.db"
    rising = [0.1 * (1 + place % 7) + 0.02 * (place // 7) for place in range(40)]
    names = [f"{LONG} {place}" for place in range(5)]
    fill(url, {**dict.fromkeys(names, rising), "single": [0.4], "low": [0.11, 0.12], "none yet": []})
    found = package.compare(*names, "single", "low", "none yet", output=tmp_path / "out", storage=url)
    assert found.html is not None
    assert found.markdown is not None
    assert len(list((tmp_path / "out" / "figures").glob("*.png"))) == 1
    assert found.markdown.read_text().count("](figures/") == 1
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(found.html.as_uri())
    assert page.evaluate(LOOK) == []
    page.close()


def test_a_database_without_a_complete_trial(capsys: pytest.CaptureFixture[str], empty_url: str) -> None:
    """Two studies that have found nothing: there is no picture, and that nothing can be compared is said."""
    for name in "ab":
        optuna.create_study(study_name=name, storage=empty_url)
    code, out, _ = search(capsys, "compare", "a", "b", "--storage", empty_url, "--json")
    assert (code, json.loads(out)["shared"]) == (0, None)
    code, out, _ = search(capsys, "compare", "a", "b", "--storage", empty_url)
    assert code == 0
    assert "nothing can be compared: fewer than two of the studies have a complete trial" in out
