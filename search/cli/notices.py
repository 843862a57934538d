"""The command that sends a study's messages by hand: a test, or what could not be delivered."""

import pathlib

import click

from search import screens, words
from search.api import notices
from search.cli import jsons
from search.cli.options import common, json_option, study_argument
from search.worker import addressees


@click.command()
@study_argument
@click.option("--test", "is_test", is_flag=True, help="Send a test to each address, and say whether it went out.")
@click.option(
    "--urls-file",
    envvar=addressees.VARIABLE,
    type=click.Path(path_type=pathlib.Path, dir_okay=False),
    help="File of addresses, where it does not lie here as notify.urls_file says.",
)
@json_option
@common
def notify(name: str, is_test: bool, urls_file: pathlib.Path | None, as_json: bool, storage: str) -> int:
    """Sends what could not be delivered of a study's messages, or a test to each of its addresses.

    Addresses are named by their places in the file of notify.urls_file, and never shown.

    \b
    Example:
      search notify lab --test
      search notify lab
    """
    return (_test if is_test else _deliver)(name, as_json, storage, urls_file)


def _test(name: str, as_json: bool, storage: str, urls_file: pathlib.Path | None) -> int:
    tried = notices.try_addresses(name, storage, urls_file)
    if as_json:
        listed = [{"address": each.address, "sent": each.reason is None, "reason": each.reason} for each in tried]
        jsons.say({"name": name, "addresses": listed, "messages": None, "reason": None})
    else:
        for each in tried:
            screens.say(f"address {each.address}: {'sent' if each.reason is None else f'NOT sent: {each.reason}'}")
    return int(any(each.reason is not None for each in tried))


def _deliver(name: str, as_json: bool, storage: str, urls_file: pathlib.Path | None) -> int:
    found = notices.deliver(name, storage, urls_file)
    if as_json:
        jsons.say({"name": name, "addresses": [], **found.as_json(), "reason": found.reason})
    else:
        why = f": {found.reason or 'another process is at it'}" if found.left else ""
        screens.say(f"{words.plural(found.sent, 'message')} delivered, {found.left} not{why}")
    return int(found.left > 0)
