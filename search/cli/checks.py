"""The command that proves what a study promises from its rows."""

import click

from search import screens
from search.cli import jsons
from search.cli.options import common, json_option, study_argument
from search.ledger import checks, studies
from search.storage import databases


@click.command()
@study_argument
@click.option("--recount", is_flag=True, help="First make the kept counts anew from the rows.")
@json_option
@common
def check(name: str, recount: bool, as_json: bool, storage: str) -> int:
    """Counts all rows of a study and compares: the counts that claims rest on, owners, configurations, budget.

    \b
    Example:
      search check lab
      search check lab --recount
    """
    database = databases.open_existing(storage) if recount else databases.open_to_read(storage)
    study = studies.load(database, name)
    with screens.spinner("counting ..."):
        if recount:
            checks.recount(database, study)
        found = checks.look(database, study)
    holds = all(each.holds for each in found)
    if as_json:
        listed = [{"name": each.name, "holds": each.holds, "said": each.said} for each in found]
        jsons.say({"name": study.name, "holds": holds, "recounted": recount, "checks": listed})
        return 0 if holds else 1
    for each in found:
        screens.say(f"{'holds' if each.holds else 'WRONG'}  {each.name}: {each.said}", "" if each.holds else "bold")
    return 0 if holds else 1
