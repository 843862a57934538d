"""The command that asks whether an engine trains right on this machine."""

import click
from rich import progress

from search import screens
from search.cli import jsons
from search.cli.options import debug_option, json_option, worker_options
from search.worker.settings import Settings


@click.command()
@worker_options("device", "engine")
@json_option
@debug_option
def selfcheck(settings: Settings, as_json: bool) -> int:
    """Trains small networks beside float64, and says how much farther from it than plain PyTorch an engine ends.

    An engine of coarser numbers is compared with float64 whose factors are rounded to them.

    A worker does the same at the first use of a GPU, and trains by plain PyTorch where this one disagrees. Half a
    minute; what is found is remembered for this device, driver and version.

    \b
    Example:
      search selfcheck
      search selfcheck --engine reference --json
      search selfcheck --device cuda
    """
    from models import backends, engines  # imports Numba

    device = engines.check(settings.engine or "auto", settings.training_device)
    name = engines.names(device)[0] if settings.engine in (None, "auto") else settings.engine
    from models.engines import selfchecks, verdicts

    columns = [progress.TextColumn("{task.description}"), progress.BarColumn(), progress.TimeRemainingColumn()]
    live = screens.is_live(screens.err)
    with progress.Progress(*columns, console=screens.err, transient=True, disable=not live) as bar:
        task = bar.add_task("training", total=selfchecks.TRAININGS)
        findings = verdicts.checked(engines.make(name, device), lambda: bar.advance(task))
    agrees = all(finding.agrees for finding in findings)
    if as_json:
        listed = [{**vars(finding), "agrees": finding.agrees} for finding in findings]
        head = {"engine": name, "device": device, "allowed": selfchecks.ALLOWED, "agrees": agrees}
        jsons.say({**head, "networks": listed})
        return 0 if agrees else 1
    for finding in findings:
        word = "agrees" if finding.agrees else "WRONG "
        screens.say(f"{word}  {verdicts.sentence(finding)}", "" if finding.agrees else "bold")
    precision = findings[0].precision
    yardstick = "plain PyTorch" if precision == backends.FLOAT32 else f"factors in {precision} allow"
    end = f"as exactly as {yardstick}"
    if not agrees:
        end = f"not {end}" + (", which workers take instead" if precision == backends.FLOAT32 else "")
    screens.say(f"engine {name} on {device} trains {end}")
    return 0 if agrees else 1
