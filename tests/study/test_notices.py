"""What a study file may say of messages, and that it holds no address."""

import pytest
from conftest import quick_text

from search import errors
from search.study import notices, specs

URL = "https://hooks.example/T0/sEcReT"


def parse(table: str) -> notices.Notify:
    return specs.parse(quick_text(more=f"[notify]\n{table}"), "s.toml").notify


def test_a_file_without_it_tells_nobody() -> None:
    """[notify] begins with the name of a file; all else has a default."""
    assert not specs.parse(quick_text(), "s.toml").notify.is_on
    found = parse('urls_file = "urls"')
    assert (found.on, found.quiet_minutes, found.stalled_minutes) == (list(notices.EVENTS), 30, 60)
    assert [event for event in notices.EVENTS if parse('urls_file = "x"\non = ["lost"]').tells(event)] == ["lost"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('on = ["best"]', "notify.urls_file is missing: write addresses"),
        ('urls_file = ""', "notify.urls_file string should have at least 1 character, got ''"),
        ('urls_file = "x"\non = ["finish"]', "notify.on[0] must be 'finished', 'best', 'stalled', 'failed' or 'lost'"),
        ('urls_file = "x"\non = []', "notify.on must not be empty, got []"),
        ('urls_file = "x"\nstalled_minutes = 0', "notify.stalled_minutes must be > 0, got 0"),
        ('urls_file = "x"\nquiet_minutes = -1', "notify.quiet_minutes must be >= 0.0, got -1"),
        ('urls_file = "x"\nquiet_minutes = inf', "notify.quiet_minutes must be a finite number, got inf"),
        ('urls_file = "x"\nevery = 3', "notify.every is not a known key"),
    ],
)
def test_mistakes_are_said_in_a_line(table: str, said: str) -> None:
    """Place, key, rule and value."""
    with pytest.raises(errors.StudyFileError) as raised:
        parse(table)
    assert str(raised.value).startswith(f"s.toml: {said}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "table",
    [
        f'urls = ["{URL}"]',
        'urls = ["hooks.example/T0/sEcReT"]',
        'url = "hooks.example/T0/sEcReT"',
        f'urls_file = "{URL}"',
        f'to = {{ chat = "{URL}" }}',
        f'urls_file = "x"\non = ["{URL}"]',
    ],
)
def test_an_address_is_refused_and_not_repeated(table: str) -> None:
    """Wherever it stands: the line says where addresses belong, and shows nothing of it."""
    with pytest.raises(errors.StudyFileError, match='one a line, and name it: notify.urls_file = "secrets') as raised:
        parse(table)
    assert "sEcReT" not in str(raised.value)
    assert "sEcReT" not in str(raised.value.__cause__)


def test_an_address_in_place_of_the_table_is_not_repeated() -> None:
    """`notify = "https://..."` too."""
    with pytest.raises(errors.StudyFileError, match="s.toml: notify must be a table; write addresses") as raised:
        specs.parse(f'notify = "{URL}"\n{quick_text()}', "s.toml")
    assert "sEcReT" not in str(raised.value)
