"""launchd: the property list of a guardian."""

from __future__ import annotations

import os
from typing import Any

from pypm.boot.job import BootJob
from pypm.boot.ours import refuse_what_is_not_ours
from pypm.boot.steps import RemoveFile, RunProgram, Step, WriteFile

__all__ = ["install", "path_of", "plist_text", "remove"]

SYSTEM_FOLDER = "/Library/LaunchDaemons"


def plist_text(job: BootJob) -> str:
    """The property list of a job."""
    from plistlib import dumps

    content: dict[str, Any] = {
        "Label": _label(job),
        "ProgramArguments": list(job.command),
        "EnvironmentVariables": {"PYPM_HOME": job.home},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        # The end of the guardian is not the end of its agents.
        "AbandonProcessGroup": True,
        "ExitTimeOut": 300,
        "ThrottleInterval": 2,
    }
    if job.user is not None:
        content["UserName"] = job.user
    return dumps(content).decode()


def _home_in(text: str) -> str | None:
    from plistlib import InvalidFileException, loads
    from xml.parsers.expat import ExpatError

    try:
        home = loads(text.encode())["EnvironmentVariables"]["PYPM_HOME"]
    except (ExpatError, InvalidFileException, KeyError, TypeError, ValueError):
        return None
    return str(home)


def path_of(job: BootJob) -> str:
    """Where the property list is."""
    folder = SYSTEM_FOLDER if job.system else os.path.expanduser("~/Library/LaunchAgents")
    return os.path.join(folder, f"{_label(job)}.plist")


def install(job: BootJob, *, start: bool) -> list[Step]:
    """The steps that have launchd start the job at boot (or at login), and now if ``start`` says so."""
    path = path_of(job)
    refuse_what_is_not_ours(path, job.home, _home_in)
    steps: list[Step] = [WriteFile(path, plist_text(job))]
    domain = "system" if job.system else f"gui/{os.geteuid()}"
    return [*steps, RunProgram(("launchctl", "bootstrap", domain, path))] if start else steps


def remove(job: BootJob) -> list[Step]:
    """The steps that undo ``install``; a job that runs goes on until the machine goes down."""
    path = path_of(job)
    refuse_what_is_not_ours(path, job.home, _home_in)
    return [RemoveFile(path)] if os.path.exists(path) else []


def _label(job: BootJob) -> str:
    return f"pypm.{job.name}"
