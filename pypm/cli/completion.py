"""``pypm completion``."""

from __future__ import annotations

import sys

import click

from pypm.cli.completion_scripts import PLACES, SCRIPTS
from pypm.cli.options import json_option
from pypm.cli.output import note, print_json

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
@json_option
def command(shell: str, as_json: bool) -> int:
    """Print the script by which a shell completes pypm's words: verbs, options, and the names of apps,
    instances, namespaces and snapshots as they are at that moment. No master is asked or started for it.

    \b
    Examples:
      eval "$(pypm completion bash)"     in ~/.bashrc
      eval "$(pypm completion zsh)"      in ~/.zshrc; or as the file _pypm in a folder of $fpath
      pypm completion fish > ~/.config/fish/completions/pypm.fish
    """
    if as_json:
        print_json({"shell": shell, "script": SCRIPTS[shell], "place": PLACES[shell]})
        return 0
    sys.stdout.write(SCRIPTS[shell])
    if sys.stdout.isatty():
        note(f"hint: {PLACES[shell]}")
    return 0
