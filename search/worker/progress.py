"""A study under way, as people see it: on a terminal the live display, in a notebook a bar, else the workers' log."""

import contextlib
import logging
import pathlib
import sys
from collections.abc import Iterable

import tqdm
from optuna.trial import FrozenTrial
from rich import console, highlighter, live, progress, text
from rich.logging import RichHandler

from search import events, files, lines, screens, words
from search.ledger import forecasts, sentences, studies, summaries
from search.lines import said
from search.storage import addresses
from search.training import records

err = screens.err

BAR_COLUMNS = 10  # of a running trial
LEAST_METRIC = 5  # columns for the name of the metric
BESIDE_COLUMNS = 60  # of the study's bar, its counts, times and forecast, which leave the rest to its name
BESIDE_ROWS = 4  # of a terminal that running trials do not take: the bar, the best, how many more, a line of its own
CONFIGURATION_ROWS, REASON_ROWS = 2, 2  # that an ended trial may fill


class Live:
    """A running study: finished trials scroll by, what is under way stays below them."""

    def __init__(self, out: console.Console, label: str = "") -> None:
        self._out, self._label = out, label
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}", style="bold", markup=False),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.fields[eta]}"),
            console=out,
        )
        self._task = self._bar.add_task("", eta="")
        self._summary: summaries.Summary | None = None
        self._note = ""
        self._live = live.Live(console=out, refresh_per_second=4, get_renderable=self._render)

    def __enter__(self) -> "Live":
        self._echo = _echo_control(False)
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._note = ""
        self._live.stop()
        _echo_control(self._echo)

    def update(self, summary: summaries.Summary, ended: Iterable[FrozenTrial], workers: int, note: str = "") -> None:
        """Takes in the study as it is now, and the trials that have ended since it was last."""
        columns = screens.room(self._out) or self._out.width
        for trial in ended:
            for line in _told(trial, columns):
                self._out.print(line, soft_wrap=True)
        self._summary, self._note = summary, note or sentences.state_note(summary)
        left = forecasts.seconds_left(summary, workers)
        self._bar.update(
            self._task,
            description=self._name(summary.study.name),
            total=summary.budget,
            completed=min(summary.done + summary.paused, summary.budget),
            eta="" if left is None else f"about {words.duration(left)} left",
        )

    def _name(self, name: str) -> str:
        columns = (screens.room(self._out) or self._out.width) - BESIDE_COLUMNS
        shown = lines.clean(f"{name} {self._label}".strip())
        return screens.shorten(shown, max(screens.NARROWEST, columns), screens.NARROWEST // 2)

    def _render(self) -> console.RenderableType:
        if self._summary is None:
            return text.Text("starting workers ...", style="dim")
        columns, best = screens.room(self._out) or self._out.width, self._summary.best
        rows: list[console.RenderableType] = [self._bar]
        rows.append(_one_row(sentences.best(self._summary, columns, short=True), "dim" if best is None else "green"))
        note = [text.Text(each, style="bold yellow") for each in screens.wrap(said(self._note), columns)]
        running = self._summary.running
        most = max(1, self._out.height - len(note) - BESIDE_ROWS)
        is_plain = self._out.color_system is None
        rows += [_running(self._summary, trial, columns, is_plain) for trial in running[:most]]
        if len(running) > most:
            rows.append(_one_row(f"{words.plural(len(running) - most, 'more running trial')} not shown", "dim"))
        return console.Group(*rows, *note)


class Quiet:
    """Where stderr is no terminal: in a notebook a bar; else the workers' log lines are the progress."""

    def __init__(self, notebook: bool) -> None:
        self._bar = tqdm.tqdm(unit="trial", disable=not notebook)

    def __enter__(self) -> "Quiet":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, summary: summaries.Summary, ended: Iterable[FrozenTrial], workers: int, note: str = "") -> None:
        """Takes in the study as it is now."""
        best = summary.best
        self._bar.total, self._bar.n = summary.budget, summary.done + summary.paused
        self._bar.set_description(said(summary.study.name), refresh=False)
        self._bar.set_postfix_str(said(note) or (f"best {words.metric(best.value)}" if best else ""))


