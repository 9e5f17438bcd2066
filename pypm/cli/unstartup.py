"""``pypm unstartup``."""

from __future__ import annotations

import click

from pypm.boot.platforms import PLATFORMS
from pypm.cli.options import json_option
from pypm.cli.startup_job import boot_options, chosen_platform, finish, make_job

__all__ = ["command"]


@click.command("unstartup")
@boot_options
@json_option
def command(
    platform: str | None, mode: str | None, run_as: str | None, name: str | None, dry_run: bool, as_json: bool
) -> int:
    """Undo `startup`, given the same words: nothing starts with the machine. What runs now goes on.

    \b
    Examples:
      pypm unstartup
      sudo pypm unstartup --run-as alice
    """
    platform = chosen_platform(platform)
    job = make_job("unstartup", platform, dry_run=dry_run, mode=mode, run_as=run_as, name=name)
    steps = PLATFORMS[platform].remove(job)
    done = f"{job.home} does not start with the machine any more"
    return finish(job, platform, steps, dry_run=dry_run, as_json=as_json, done=done, advice=[])
