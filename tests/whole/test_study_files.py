"""docs/study-files.md says what a study file may say."""

import re

import mine
import pydantic
import pytest
from conftest import ROOT, quick_text

from search.space.conditions import Condition
from search.study import notices, programs, sections, specs, warm_starts

PAGE = (ROOT / "docs" / "study-files.md").read_text()
SECTIONS = {
    "study": sections.StudySection,
    "training": sections.Training,
    "sampler": sections.Sampler,
    "pruning": sections.Pruning,
    "budget": sections.Budget,
    "metric": programs.Metric,
    "trial": sections.Trial,
    "warm_start": warm_starts.WarmStart,
    "publish": sections.Publish,
    "notify": notices.Notify,
}


def test_the_example_is_a_study_file() -> None:
    """The page's file is taken, with None, names with dots and the branch that it shows."""
    text = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
    spec = specs.parse(text, "example.toml")
    by_name = {p.name: p for p in spec.space.parameters}
    assert by_name["max_depth"].values == (4, 8, 16, None)
    assert spec.enqueue == ({"model.optimizer.lr": 0.01, "max_depth": None},)
    assert by_name["momentum"].exists({"optimizer": "sgd", "early": False})
    assert not by_name["momentum"].exists({"optimizer": "sgd", "early": True})


def test_the_page_has_every_key() -> None:
    """Each key of a study file stands in the page's table, with its default, and no other does."""
    table = PAGE[PAGE.index("## Keys") : PAGE.index("## Values")]
    rows = [row.split("|") for row in table.splitlines() if row.startswith("| `")]
    said = {key: row[2].strip() for row in rows for key in re.findall(r"`([^`]+)`", row[1])}
    wanted: dict[str, pydantic.fields.FieldInfo | None] = dict.fromkeys(["objective", "command", "space", "enqueue"])
    for name, section in SECTIONS.items():
        wanted |= {f"{name}.{field.alias or key}": field for key, field in section.model_fields.items()}
    assert sorted(said) == sorted(wanted)
    new = {f"training.{key}": value for key, value in sections.NEW.items()}
    for key, field in wanted.items():
        if key == "study.metric":
            found = [specs.parse(text, "x").study.metric for text in (quick_text(), mine.text())]
            assert re.findall(r'"(\w+)"', said[key]) == found
        elif field is not None and isinstance(field.default, (str, int)) and not isinstance(field.default, bool):
            value = new.get(key, field.default)  # a stored text may mean another
            default = f'"{value}"' if isinstance(value, str) else value
            assert f"`{default}`" in said[key].split(", "), key


CONDITIONS = PAGE[PAGE.index("| `depth > 0` |") : PAGE.index("What is asked about")]


@pytest.mark.parametrize("text", re.findall(r"`` ?(.+?) ?``|`([^`]+)`", CONDITIONS))
def test_the_pages_conditions_are_read(text: tuple[str, str]) -> None:
    """Each condition that the page shows is one."""
    condition = text[0] or text[1]
    if not re.fullmatch(r"[=!<>]+|== none|!= none|and|or|not|[_.-]", condition):
        assert Condition.parse(condition).parents
