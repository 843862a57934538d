"""A study under way, as people see it: on a terminal the live display, in a notebook a bar, else the workers' log."""

import contextlib
import logging
import pathlib
import sys

import tqdm
from optuna.trial import FrozenTrial, TrialState
from rich import console, live, progress, progress_bar, table, text
from rich.logging import RichHandler

from search import files, words
from search.ledger import forecasts, sentences, studies, summaries
from search.training import records

err = console.Console(stderr=True)

LIVE_COLUMNS, LIVE_BAR_WIDTH = 5, 10


class Live:
    """A running study: finished trials scroll by, what is under way stays below them."""

    def __init__(self, out: console.Console, label: str = "") -> None:
        self._out, self._label = out, label
        self._shown: set[int] | None = None
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

    def update(self, summary: summaries.Summary, workers: int, note: str = "") -> None:
        """Takes in the study as it is now."""
        finished = [t for t in summary.trials if t.state.is_finished()]
        if self._shown is None:  # what was there before this run is not news
            self._shown = {t.number for t in finished}
        for trial in finished:
            if trial.number not in self._shown:
                self._shown.add(trial.number)
                self._out.print(_line(trial), highlight=False)
        self._summary, self._note = summary, note or sentences.state_note(summary)
        left = forecasts.seconds_left(summary, workers)
        self._bar.update(
            self._task,
            description=f"{summary.study.name} {self._label}".strip(),
            total=summary.budget,
            completed=min(summary.done, summary.budget),
            eta="" if left is None else f"about {words.duration(left)} left",
        )

    def _render(self) -> console.RenderableType:
        if self._summary is None:
            return text.Text("starting workers ...", style="dim")
        rows: list[console.RenderableType] = [self._bar, _best_line(self._summary)]
        running = [t for t in self._summary.trials if t.state == TrialState.RUNNING]
        if running:
            grid = table.Table.grid(padding=(0, 2))
            for _ in range(LIVE_COLUMNS - 1):
                grid.add_column(no_wrap=True)
            grid.add_column()  # the one to be cut: a line a trial, however narrow the terminal
            for trial in running:
                grid.add_row(*self._running_row(self._summary, trial))
            rows.append(grid)
        if self._note:
            rows.append(text.Text(self._note, style="bold yellow"))
        return console.Group(*rows)

    def _running_row(self, summary: summaries.Summary, trial: FrozenTrial) -> tuple[console.RenderableType, ...]:
        done, epochs = len(trial.intermediate_values), forecasts.steps(summary)
        value = words.metric(trial.intermediate_values[max(trial.intermediate_values)]) if done else "-"
        return (
            text.Text(f"trial {trial.number}", style="cyan"),
            progress_bar.ProgressBar(total=epochs, completed=done, width=LIVE_BAR_WIDTH),
            f"epoch {done}/{epochs or '?'}",
            f"{summary.study.spec.study.metric} {value}",
            text.Text(
                words.short_configuration(trial.params) or "sampling ...",
                style="dim",
                no_wrap=True,
                overflow="ellipsis",
            ),
        )


class Quiet:
    """Where stderr is no terminal: in a notebook a bar; else the workers' log lines are the progress."""

    def __init__(self, notebook: bool) -> None:
        self._bar = tqdm.tqdm(unit="trial", disable=not notebook)

    def __enter__(self) -> "Quiet":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, summary: summaries.Summary, workers: int, note: str = "") -> None:
        """Takes in the study as it is now."""
        best = summary.best
        self._bar.total, self._bar.n = summary.budget, summary.done
        self._bar.set_description(summary.study.name, refresh=False)
        self._bar.set_postfix_str(note or (f"best {best.value:.4f}" if best else ""))


def screen(study: studies.Study, label: str) -> tuple[Live | Quiet, pathlib.Path | None]:
    """What shows the progress here, and where the workers' log goes meanwhile; None: to stderr."""
    if not (err.is_terminal or err.is_jupyter):
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
        return Quiet(notebook=False), None
    log_file = pathlib.Path("runs", f"{files.safe_name(study.name)}.log")
    log_file.parent.mkdir(exist_ok=True)
    if err.is_jupyter:
        return Quiet(notebook=True), log_file
    handler = RichHandler(console=err, show_path=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])
    return Live(err, label), log_file


def note(sentence: str) -> None:
    """What a user should know of the study, while it goes on."""
    err.print(f"note: {sentence}", markup=False, highlight=False, soft_wrap=True)


def spinner(sentence: str) -> contextlib.AbstractContextManager[object]:
    """Shows that something takes a moment; in a notebook nothing, since it would need a package of widgets."""
    return contextlib.nullcontext() if err.is_jupyter else err.status(sentence)


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


def _best_line(summary: summaries.Summary) -> text.Text:
    best = summary.best
    if best is None:
        return text.Text(sentences.best(summary), style="dim")
    metric = summary.study.spec.study.metric
    line = f"best: trial {best.number}, {metric} {words.metric(best.value)}, {words.short_configuration(best.params)}"
    return text.Text(line, style="green", no_wrap=True, overflow="ellipsis")


def _line(trial: FrozenTrial) -> text.Text:
    word, style = words.STATES[trial.state], words.STYLES[trial.state]
    line = text.Text(f"trial {trial.number:<3} ")
    line.append(f"{word:<8}", style=style)
    line.append(f" {words.metric(trial.value)} " if trial.value is not None else "    -   ")
    line.append(f"{records.SECONDS.read(trial, 0.0):>7.1f} s  {words.short_configuration(trial.params)}")
    if reason := records.REASON.find(trial):
        line.append(f"  ({reason})", style="dim")
    return line
