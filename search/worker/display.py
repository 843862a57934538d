"""Studies on a terminal: the live progress, the table of trials, the best of them."""

import collections
import sys
import termios
from typing import TYPE_CHECKING

import rich.box
from optuna.trial import FrozenTrial, TrialState
from rich import console, live, progress, progress_bar, table, text

from search import words
from search.ledger import forecast, orders, roster, study
from search.training import records

if TYPE_CHECKING:
    from search.reports import confirmation
STYLES = {
    TrialState.COMPLETE: "green",
    TrialState.PRUNED: "yellow",
    TrialState.FAIL: "red",
    TrialState.RUNNING: "cyan",
    TrialState.WAITING: "dim",
}
LIVE_COLUMNS, LIVE_BAR_WIDTH = 5, 10


class Live:
    """A running study: finished trials scroll by, what is under way stays below them."""

    def __init__(self, out: console.Console, label: str = "") -> None:
        self._out, self._label = out, label
        self._shown: set[int] | None = None
        self._bar = progress.Progress(
            progress.TextColumn("[bold]{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.fields[eta]}"),
            console=out,
        )
        self._task = self._bar.add_task("", eta="")
        self._summary: study.Summary | None = None
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

    def update(self, summary: study.Summary, workers: int, note: str = "") -> None:
        """Takes in the study as it is now."""
        finished = [t for t in summary.trials if t.state.is_finished()]
        if self._shown is None:  # what was there before this run is not news
            self._shown = {t.number for t in finished}
        for trial in finished:
            if trial.number not in self._shown:
                self._shown.add(trial.number)
                self._out.print(_line(trial), highlight=False)
        self._summary, self._note = summary, note or _state_note(summary)
        left = forecast.seconds_left(summary, workers)
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

    def _running_row(self, summary: study.Summary, trial: FrozenTrial) -> tuple[console.RenderableType, ...]:
        done, epochs = len(trial.intermediate_values), forecast.steps(summary)
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


def trial_table(summary: study.Summary) -> table.Table:
    """All trials, a row each."""
    names = [p.name for p in summary.study.spec.space.parameters]
    grid = table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    metric, trains = summary.study.spec.study.metric, summary.study.spec.training is not None
    losses = ("avg loss",) if trains else ()
    repeats = ("rep",) if any(map(records.repeat_of, summary.trials)) else ()
    # narrow enough for 80 columns
    for name in ("#", "state", metric, *losses, *(words.HEADINGS.get(n, n) for n in names), *repeats, "epochs", "sec"):
        grid.add_column(name, justify="left" if name in ("state", "act.") else "right", no_wrap=True)
    best = summary.best
    for trial in summary.trials:
        word, style = words.STATES[trial.state], STYLES[trial.state]
        loss, seconds = records.AVG_LOSS.find(trial), records.SECONDS.find(trial)
        grid.add_row(
            str(trial.number),
            text.Text(word, style=style),
            "" if trial.value is None else words.metric(trial.value),
            *((("" if loss is None else f"{loss:.6f}"),) if trains else ()),
            *(words.setting(trial.params[n]) if n in trial.params else "-" for n in names),
            *(str(records.repeat_of(trial) or "-") for _ in repeats),
            str(len(trial.intermediate_values)),
            "" if seconds is None else f"{seconds:.1f}",
            style="bold" if best is not None and trial.number == best.number else None,
        )
    return grid


def reasons(summary: study.Summary) -> list[str]:
    """Why trials were pruned or failed, a line each."""
    return [
        f"trial {trial.number} {words.STATES[trial.state]}: {reason}"
        for trial in summary.trials
        if (reason := records.REASON.find(trial)) is not None
    ]


def reason_counts(summary: study.Summary) -> dict[str, int]:
    """How many trials were pruned or failed for each reason, the most frequent first.

    A reason's figures, behind its first colon, are left out.
    """
    found = (
        f"{words.STATES[trial.state]}, {cause}"
        for trial in summary.trials
        if trial.state.is_finished() and (cause := records.cause(trial)) is not None
    )
    return dict(collections.Counter(found).most_common())


