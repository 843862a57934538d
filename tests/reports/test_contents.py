"""The report of studies: its content, its page in a real browser, and the confirmation of a search."""

import dataclasses
import gzip
import itertools
import json
import pathlib
import re
import signal
import time
from typing import Any

import pytest
from conftest import ROOT, Processes
from markup import EVIL, RENDERER, read, rendered
from optuna.trial import TrialState
from playwright import sync_api
from trials import take

from search import errors
from search.ledger import claims, configurations, queues, studies, summaries
from search.reports import contents, evidence, figures, pages
from search.storage import databases
from search.study import specs
from search.training import records

pytestmark = pytest.mark.slow
STUDIES = ("baseline", "depth", "activation", "lab")


def synthetic(name: str, folder: pathlib.Path, trials: int | None = None, evaluate_on: str = "test") -> pathlib.Path:
    """The lab's study of that name on the small set, four epochs a trial."""
    text = (ROOT / "studies" / f"{name}.toml").read_text()
    text = text.replace('"fashion-mnist"', '"synthetic"').replace("epochs = 10", "epochs = 4")
    text = text.replace('evaluate_on = "test"', f'evaluate_on = "{evaluate_on}"')
    if trials is not None:
        text = re.sub(r"trials = \d+", f"trials = {trials}", text)
    path = folder / "studies" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def table(folder: pathlib.Path) -> None:
    """What trainings of the lab's space might come to, recorded at three batch sizes, beside its study file."""
    rows = []
    for rate, size, depth in itertools.product((1e-4, 1e-2, 1e-1), (1, 16, 128), range(7)):
        for width, activation in itertools.product((32, 128, 512), ("ReLU", "Sigmoid", "GELU")):
            params = {"learning_rate": rate, "batch_size": size, "depth": depth}
            params |= {"width": width, "activation": activation} if depth else {}
            end = 0.9 - 0.1 * abs(depth - 2) - 0.02 * (width == 32) - 0.1 * (activation == "Sigmoid") - 0.001 / rate
            values = [max(0.1, end - 0.2 / step) for step in range(1, 5)]
            rows.append({"params": params, "values": values, "seconds": [0.01 * (1 + depth) * 16 / size] * 4})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "studies" / "lab.table.jsonl.gz").write_bytes(gzip.compress(lines.encode()))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of a report on four studies that real workers have trained, one of them over two seeds."""
    folder = tmp_path_factory.mktemp("report")
    processes = Processes(f"sqlite:///{folder}/search.db", folder)
    try:
        for name in STUDIES:
            synthetic(name, folder, trials=40 if name == "lab" else None)
        table(folder)
        assert processes.run("create", "depth")[0] == 0
        for depth in (0, 1, 3, 7):
            setting = ("learning_rate=0.001", "batch_size=64", f"depth={depth}")
            more = () if depth == 0 else ("width=128", "activation=ReLU")
            assert processes.run("enqueue", "depth", *setting, *more, "--repeats", "2")[0] == 0
        assert processes.run("extend", "depth", "--to", "8")[0] == 0
        for name in STUDIES:
            code, output = processes.run("run", name, "--workers", "2")
            assert code == 0, output
        code, output = processes.run("confirm", "lab", "--top", "2", "--seeds", "2", "--workers", "1")
        assert code == 0, output
        code, output = processes.run("report", *STUDIES, "--output", "out", "--title", "Four <studies> & more")
        assert (code, "out/report.html" in output) == (0, True), output
    finally:
        processes.end()
    return folder / "out"


def test_a_report_holds_what_the_trials_show(written: pathlib.Path) -> None:
    """Both forms have every chapter, figure and table; the Markdown's pictures are there; nothing is loaded."""
    markdown, html = (written / "report.md").read_text(), (written / "report.html").read_text()
    for heading in ("baseline: one setting", "depth", "activation", "lab: the search", "lab: confirmed"):
        assert f"\n## {heading}\n" in markdown
        assert f"<h2>{heading}</h2>" in html
    pictures = re.findall(r"\]\((figures/[^)]+\.png)\)", markdown)
    assert len(pictures) == len(set(pictures)) == html.count("<figure ") == 10
    for picture in pictures:
        assert (written / picture).read_bytes().startswith(b"\x89PNG")
    assert "Four \\<studies> & more" in markdown
    assert "Four &lt;studies&gt; &amp; more" in html
    assert not re.search(r"""(src|href)=["'](?!#)|url\((?!#)|@import""", html.replace("xlink:href", "href"))
    # what the depth study says is computed over its two seeds
    assert re.search(r"\| 0 \| 2 \| [01]\.\d{4} ± \d\.\d{4} \|", markdown)
    assert "Noise: seeds of one setting spread by" in markdown
    assert re.search(r"\d+ trials pruned, which spared \d+ of 160 epochs", markdown)
    assert "| learning_rate | 0.0001 |" in markdown
    # beside random search, by the table of its space
    assert "](figures/lab-efficiency.png)" in markdown
    assert re.search(r"\n- Random search would have found 0\.\d{4} in this training time \(half of ", markdown)
    poor = r"\n- \d+% of the training time went into poor trials, more than 0.02 below the best; pausing .+\."
    assert re.search(poor, markdown)
    assert re.search(r"\n\| \d+ s \| [01]\.\d{4} \| 0\.\d{4} \| (0\.\d{4} to|most have)", markdown)
    unequal = [line for line in markdown.splitlines() if line.startswith("|")]
    assert unequal
    for line, following in itertools.pairwise(unequal):
        if set(following) <= set("|-: "):  # a heading row has as many cells as its rule
            assert line.count("|") == following.count("|")