def screen(study: studies.Study, label: str, log_format: str) -> tuple[Live | Quiet, pathlib.Path | None]:
    """What shows the progress here, and where the workers' log goes meanwhile; None: to stderr, as JSON always."""
    is_json = log_format == events.JSON
    if not (screens.is_live(err) or err.is_jupyter) or (is_json and not err.is_jupyter):
        form = events.Formatter(addresses.scrub) if is_json else addresses.Formatter("%(asctime)s %(message)s")
        _log_to(logging.StreamHandler(), form)
        return Quiet(notebook=False), None
    log_file = pathlib.Path("runs", f"{files.safe_name(study.name)}.log")
    log_file.parent.mkdir(exist_ok=True)
    if err.is_jupyter:
        return Quiet(notebook=True), log_file
    handler = RichHandler(console=err, show_path=False, highlighter=highlighter.NullHighlighter(), keywords=[])
    _log_to(handler, addresses.Formatter("%(message)s"))
    return Live(err, label), log_file


def note(sentence: str) -> None:
    """What a user should know of the study, while it goes on."""
    screens.say(f"note: {lines.cut_within(lines.clean(sentence))}", where=err)


def spinner(sentence: str) -> contextlib.AbstractContextManager[object]:
    """Shows that something takes a moment."""
    return screens.spinner(sentence)


def _log_to(handler: logging.Handler, form: logging.Formatter) -> None:
    handler.setFormatter(form)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _echo_control(on: bool) -> bool:
    """Whether the terminal writes ^C where Ctrl-C is typed, which would tear the live display; returns what it did."""
    if not sys.stdin.isatty():
        return on
    try:
        import termios
    except ImportError:  # of Windows, whose terminals write none
        return on
    attributes = termios.tcgetattr(sys.stdin)
    before = bool(attributes[3] & termios.ECHOCTL)
    attributes[3] = attributes[3] | termios.ECHOCTL if on else attributes[3] & ~termios.ECHOCTL
    termios.tcsetattr(sys.stdin, termios.TCSANOW, attributes)
    return before


def _one_row(line: str, style: str) -> text.Text:
    return text.Text(line, style=style, no_wrap=True, overflow="ellipsis")


def _running(summary: summaries.Summary, trial: FrozenTrial, columns: int, is_plain: bool) -> text.Text:
    """A trial under way, in one row: its number, epoch and value are whole, a bar and parameters have what is left."""
    done, epochs = len(trial.intermediate_values), forecasts.steps(summary)
    value = words.metric(trial.intermediate_values[max(trial.intermediate_values)]) if done else "-"
    row = text.Text(f"trial {trial.number:<3}  ", style="cyan", no_wrap=True, overflow="ellipsis")
    if columns >= 4 * screens.NARROWEST:
        full = 0 if not epochs else min(BAR_COLUMNS, BAR_COLUMNS * done // epochs)
        row.append("━" * full, style="bar.complete")
        row.append((" " if is_plain else "━") * (BAR_COLUMNS - full) + "  ", style="bar.back")
    step = f"{summary.study.spec.step} {done:>2}/{epochs or '?'}  "
    most = max(LEAST_METRIC, min(columns // 4, columns - row.cell_len - len(f"{step} {value}")))
    metric = screens.shorten(lines.clean(summary.study.spec.study.metric), most, (most - 1) // 2)
    row.append(f"{step}{metric} {value:<6}", style="not dim default")
    left = columns - row.cell_len - 2
    if left >= screens.NARROWEST // 2:
        row.append(f"  {screens.configuration(trial.params, left, short=True) or 'sampling ...'}", style="dim default")
    return row


def _told(trial: FrozenTrial, columns: int) -> list[text.Text]:
    """A trial that has ended: its number, state, value and time, then what has room of its parameters and reason."""
    word, style = words.STATES[trial.state], words.STYLES[trial.state]
    value = "   -  " if trial.value is None else words.metric(trial.value)
    start = f"trial {trial.number:<3} "
    head = f"{start}{word:<8} {value} {records.SECONDS.read(trial, 0.0):>7.1f} s  "
    whole = screens.configuration(trial.params, None, short=True)
    if screens.width(head + whole) <= CONFIGURATION_ROWS * (columns - 4):
        told = screens.wrap(head + whole, columns)
    else:
        left = max(screens.NARROWEST, columns - len(head))
        told = [head + screens.configuration(trial.params, left, short=True)]
    rows = [text.Text(each) for each in told]
    rows[0].stylize(style, len(start), len(start) + len(word))
    if reason := records.REASON.find(trial):
        reason = f"({said(reason, REASON_ROWS * (columns - 4))})"
        if len(rows) == 1 and rows[0].cell_len + len(reason) + 2 < columns:
            rows[0].append(f"  {reason}", style="dim")
        else:
            rows += [text.Text(each, style="dim") for each in screens.wrap(f"  {reason}", columns, "   ")]
    return rows
