"""A report on more trials than can be told apart: its size, what its captions say, and that its numbers are of all."""

import csv
import io
import math
import pathlib
import random
import re

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from trials import whole

from search.ledger import outsiders
from search.reports import contents, evidence, importances, outsider_chapters, overviews, pages, scatters
from search.study import specs

MANY = 3_000
STUDY = """
objective = "somewhere:objective"
[study]
name = "many"
direction = "minimize"
metric = "loss"
[space]
rate = { low = 1e-5, high = 1.0, log = true }
layers = { low = 1, high = 40 }
kind = ["a", "b", "c"]
decay = { low = 0.0, high = 1.0, when = "kind == 'a'" }
[budget]
trials = 3000
"""


def made(spec: specs.StudySpec, count: int) -> list[FrozenTrial]:
    """Trials of a formula with noise: of ten six complete, three pruned, one failed; one in 200 runs away."""
    chance, found = random.Random(1), []
    for number in range(count):
        params = {"rate": 10 ** chance.uniform(-5, 0), "layers": chance.randint(1, 40), "kind": chance.choice("abc")}
        if params["kind"] == "a":
            params["decay"] = chance.random()
        value = abs(math.log10(params["rate"]) + 2) + chance.random() + (1e9 if number % 200 == 4 else 0)
        state = (TrialState.FAIL, TrialState.PRUNED, TrialState.PRUNED, TrialState.PRUNED)[
            number % 10 : number % 10 + 1
        ]
        trial = optuna.trial.create_trial(
            state=state[0] if state else TrialState.COMPLETE,
            value=None if number % 10 == 0 else value,
            params=params,
            distributions={each.name: each.distribution for each in spec.space.parameters if each.name in params},
            intermediate_values={step: value + 1 / step for step in range(1, 4 if state else 11)},
            user_attrs={"search:reason": f"reason {number}: slow", "search:seconds": 2.0} if state else {},
        )
        trial.number = number
        found.append(trial)
    return found


@pytest.fixture(scope="module")
def spec() -> specs.StudySpec:
    return specs.parse(STUDY, "many.toml")


@pytest.fixture(scope="module")
def many(spec: specs.StudySpec) -> list[FrozenTrial]:
    return made(spec, MANY)


@pytest.fixture(scope="module")
def page(spec: specs.StudySpec, many: list[FrozenTrial]) -> pages.Page:
    return contents.build([evidence.Experiment.of(whole(spec, many))], "Many")


def captions(found: pages.Page | pages.Chapter) -> list[str]:
    chapters = found.chapters if isinstance(found, pages.Page) else [found]
    return [each.caption for chapter in chapters for each in chapter.blocks if hasattr(each, "caption")]


def test_the_page_is_small(page: pages.Page, tmp_path: pathlib.Path) -> None:
    """Points are pixels, curves are bands, tables are cut: a page and its pictures have a few hundred kilobytes."""
    html, markdown = pages.write(page, tmp_path / "out")
    assert html.stat().st_size < 1_000_000
    assert html.read_text().count("<use ") < 1_000  # marks: not one for each trial
    assert markdown.stat().st_size < 30_000
    pictures = list((tmp_path / "out" / "figures").iterdir())
    assert len(pictures) == 3 + 1 + 4  # history, cost, importance; curves; one for each parameter
    assert all(each.stat().st_size < 300_000 for each in pictures)
    assert all(html.read_text().count(f'id="figure-{each.stem}"') == 1 for each in pictures)


def test_captions_say_what_is_drawn(page: pages.Page) -> None:
    """How many trials a figure shows, of how many, and what lies beyond its edge."""
    found = captions(page)
    assert any("All 2,700 trials are drawn" in each and "worst 27 lie beyond the edge" in each for each in found)
    assert any(each.startswith("Learning curves") and "of 1,800 of them" in each for each in found)
    assert any("30 of 1,800 as thin lines" in each for each in found)
    assert any(each.startswith("Loss by rate") and "the 1,800 complete trials that have it" in each for each in found)
    assert any("The best 60 of 3000 trials; `trials/many.csv` has all." in each for each in found)
    assert any("880 rarer reasons, of 880 trials, are left out" in each for each in found)