LOOK = """() => {
  const overlaps = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const problems = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) problems.push(`page is ${root.scrollWidth} wide`);
  for (const figure of document.querySelectorAll('figure')) {
    const svg = figure.querySelector('svg'), box = svg.getBoundingClientRect();
    if (box.width < 250 || box.height < 100) problems.push(`${figure.id}: ${box.width} x ${box.height}`);
    if (svg.querySelectorAll('path').length < 5) problems.push(`${figure.id}: nothing is drawn`);
    const texts = [...svg.querySelectorAll("g[id^='text_']")].map(g => g.getBoundingClientRect());
    for (const text of texts)
      if (text.left < box.left - 1 || text.right > box.right + 1 || text.top < box.top - 1 || text.bottom > box.bottom + 1)
        problems.push(`${figure.id}: a text leaves the figure`);
    for (let i = 0; i < texts.length; i++) for (let j = 0; j < i; j++)
      if (overlaps(texts[i], texts[j])) problems.push(`${figure.id}: texts ${j} and ${i} overlap`);
  }
  const blocks = [...document.querySelectorAll('h1, header > p, dl, nav, h2, section > p, section > ul, .table, figure')];
  const boxes = blocks.map(block => block.getBoundingClientRect());
  for (let i = 0; i < boxes.length; i++) {
    if (boxes[i].right > root.clientWidth + 1) problems.push(`${blocks[i].outerHTML.slice(0, 60)} leaves the page`);
    for (let j = 0; j < i; j++)
      if (overlaps(boxes[i], boxes[j])) problems.push(`${blocks[i].tagName} ${i} overlaps ${blocks[j].tagName} ${j}`);
  }
  for (const cell of document.querySelectorAll('td, th, dd'))
    if (cell.scrollWidth > cell.clientWidth + 1) problems.push(`cell '${cell.textContent}' overflows`);
  return problems;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 820, 1400])
def test_the_page_is_drawn_whole(browser: sync_api.Browser, written: pathlib.Path, width: int, scheme: Any) -> None:
    """On a phone and a desktop, light and dark: every figure is there, nothing overlaps, nothing leaves the page."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    opened, problems = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("request", lambda request: problems.append(request.url) if "report.html" not in request.url else None)
    opened.goto((written / "report.html").as_uri())
    assert opened.locator("figure svg").count() == 10
    assert opened.evaluate(LOOK) == []
    ink, paper = opened.evaluate(
        "() => [getComputedStyle(document.querySelector('figure svg')).color,"
        " getComputedStyle(document.body).backgroundColor]"
    )
    light, dark = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (paper, ink))
    assert (light > dark) == (scheme == "light")
    assert abs(light - dark) > 400
    assert problems == []
    context.close()


def test_the_page_prints(browser: sync_api.Browser, written: pathlib.Path) -> None:
    """On paper it is dark on white, whatever the screen's scheme, and tables do not scroll."""
    context = browser.new_context(color_scheme="dark", offline=True)
    opened = context.new_page()
    opened.goto((written / "report.html").as_uri())
    opened.emulate_media(media="print")
    background = "() => getComputedStyle(document.body).backgroundColor"
    assert opened.evaluate(background) == "rgb(255, 255, 255)"
    assert not opened.locator("nav").is_visible()
    assert opened.pdf(format="A4").startswith(b"%PDF")
    context.close()


