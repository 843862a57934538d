"""The command that brings a storage of an older version up to date."""

import json

import click

from search import screens
from search.cli.options import common, json_option
from search.storage import addresses, upgrades


@click.command()
@click.option("--yes", is_flag=True, help="Upgrade though workers are alive: those of the older version fail then.")
@click.option("--no-copy", is_flag=True, help="Keep no copy of a SQLite file beside it.")
@json_option
@common
def upgrade(yes: bool, no_copy: bool, as_json: bool, storage: str) -> None:
    """Brings a storage that an older version made up to date, all or nothing; of a SQLite file it keeps a copy.

    \b
    Example:
      search upgrade
      search upgrade --storage sqlite:///runs/search.db
    """
    with screens.spinner("upgrading ..."):
        done = upgrades.upgrade(storage, keep_copy=not no_copy, despite_workers=yes)
    if as_json:
        tables = {"before": done.before, "after": done.after}
        optuna = {"before": done.optuna_before, "after": done.optuna_after}
        copy = None if done.copy is None else str(done.copy)
        click.echo(json.dumps({**tables, "optuna": optuna, "changed": done.is_change, "copy": copy}))
        return
    shown = addresses.hide_password(storage)
    if not done.is_change:
        screens.say(f"{shown} is current ({done.after})" if done.after else f"{shown} has no tables of ours yet")
    if done.before != done.after:
        screens.say(f"{shown}: {done.before} -> {done.after}")
    if done.optuna_before != done.optuna_after:
        screens.say(f"{shown}: Optuna's tables {done.optuna_before} -> {done.optuna_after}")
    if done.copy is not None:
        screens.say(f"as it was: {done.copy}")
