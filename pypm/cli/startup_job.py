"""What `startup` and `unstartup` have in common: for whom, for which home, and telling the steps."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pwd import getpwnam, getpwuid, struct_passwd
from typing import Any

import click

import pypm
from pypm.boot.job import BootJob
from pypm.boot.platforms import PLATFORMS, detect
from pypm.boot.steps import RemoveFile, RunProgram, Step, WriteFile, shown, take
from pypm.cli.output import note, print_json, say
from pypm.client.home import home_folder
from pypm.core.errors import RequestError, UsageError
from pypm.protocol.paths import socket_folder

__all__ = ["boot_options", "chosen_platform", "finish", "make_job"]


def boot_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says where and for whom: PLATFORM, --user, --system, --run-as, --name and --dry-run."""
    options = (
        click.argument("platform", required=False, type=click.Choice(list(PLATFORMS))),
        click.option("--user", "mode", flag_value="user", help="In the user's own service manager."),
        click.option(
            "--system", "mode", flag_value="system", help="In the machine's (the default for root)."
        ),
        click.option("--run-as", metavar="USER", help="With --system: the user that it runs as."),
        click.option("--name", metavar="NAME", help="The service's name: pypm, or pypm-USER."),
        click.option("--dry-run", is_flag=True, help="Print the steps and take none of them."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def chosen_platform(platform: str | None) -> str:
    """Give the platform that was named, or this machine's; raises :class:`RequestError` where it has none."""
    return platform or detect()


def make_job(verb: str, platform: str, *, dry_run: bool, **words: str | None) -> BootJob:
    """Make the job that the words (mode, run_as, name) mean.

    Raises :class:`UsageError` for words that do not go together, and :class:`RequestError`, with what to
    type, where this user may not do it.
    """
    mode, run_as, name = words["mode"], words["run_as"], words["name"]
    is_root = os.geteuid() == 0
    system = mode == "system" or (mode is None and is_root)
    if run_as is not None and not system:
        raise UsageError("--run-as goes with --system; with --user it runs as you")
    if system and not is_root and run_as is None:
        run_as = getpwuid(os.geteuid()).pw_name
    home = _home(run_as)
    job = BootJob(
        name=name or (f"pypm-{run_as}" if run_as else "pypm"),
        home=home,
        python=os.path.abspath(sys.executable),
        guardian=os.path.join(os.path.dirname(os.path.abspath(pypm.__file__)), "guardian", "__main__.py"),
        system=system,
        user=run_as,
    )
    if system and not is_root and not dry_run:
        raise RequestError(
            "only root may change what the machine starts", hint=_what_to_type(verb, platform, job)
        )
    return job


def _home(run_as: str | None) -> str:
    """The home of whom it runs as; it has to be that user's, and its sockets in it."""
    account = _account(run_as)
    home = home_folder()
    if account is not None and not os.environ.get("PYPM_HOME"):
        home = os.path.join(account.pw_dir, ".pypm")
    owner = os.geteuid() if account is None else account.pw_uid
    if os.path.exists(home) and os.stat(home).st_uid != owner:
        raise RequestError(
            f"the home {home} is not of the user that it is to run as",
            hint="name that user with --run-as, or the home with PYPM_HOME",
        )
    if socket_folder(home) != home:
        raise RequestError(
            f"the path {home} is too long for sockets, and where else they are depends on the login",
            hint="set PYPM_HOME to a shorter path",
        )
    return home


def _account(run_as: str | None) -> struct_passwd | None:
    if run_as is None:
        return None
    try:
        return getpwnam(run_as)
    except KeyError:
        raise UsageError(f"there is no user {run_as!r}") from None


def _what_to_type(verb: str, platform: str, job: BootJob) -> str:
    # -P: root must not run what happens to lie in the current folder.
    words = [
        "sudo",
        "env",
        f"PYPM_HOME={job.home}",
        job.python,
        "-P",
        "-m",
        "pypm",
        verb,
        platform,
        "--system",
    ]
    return "type: " + shlex.join([*words, "--run-as", str(job.user), "--name", job.name])


def finish(
    job: BootJob,
    platform: str,
    steps: list[Step],
    *,
    dry_run: bool,
    as_json: bool,
    done: str,
    advice: list[str],
) -> int:
    """Take the steps, or only show them, and tell so; ``done`` says in words what is so then."""
    if not dry_run:
        advice = take(steps) + advice
    if as_json:
        print_json(
            {
                "platform": platform,
                "name": job.name,
                "home": job.home,
                "path": PLATFORMS[platform].path_of(job),
                "steps": [_as_json(step) for step in steps],
                "dry_run": dry_run,
                "advice": advice,
            }
        )
        return 0
    if dry_run:
        for step in steps:
            say(shown(step).rstrip("\n"))
    if not steps:
        say("there is nothing to do")
    elif not dry_run:
        say(done)
    for text in advice:
        note(text)
    return 0


def _as_json(step: Step) -> dict[str, Any]:
    match step:
        case WriteFile(path, text):
            return {"write": path, "text": text}
        case RemoveFile(path):
            return {"remove": path}
        case RunProgram(command, text):
            return {"run": list(command), "text": text}