def test_a_confirmation_uses_fresh_seeds_and_is_made_once(opened: databases.Database, processes: Processes) -> None:
    """On all images, to the last epoch, by seeds that chose nothing; asked again it trains nothing."""
    name = str(synthetic("lab", processes.folder, trials=12, evaluate_on="validation"))
    code, output = processes.run("confirm", "lab")
    assert (code, "no study 'lab'" in output) == (2, True)
    assert processes.run("create", name)[0] == 0
    code, output = processes.run("confirm", "lab")
    assert (code, "no complete trial yet: there is nothing to confirm" in output) == (2, True)
    assert processes.run("run", name, "--workers", "2")[0] == 0
    code, output = processes.run("confirm", "lab", "--top", "3", "--seeds", "2", "--workers", "2", "--json")
    assert code == 0, output
    found = json.loads(output.splitlines()[-1])
    assert (found["confirmed_by"], found["seeds"], len(found["configurations"])) == ("lab-confirm", 2, 3)
    searched, confirming = studies.find(opened, "lab"), studies.find(opened, "lab-confirm")
    assert searched is not None
    assert confirming is not None
    assert confirming.spec.training is not None
    assert (confirming.spec.training.evaluate_on, confirming.spec.pruning.is_on) == ("test", False)
    best = sorted(evidence.Experiment.of(summaries.whole(opened, searched)).runs, key=lambda runs: -runs.value.mean)[:3]
    assert [entry["params"] for entry in found["configurations"]] == [runs.params for runs in best]
    for entry, runs in zip(found["configurations"], best, strict=True):
        assert entry["selected"] == runs.value.mean
        assert entry["optimism"] == pytest.approx(entry["selected"] - sum(entry["test"]) / 2)
    trials = summaries.whole(opened, confirming).trials
    assert {trial.user_attrs[records.REPEAT.name] for trial in trials} == {1, 2}
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    seeds = {trial.user_attrs["search:seed"] for trial in trials}
    assert len(seeds) == 2
    assert searched.spec.study.seed not in seeds

    again = processes.run("confirm", "lab", "--top", "3", "--seeds", "2", "--json")
    assert json.loads(again[1].splitlines()[-1]) == found
    assert len(summaries.whole(opened, confirming).trials) == len(trials) == 6
    code, output = processes.run("confirm", "lab", "--top", "2", "--seeds", "2")
    assert (code, "has confirmed another choice of 'lab' already (--top 3 --seeds 2)" in output) == (2, True)
    assert len(summaries.whole(opened, confirming).trials) == 6
    code, output = processes.run("confirm", "lab", "--top", "1", "--seeds", "1", "--as", "second")
    assert (code, "confirmed: " in output) == (0, True), output


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # what it trains matters, not where that is kept
def test_reproduce_goes_on_where_it_was_interrupted(processes: Processes, url: str) -> None:
    """Ctrl-C in the middle loses nothing; asked again the rest is done, and the report holds all of the lab."""
    for name in ("baseline", "learning-rate", "batch-size", "depth", "width", "activation", "lab", "lab-replay"):
        synthetic(name, processes.folder)
    words = ("reproduce", "--seeds", "2", "--workers", "2", "--output", "out")
    first = processes.start(*words)
    database = databases.Database(url, patience_seconds=30)
    deadline = time.monotonic() + 100
    while (study := studies.find(database, "depth")) is None or not summaries.whole(database, study).trials:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 130
    assert not (processes.folder / "out").exists()
    code, output = processes.run(*words)
    assert code == 0, output
    for name, settings in (("baseline", 1), ("depth", 4), ("batch-size", 3)):
        found = studies.find(database, name)
        assert found is not None
        summary = summaries.whole(database, found)
        assert [trial.state for trial in summary.trials] == [TrialState.COMPLETE] * 2 * settings
        assert evidence.Experiment.of(summary).seeds == 2
    assert "## lab-replay: the search" in (processes.folder / "out" / "report.md").read_text()
    database.close()


def test_what_is_half_there_is_reported_as_far_as_it_is(processes: Processes) -> None:
    """A study without a trial has its chapter; a folder that cannot be one is a mistake of the user's."""
    synthetic("depth", processes.folder)
    synthetic("lab", processes.folder)
    for name in ("depth", "lab"):
        assert processes.run("create", name)[0] == 0
    code, output = processes.run("report", "depth", "lab")
    assert code == 0, output
    text = (processes.folder / "report" / "report.md").read_text()
    assert "No trial is complete yet." in text
    assert "No trial has ended yet." in text
    (processes.folder / "file").write_text("mine")
    code, output = processes.run("report", "depth", "--output", "file")
    assert (code, output.count("\n"), "--output file must be a folder that can be written" in output) == (2, 1, True)
    assert (processes.folder / "file").read_text() == "mine"
    code, output = processes.run("report", "dept")
    assert (code, "did you mean depth?" in output) == (2, True)