def test_numbers_are_of_all_trials(page: pages.Page, many: list[FrozenTrial]) -> None:
    """The best, the counts and the times in the text, whatever a figure leaves out."""
    text = pages.markdown(page)
    complete = [trial for trial in many if trial.state == TrialState.COMPLETE]
    best = min(complete, key=lambda trial: float(trial.value or 0.0))
    assert f"best loss of many: **{best.value:.4f}**" in text
    assert "trials done: **2,700**" in text
    assert f"pruned: **{sum(trial.state == TrialState.PRUNED for trial in many):,}**" in text
    assert f"| {best.number} | complete |" in text


def test_the_sheet_has_every_trial_and_every_digit(page: pages.Page, many: list[FrozenTrial]) -> None:
    """A row for each, by number; a parameter that a trial does not have is an empty cell."""
    (sheet,) = page.sheets
    rows = list(csv.DictReader(io.StringIO(sheet.text)))
    assert [int(row["number"]) for row in rows] == list(range(MANY))
    for row, trial in zip(rows, many, strict=True):
        assert (float(row["value"]) if row["value"] else None) == trial.value
        assert float(row["params_rate"]) == trial.params["rate"]
        assert (row["params_decay"] == "") == ("decay" not in trial.params)
        assert int(row["steps"]) == len(trial.intermediate_values)
    assert {row["state"] for row in rows} == {"complete", "pruned", "failed"}


def test_a_small_study_has_no_bands(spec: specs.StudySpec, many: list[FrozenTrial]) -> None:
    """Up to a thousand trials each has its mark, and the captions speak of nothing that is left out."""
    found = contents.build([evidence.Experiment.of(whole(spec, many[: scatters.MARKED]))], "Small")
    assert not any("are drawn" in each or "median" in each for each in captions(found))
    assert len([each for each in captions(found) if "beyond the edge" in each]) == 0


def test_another_tools_study_of_many_trials(many: list[FrozenTrial]) -> None:
    """It has the same figures and the same sheet."""
    counts = {state: sum(trial.state == state for trial in many) for state in TrialState}
    best = min((t for t in many if t.state == TrialState.COMPLETE), key=lambda trial: float(trial.value or 0.0))
    study = outsiders.Outsider(1, "theirs", ("minimize",), ("loss",), counts, best)
    found = outsider_chapters.chapter(study, many)
    page = contents.build([], "Theirs", [found], [study])
    assert len(pages.html(page)) < 1_000_000
    assert any("All 2,700 trials are drawn" in each for each in captions(found))
    assert any(each.startswith("Learning curves") for each in captions(found))
    assert [each.path for each in page.sheets] == ["trials/theirs.csv"]


def test_importance_of_more_trials_is_of_an_even_share(
    monkeypatch: pytest.MonkeyPatch, many: list[FrozenTrial]
) -> None:
    """Its caption says of how many, and it finds the same order of parameters."""
    complete = [trial for trial in many if trial.state == TrialState.COMPLETE]
    every = importances.shares(complete, ["kind", "rate"], "minimize")
    monkeypatch.setattr(importances, "MOST", 500)
    share = importances.shares(complete, ["kind", "rate"], "minimize")
    assert list(every) == list(share) == ["rate", "kind"]
    assert every["rate"] == pytest.approx(share["rate"], abs=0.05)
    assert importances.of(complete) == "500 of 1,800 complete trials, evenly chosen"


def test_a_parameter_of_many_choices_has_the_most_frequent(many: list[FrozenTrial]) -> None:
    """The figure has ten columns, and its caption says how many values have none."""
    space = optuna.distributions.CategoricalDistribution([f"choice {number}" for number in range(50)])
    trials = [
        optuna.trial.create_trial(
            value=float(number), params={"c": f"choice {number % 50}"}, distributions={"c": space}
        )
        for number in range(scatters.MARKED + 1)
    ]
    (drawing,) = overviews.blocks(overviews.Studied("s", "loss", False, trials, None), ["c"])
    assert isinstance(drawing, pages.Drawing)
    assert "in 10 groups. 40 rarer values left out." in drawing.caption
    assert len(re.findall(r'id="xtick_\d+"', drawing.picture.svg)) == overviews.NAMED_GROUPS
