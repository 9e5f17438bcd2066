"""``pypm why``."""

from __future__ import annotations

import os
import shutil
import sys
import time

import click

from pypm.cli.options import json_option
from pypm.cli.output import note, print_json, say
from pypm.cli.secrets import masked_answer
from pypm.cli.why_facts import Facts, read_saved, saved_facts, whole
from pypm.core.errors import NoMasterError

__all__ = ["command"]


@click.command("why")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…")
@json_option
def command(targets: tuple[str, ...], as_json: bool) -> int:
    """Tell why an instance is as it is: the reason, the rule, the evidence, what happens next and when.

    Where no master runs, it is what the last one has saved.

    \b
    Examples:
      pypm why worker
      pypm why all --json | jq -r '.[] | [.name, .status, .reason, .next.what] | @tsv'
    """
    from pypm.cli.targets import expanded

    answers: list[Facts] = masked_answer(_answers(expanded(targets)))
    if as_json:
        print_json(answers)
        return 0
    from pypm.cli.why_words import answer

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    say("\n\n".join(answer(facts, width) for facts in answers))
    return 0


def _answers(targets: list[str]) -> list[Facts]:
    from pypm.cli.session import existing_master

    try:
        with existing_master() as connection:
            details = connection.call("describe", targets=targets)
    except NoMasterError:
        return _saved_answers(targets)
    return [whole(detail, "master", time.time()) for detail in details]


def _saved_answers(targets: list[str]) -> list[Facts]:
    from pypm.cli.history import moment
    from pypm.client.home import home_folder
    from pypm.core.targets import match

    home = home_folder()
    state = read_saved(home)
    chosen = match(targets, [] if state is None else state.instances)
    if state is None:  # of nothing, all is nothing
        return []
    note(f"pypm: no master runs; this is what the last one saved at {moment(state.wall_time)}")
    logs_folder = os.path.join(home, "logs")
    return [whole(saved_facts(state, each, logs_folder), "state", state.wall_time) for each in chosen]