def situation(summary: study.Summary, crew: roster.Crew) -> list[str]:
    """Who works on a study, what it has cost and what is to come: a line each."""
    lines = [note] if (note := _state_note(summary)) else []
    if summary.done < summary.budget:
        if summary.is_exhausted:
            lines.append(f"all {summary.study.spec.space.size} configurations of the space have been tried")
        if summary.is_out_of_hours:
            lines.append(f"budget.hours is used up: `search extend {summary.study.name} --hours H` adds to it")
    lines += [f"{count} {reason}" for reason, count in reason_counts(summary).items()]
    steps = {trial.number: len(trial.intermediate_values) for trial in summary.trials}
    lines.append(f"workers alive: {len(crew.members)}")
    for member in crew.members:
        busy = ", ".join(f"trial {number}, {steps.get(number, 0)} epochs done" for number in member.trials)
        lines.append(f"  {member.name} on {member.device}: {busy or 'idle'}, seen {member.seen_seconds_ago:.0f} s ago")
    for number, owner in crew.orphans.items():
        lines.append(f"trial {number} is an orphan: {owner} is gone, the next free worker goes on with it")
    spent = f"training time: {words.duration(summary.seconds)}"
    if summary.order.hours is not None:
        spent += f" of {summary.order.hours:g} h"
    left = forecast.seconds_left(summary, len(crew.members))
    if left is not None and summary.done < summary.budget and summary.order.state is orders.State.ACTIVE:
        spent += f"; about {words.duration(left)} left with {words.plural(len(crew.members), 'worker')}"
    return [*lines, spent]


def study_table(summaries: list[study.Summary]) -> table.Table:
    """Studies, a row each."""
    grid = table.Table(box=rich.box.SIMPLE, pad_edge=False)
    for name in ("study", "state", "budget", "complete", "pruned", "failed", "running", "waiting", "best"):
        grid.add_column(name, justify="left" if name in ("study", "state") else "right")
    for summary in summaries:
        values = summary.as_json()
        best = summary.best
        grid.add_row(
            summary.study.name,
            str(summary.order.state),
            str(summary.budget),
            *(str(n) for n in values["trials"].values()),
            "-" if best is None else words.metric(best.value),
        )
    return grid


def plain_table(*names: str) -> table.Table:
    """A table without a frame; columns of numbers stand right."""
    grid = table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in names:
        grid.add_column(name, justify="right" if name in ("probability", "recall") else "left")
    return grid


def confirmation_table(found: "confirmation.Confirmation") -> table.Table:
    """Confirmed configurations, a row each."""
    grid = table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("configuration", "search", "test", "±", "optimism"):
        grid.add_column(name, justify="left" if name == "configuration" else "right")
    for entry in found.entries:
        value = entry.runs.value
        half = f"{value.half:.4f}" if value.count > 1 else "-"
        row = (
            words.short_configuration(dict(entry.runs.params)),
            words.metric(entry.selected),
            words.metric(value.mean),
            half,
        )
        grid.add_row(*row, f"{entry.optimism:+.4f}")
    return grid


def best_sentence(summary: study.Summary) -> str:
    """The best trial with its parameters, in words."""
    best = summary.best
    if best is None or best.value is None:
        return "no trial is complete yet"
    return f"best: trial {best.number}, {summary.study.spec.study.metric} {words.metric(best.value)}, " + ", ".join(
        f"{name} {words.setting(value)}" for name, value in best.params.items()
    )


def _echo_control(on: bool) -> bool:
    """Whether the terminal writes ^C where Ctrl-C is typed, which would tear the live display; returns what it did."""
    if not sys.stdin.isatty():
        return on
    attributes = termios.tcgetattr(sys.stdin)
    before = bool(attributes[3] & termios.ECHOCTL)
    attributes[3] = attributes[3] | termios.ECHOCTL if on else attributes[3] & ~termios.ECHOCTL
    termios.tcsetattr(sys.stdin, termios.TCSANOW, attributes)
    return before


def _best_line(summary: study.Summary) -> text.Text:
    best = summary.best
    if best is None:
        return text.Text(best_sentence(summary), style="dim")
    metric = summary.study.spec.study.metric
    line = f"best: trial {best.number}, {metric} {words.metric(best.value)}, {words.short_configuration(best.params)}"
    return text.Text(line, style="green", no_wrap=True, overflow="ellipsis")


def _line(trial: FrozenTrial) -> text.Text:
    word, style = words.STATES[trial.state], STYLES[trial.state]
    line = text.Text(f"trial {trial.number:<3} ")
    line.append(f"{word:<8}", style=style)
    line.append(f" {words.metric(trial.value)} " if trial.value is not None else "    -   ")
    line.append(f"{records.SECONDS.read(trial, 0.0):>7.1f} s  {words.short_configuration(trial.params)}")
    if reason := records.REASON.find(trial):
        line.append(f"  ({reason})", style="dim")
    return line


def _state_note(summary: study.Summary) -> str:
    """What the user must know while no trial begins."""
    name = summary.study.name
    if summary.order.state is orders.State.PAUSED:
        return f"paused: no trial begins until `search resume {name}`"
    if summary.order.state is orders.State.STOPPED:
        return f"stopping: no trial begins until `search resume {name}` or `search run {name}`"
    return ""
