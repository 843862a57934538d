"""What is printed for people."""

import io
import os

import pytest
import rich.console
import terminals

from search import screens


def test_what_is_said_is_said_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """No markup, no emoji, no escapes, no end of line where there is no terminal."""
    screens.say("[bold]b[/bold] [/] :smile: \x1b[31m " + "long " * 100 + "\nend")
    out = capsys.readouterr().out
    assert out == "[bold]b[/bold] [/] :smile: \\x1b[31m " + "long " * 100 + " end\n"


def test_a_terminal_breaks_lines_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """But not one with a command in it, which is copied."""
    words = "a reason of many words " * 10
    with terminals.in_place_of_stdout(monkeypatch, 50) as terminal:
        screens.say_wrapped(words)
        screens.say_wrapped(f"type `search run lab` {words}")
    *broken, whole = terminal.lines
    assert all(len(line) <= 50 for line in broken)
    assert " ".join(" ".join(broken).split()) == words.strip()
    assert whole == f"type `search run lab` {words}"


def test_the_columns_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe has none; COLUMNS is believed but for 0; colour makes no terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with terminals.opened(123) as (_, slave), os.fdopen(slave, "w") as stream:
        for given, columns in ((None, 80), ("100", 100), ("7", screens.NARROWEST), ("0", 80), ("wide", 80)):
            if given is not None:
                monkeypatch.setenv("COLUMNS", given)
            assert screens.room(rich.console.Console(file=stream, width=80)) == columns
        assert screens.is_live(rich.console.Console(file=stream, force_interactive=True, _environ={"TERM": "xterm"}))
        assert not screens.is_live(rich.console.Console(file=stream, _environ={"TERM": "dumb"}))
        monkeypatch.delenv("TERM")
        assert not screens.is_live(rich.console.Console(file=stream, force_interactive=True))
    forced = rich.console.Console(file=io.StringIO(), force_terminal=True)
    assert (screens.room(forced), screens.is_live(forced)) == (None, False)


def test_shortened_names_tell_apart() -> None:
    """Both ends of a name are shown, and more of one where that tells two apart, else their places."""
    assert screens.shorten("lr", 8) == "lr"
    assert screens.shorten("model_optimizer_param_10", 12, 4) == "model...m_10"
    numbered = screens.distinct([f"model_optimizer_param_{i}" for i in range(14)], 12)
    assert numbered[-2:] == ["model...m_12", "model...m_13"]
    middle = [f"{'a' * 40}{letter}{'a' * 40}" for letter in "XYZ"]
    assert screens.distinct([*middle, "b"], 12) == ["aaaaaaaa...1", "aaaaaaaa...2", "aaaaaaaa...3", "b"]
    wide = screens.distinct(["学習率学習率学習率一", "学習率学習率学習率二"], 12)
    assert len(set(wide)) == 2
    assert all(screens.width(name) <= 12 for name in wide)


def test_a_configuration_has_room_or_says_how_much_has_not() -> None:
    """Whole where it fits or nobody limits it, else as many parameters as have room, and how many more there are."""
    params = {f"parameter_{i}": i / 7 for i in range(40)}
    assert screens.configuration(params, None).count(", ") == 39
    for columns in (20, 40, 80, 200):
        found = screens.configuration(params, columns)
        assert screens.width(found) <= columns
        assert found.endswith(" more") or found == "40 parameters"
    assert screens.configuration(params, 40) == "parameter_0 0, ... 39 more"
    assert screens.configuration({"learning_rate": 0.1, "activation": "ReLU"}, 80, short=True) == "lr 0.1, ReLU"
    assert screens.configuration({"x": "z" * 3_000}, None).endswith("z... (3,000 characters)")
    assert screens.configuration({"\x1b[31m": "[/]\n"}, 80) == "\\x1b[31m '[/]\\n'"


def test_a_bar_is_drawn_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """There it says what is done, and how much of it; into a pipe it writes nothing."""
    monkeypatch.setenv("TERM", "xterm")
    with screens.bar("writing") as move:
        move(1, 2)
    assert capfd.readouterr() == ("", "")
    with terminals.opened(80) as (terminal, slave), os.fdopen(slave, "w") as stream:
        monkeypatch.setattr(screens, "err", screens.Console(file=stream))
        with screens.bar("writing") as move:
            move(1, 2)
    assert any("writing" in line and "50%" in line for line in terminal.lines)
