"""A report as one HTML page that needs no network, and as Markdown with pictures: the same chapters in both."""

import dataclasses
import pathlib
import re
import zlib
from collections.abc import Sequence

import jinja2
import markupsafe

from search import errors, escapes, files
from search.reports import figures, sheets

TEMPLATES = jinja2.PackageLoader("search.reports", "templates")
FIGURES = "figures"
SHORT = 24  # characters of a cell that is kept on one line


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph. `word` between backticks is code."""

    text: str
    kind = "text"


@dataclasses.dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: Sequence[str]
    kind = "bullets"


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells of text; `sheet` is a file with the rows that it leaves out."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    sheet: sheets.Sheet | None = None
    kind = "table"

    @property
    def aligned(self) -> list[str]:
        """For each column `right`: numbers; `short`: words that need not be broken; or `long`."""
        columns = list(zip(*self.rows, strict=True)) if self.rows else [()] * len(self.headings)
        numeric = re.compile(r"^([-+±]?\d[^ ]*( ± [\d.]+)?|-|)$")
        kinds = ["short" if all(len(cell) <= SHORT for cell in column) else "long" for column in columns]
        return [
            "right" if all(map(numeric.match, column)) else kind for column, kind in zip(columns, kinds, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure with its caption."""

    picture: figures.Picture
    caption: str
    kind = "drawing"


Block = Text | Bullets | Table | Drawing


@dataclasses.dataclass(frozen=True)
class Chapter:
    """A part of the report, with a place of its own in the list of contents."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """Its name in links: letters, digits and hyphens; another one for another title."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")
        return plain if self.title.isascii() else f"{plain}-{zlib.crc32(self.title.encode()):08x}"


@dataclasses.dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        facts: the figures that stand on top, as (name, value).
    """

    title: str
    subtitle: str
    facts: Sequence[tuple[str, str]]
    chapters: Sequence[Chapter]

    @property
    def sheets(self) -> list[sheets.Sheet]:
        """The files of its tables."""
        tables = [block for chapter in self.chapters for block in chapter.blocks if isinstance(block, Table)]
        return [table.sheet for table in tables if table.sheet is not None]


def write(page: Page, folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes `report.html`, `report.md`, `figures/*.png` and `trials/*.csv` into a folder, each whole or not at all.

    Raises:
        errors.InputError: the folder cannot be made or written.
    """
    texts = {folder / "report.html": html(page).encode(), folder / "report.md": markdown(page).encode()}
    drawings = [block for chapter in page.chapters for block in chapter.blocks if isinstance(block, Drawing)]
    pictures = {folder / FIGURES / f"{each.picture.name}.png": each.picture.png for each in drawings}
    beside = {folder / each.path: each.text.encode() for each in page.sheets}
    try:
        for path, content in {**pictures, **beside, **texts}.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, content)
    except OSError as error:
        raise errors.InputError(f"--output {folder} must be a folder that can be written: {error.strerror}") from error
    html_path, markdown_path = texts
    return html_path, markdown_path


def html(page: Page) -> str:
    """The page, with its style and figures inside."""
    environment = jinja2.Environment(loader=TEMPLATES, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"prose": _prose, "longest": _longest}
    return environment.get_template("report.html").render(page=page, safe=markupsafe.Markup, short=SHORT)


def markdown(page: Page) -> str:
    """The same as Markdown; the figures lie beside it."""
    # no autoescape, it is not HTML: whatever the template puts in goes through `paragraph`
    environment = jinja2.Environment(
        loader=TEMPLATES,
        autoescape=False,  # noqa: S701
        finalize=escapes.paragraph,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"link": escapes.link, "table": table_markdown}
    return environment.get_template("report.md").render(page=page, figures=FIGURES)


def table_markdown(table: Table) -> str:
    """Its rows, without the caption."""
    return escapes.table(table.headings, table.rows, [side == "right" for side in table.aligned])


def _longest(text: str) -> int:
    """Letters of the longest word."""
    return max(map(len, text.split()), default=0)


def _prose(text: str) -> markupsafe.Markup:
    parts = [markupsafe.escape(part) for part in text.split("`")]
    whole = [markupsafe.Markup("<code>{}</code>").format(p) if i % 2 else p for i, p in enumerate(parts)]
    return markupsafe.Markup("").join(whole)
