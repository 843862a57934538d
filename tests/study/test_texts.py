import pathlib

import pytest
from conftest import ROOT

from search import errors
from search.study import specs, texts

LAB = (ROOT / "studies" / "lab.toml").read_text()


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf" + LAB.encode(), LAB.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + LAB.replace("\n", "\r\n").encode()],
    ids=["mark", "lines", "both"],
)  # fmt: skip
def test_a_file_of_another_system_is_the_same_file(tmp_path: pathlib.Path, content: bytes) -> None:
    """What Windows puts before UTF-8 and at the end of lines changes nothing, nor what is stored."""
    path = tmp_path / "lab.toml"
    path.write_bytes(content)
    assert specs.load(path).text == LAB


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LAB.encode("utf-16"), "it must be UTF-8, got UTF-16: save it as UTF-8"),
        (LAB.encode("utf-16-be"), "it must be UTF-8, got NUL bytes, as UTF-16 has"),
        (LAB.encode("utf-32"), "it must be UTF-8, got UTF-32"),
        (LAB.replace("The lab", "Größe").encode("latin-1"), "it must be UTF-8, got byte 0xf6 in line 1"),
        (b"x = " + b"[" * 5_000, "must be TOML: its tables or lists are nested too deep"),
        (b"x = " + b"9" * 5_000, "must be TOML: "),
        (b"x = 1\x00", "must be TOML: "),
        (b"x = [1, None]", "(at line 1, column 9); None is { none = true } there, or none = true beside choices"),
        (b"[space]\nx = null", "(at line 2, column 5); None is { none = true } there"),
        (b"x = [1, True]", "(at line 1, column 9); TOML writes true and false small"),
    ],
)
def test_other_bytes_are_refused_in_one_line(tmp_path: pathlib.Path, content: bytes, message: str) -> None:
    """A file of another encoding, or none, is refused with its name and what it is."""
    path = tmp_path / "own.toml"
    path.write_bytes(content)
    with pytest.raises(errors.StudyFileError) as raised:
        specs.load(path)
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[a]\nx = 1 # one\n\n[b]\ny = 2\n", '[a]\nk = "v" # why\nx = 1 # one\n\n[b]\ny = 2\n'),
        ("[a]", '[a]\nk = "v" # why\n'),
        ('  [ "a" ] # its head\nx = 1', '  [ "a" ] # its head\nk = "v" # why\nx = 1'),
        ("# none\n[b]\ny = 2", '# none\n[b]\ny = 2\n\n[a]\nk = "v" # why\n'),
        ('b = """\n[a]\n"""\n[a]\nx = 1', 'b = """\n[a]\n"""\n[a]\nk = "v" # why\nx = 1'),
        ("a.x = 1\n[b]\ny = 2", 'a.k = "v" # why\na.x = 1\n[b]\ny = 2'),
        ("a = { x = 1 } # in one line\n", '[a]\nx = 1\nk = "v"\n'),
    ],
)
def test_a_key_is_added_to_a_table(text: str, found: str) -> None:
    """However its author wrote the table, the rest of the text stays as it is where a line can be added."""
    assert texts.stated(text, "a", {"k": "v"}, "why") == found


def test_a_file_that_is_not_there_is_named_once(tmp_path: pathlib.Path) -> None:
    """With the system's reason, and without its number."""
    for path, reason in ((tmp_path / "none.toml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(errors.StudyFileError) as error:
            texts.read(path)
        assert str(error.value) == f"{path}: cannot be read: {reason}"
