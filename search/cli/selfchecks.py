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

    A worker does the same at the first use of a GPU, and trains by plain PyTorch where this one disagrees. Half a
    minute; what is found is remembered for this device, driver and version.

    \b
    Example:
      search selfcheck
      search selfcheck --engine reference --json
      search selfcheck --device cuda
      search selfcheck --device cuda --engine cuda-bf16
    """
    from models import backends, engine, engines  # imports Numba

    device = engines.check(settings.engine or "auto", settings.training_device)
    name = engines.names(device)[0] if settings.engine in (None, "auto") else settings.engine
    from models.engines import selfchecks, verdicts

    columns = [progress.TextColumn("{task.description}"), progress.BarColumn(), progress.TimeRemainingColumn()]
    live = screens.is_live(screens.err)
    with progress.Progress(*columns, console=screens.err, transient=True, disable=not live) as bar:
        task = bar.add_task("training", total=selfchecks.TRAININGS)
        made = engines.make(name, device)
        findings, teams = verdicts.checked(made, lambda: bar.advance(task)), engine.teams(made)[1:]
        wrong, precision = selfchecks.other_bits(made, teams), backends.of(made).precision
    agrees = all(finding.agrees for finding in findings)
    if as_json:
        listed = [{**vars(finding), "agrees": finding.agrees} for finding in findings]
        head = {"engine": name, "device": device, "precision": precision, "allowed": selfchecks.ALLOWED}
        sizes = {str(team): team not in wrong for team in teams}
        jsons.say({**head, "agrees": agrees and not wrong, "networks": listed, "teams": sizes})
    else:
        for finding in findings:
            word = "agrees" if finding.agrees else "WRONG "
            screens.say(f"{word}  {verdicts.sentence(finding, precision)}", "" if finding.agrees else "bold")
        for team in wrong:
            screens.say(f"WRONG   a team of {team} blocks ends with other bits than one block, so none has it", "bold")
        plain = "plain PyTorch" if precision == backends.FLOAT32 else f"plain PyTorch in {precision}"
        end = f"as exactly as {plain}" if agrees else f"not as exactly as {plain}; workers take plain PyTorch instead"
        screens.say(f"engine {name} on {device} trains {end}")
    return 0 if agrees and not wrong else 1
