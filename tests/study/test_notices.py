"""What a study file may say of messages, and that it holds no address."""

import pathlib

import pytest
from conftest import quick_text

from search import errors
from search.cli import commands
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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[study]", f'[notfy]\nurls = "{URL}"\n[study]'),
        ("[study]", f'[notfy]\nurls = ["{URL}"]\n[notifi]\nurl = "{URL}"\n[study]'),
        ("[study]", '[notfy]\nurls_file = "hooks.example/T0/sEcReT"\n[study]'),
        ("[study]", '[notfy]\nto = { mail = "mailto:u:sEcReT@mail.example" }\n[study]'),
        ("[study]", f'["{URL}"]\nx = 1\n[study]'),
        ("[study]", f'["{URL}"]\n["{URL}"]\n[study]'),
        ("[study]", f'[notify]\n"{URL}" = 1\n[study]'),
        ("[study]", '[notify]\n"mailto:u:sEcReT@mail.example" = 1\n[study]'),
        ("[study]", '[notify]\nurls_file = "hooks.example/T0/sEcReT"\n[study]'),
        ("[study]", '[notify]\nurls_file = "mailto:u:sEcReT@mail.example"\n[study]'),
        ("[study]", '[notify]\nurls_file = "u:sEcReT@10.0.0.5/x"\n[study]'),
        ("[study]", f'[study]\nnotify = "{URL}"'),
        ("[budget]", f'[budget]\nnotify = ["{URL}"]'),
        ("[budget]", f'[budget]\nhours = "{URL}"'),
        ("[space]", f'[space]\nurls = "{URL}"'),
        ("[space]", f'[space]\n"{URL}" = 1'),
        ("[budget]", f'[[enqueue]]\n"{URL}" = 1\n[budget]'),
        ("[budget]", f'[[enqueue]]\nurl = "{URL}"\n[budget]'),
    ],
)
def test_an_address_in_any_table_is_not_repeated(
    old: str, new: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Under a name that is no key of ours, in place of one, or as the file's path: `--debug` shows nothing of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(quick_text().replace(old, new, 1))
    assert commands.main(["create", "s.toml", "--debug"]) == 2
    said = "".join(capfd.readouterr())
    assert "\nsearch: s.toml: " in said
    assert "Traceback" in said
    assert "sEcReT" not in said


def test_a_path_that_looks_like_a_host_is_written_with_a_dot() -> None:
    """`./conf.prod/urls`; other paths stay as they are, and so does what is no address in an unknown key."""
    for path in ("secrets/notify-urls", "/run/x@1.service/urls", "conf.d/urls", "C:/urls", "./conf.prod/urls"):
        assert parse(f'urls_file = "{path}"').urls_file == path
    with pytest.raises(errors.StudyFileError, match="notify.urls_file must name a file .with ./ before it"):
        parse('urls_file = "conf.prod/urls"')
    with pytest.raises(errors.StudyFileError, match=r"budget.trails is not a known key, got \{'a/b': \[1\]\}"):
        specs.parse(quick_text().replace("[budget]", '[budget]\ntrails = { "a/b" = [1] }'), "s.toml")


def test_an_address_in_place_of_the_table_is_not_repeated() -> None:
    """`notify = "https://..."` too."""
    with pytest.raises(errors.StudyFileError, match="s.toml: notify must be a table; write addresses") as raised:
        specs.parse(f'notify = "{URL}"\n{quick_text()}', "s.toml")
    assert "sEcReT" not in str(raised.value)
