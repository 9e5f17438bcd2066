"""``pypm startup``."""

from __future__ import annotations

import os

import click

from pypm.boot import systemd
from pypm.boot.job import BootJob
from pypm.boot.platforms import PLATFORMS
from pypm.cli.options import json_option
from pypm.cli.startup_job import boot_options, chosen_platform, finish, make_job
from pypm.client.launch import connect
from pypm.core.errors import NoMasterError

__all__ = ["command"]


@click.command("startup")
@boot_options
@json_option
def command(
    platform: str | None, mode: str | None, run_as: str | None, name: str | None, dry_run: bool, as_json: bool
) -> int:
    """Start with the machine: agents that were up are up again after a reboot.

    A unit of systemd where that runs, else a line of cron; launchd on a Mac. What runs now is not touched.

    \b
    Examples:
      pypm startup                       your own agents, as you
      pypm startup --dry-run             show the unit and the commands
      sudo pypm startup --run-as alice   a unit of the machine
    """
    platform = chosen_platform(platform)
    job = make_job("startup", platform, dry_run=dry_run, mode=mode, run_as=run_as, name=name)
    runs = _master_runs(job.home)
    steps = PLATFORMS[platform].install(job, start=not runs)
    done = (
        f"{job.home} starts with the machine: {PLATFORMS[platform].path_of(job) or 'its line is in crontab'}"
    )
    advice = _advice(platform, job) if runs else []
    if job.user is None and job.system and (caller := os.environ.get("SUDO_USER")):
        advice.append(f"it runs as root; for the agents of {caller}: --run-as {caller}")
    return finish(job, platform, steps, dry_run=dry_run, as_json=as_json, done=done, advice=advice)


def _master_runs(home: str) -> bool:
    try:
        connect(home).close()
    except NoMasterError:
        return False
    return True


def _advice(platform: str, job: BootJob) -> list[str]:
    """A master runs already, begun by hand, and stays: what that means."""
    if platform != "systemd":
        return ["the master that runs now goes on as it is; from the next boot on it is started so"]
    if systemd.is_running(job):
        return []
    systemctl = "systemctl" if job.system else "systemctl --user"
    way = f"pypm save && pypm kill && {systemctl} start {job.name} && pypm resurrect"
    return [
        "the master that runs now is not of this service, and goes on as it is until the next boot",
        f"to change that now, with new runs of all agents: {way}",
    ]