def _page(words: str, picture: figures.Picture) -> pages.Page:
    drawing = pages.Drawing(dataclasses.replace(picture, text=words), words)
    table = pages.Table([words, "b"], [[words, "1"], ["2", words]], words)
    chapter = pages.Chapter(words, [pages.Text(words), pages.Bullets([words, words]), table, drawing])
    return pages.Page(words, words, [(words, words)], [chapter])


def looks(markdown: str) -> list[str]:
    """The tags that it is rendered with, but for code and stress: what stands between backticks is code."""
    return [tag for tag, _ in rendered(markdown)[0] if tag not in ("code", "strong")]


def test_what_a_study_says_is_no_markup(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """Metric, parameters, choices, why a trial was pruned: the Markdown report has our tags only, and every cell."""
    choices = json.dumps([words for words in EVIL if "\x0b" not in words])
    head = f'objective = "mine:evil"\n[study]\nname = "own"\nmetric = {json.dumps(EVIL[0] + EVIL[2])}\n'
    space = f"[space]\nkind = {choices}\n_x_ = {{ low = 0, high = 1 }}\n[budget]\ntrials = 20\n"
    study = studies.create(opened, specs.parse(head + space, "own.toml"))
    for number, words in enumerate([*EVIL[:8], *EVIL[:8]]):
        claim = take(opened, study)
        configurations.configure(opened, study, claim, opened.history(study.study_id))
        state = TrialState.COMPLETE if number % 3 else TrialState.PRUNED
        claims.tell(opened, claim, state, number / 20, {records.REASON.name: words}, 1.0, {1: 0.1, 2: number / 20})
    found = contents.write(opened, [study], tmp_path / "out")
    tags, text = rendered(found.markdown.read_text())
    ours = {"h1", "h2", "p", "ul", "li", "strong", "code", "img", "table", "thead", "tbody", "tr", "th", "td"}
    assert {tag for tag, _ in tags} <= ours
    assert all(str(attributes["src"]).startswith("figures/own-") for tag, attributes in tags if tag == "img")
    for number, words in enumerate([*EVIL[:8], *EVIL[:8]]):
        assert number % 3 or read(words.partition(":")[0]) in read(text)
    for table in RENDERER.render(found.markdown.read_text()).split("<table>")[1:]:
        rows = table.partition("</table>")[0].split("<tr>")[1:]
        assert len({row.count("<td") + row.count("<th") for row in rows}) == 1


def test_text_of_users_is_no_markup(tmp_path: pathlib.Path) -> None:
    """Reasons and names come from anywhere: the page shows them and runs nothing."""
    evil = "<script>alert(1)</script> | `<b>`"
    picture = figures.bars("bars", evil, {evil: 0.5}, "share")
    blocks = [
        pages.Text(evil),
        pages.Bullets([evil]),
        pages.Table([evil], [[evil]], evil),
        pages.Drawing(picture, evil),
    ]
    whole = pages.Page(evil, evil, [(evil, evil)], [pages.Chapter(evil, blocks)])
    html = pages.html(whole)
    assert "<script" not in html
    assert "<b>" not in html
    assert "\\|" in pages.markdown(whole)
    for words in EVIL:
        text = pages.markdown(_page(words, picture))
        assert looks(text) == looks(pages.markdown(_page("words", picture))), words
        assert read(rendered(text)[1]).count(read(words)) >= 8, words
    with pytest.raises(errors.InputError, match="must be a folder"):
        pages.write(whole, pathlib.Path("/proc/report"))


def test_waiting_trials_fill_what_is_missing(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """Asked twice, the second time queues nothing; the budget holds all that is wanted, and is never made smaller."""
    study = studies.create(opened, specs.load(synthetic("depth", tmp_path)))
    settings = list(study.spec.space.configurations())
    wanted = [(params, seed) for seed in range(3) for params in settings]
    assert [queues.fill(opened, study, wanted), queues.fill(opened, study, wanted)] == [12, 0]
    assert summaries.whole(opened, study).budget == 12
    assert queues.fill(opened, study, wanted[:4]) == 0
    summary = summaries.whole(opened, study)
    assert (summary.budget, summary.count(TrialState.WAITING)) == (12, 12)
