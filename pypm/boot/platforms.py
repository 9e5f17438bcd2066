"""Which of the ways to start with the machine this machine has."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Protocol

from pypm.boot import cron, launchd, systemd
from pypm.boot.job import BootJob
from pypm.boot.steps import Step
from pypm.core.errors import RequestError

__all__ = ["PLATFORMS", "Platform", "detect"]

SYSTEMD_IS_RUNNING = "/run/systemd/system"
"""There where systemd has booted the machine, as sd_booted(3) says; the tools alone prove nothing."""


class Platform(Protocol):
    """One way to start with the machine."""

    def path_of(self, job: BootJob) -> str | None:
        """The file that says what is started, if pypm writes one."""

    def install(self, job: BootJob, *, start: bool) -> list[Step]:
        """The steps that set it up."""

    def remove(self, job: BootJob) -> list[Step]:
        """The steps that undo that."""


PLATFORMS: dict[str, Platform] = {"systemd": systemd, "cron": cron, "launchd": launchd}


def detect() -> str:
    """The name of this machine's platform. Raises RequestError where there is none."""
    if sys.platform == "darwin":
        return "launchd"
    if os.path.isdir(SYSTEMD_IS_RUNNING):
        return "systemd"
    if shutil.which("crontab") is not None:
        return "cron"
    raise RequestError(
        "there is neither systemd nor cron here to start pypm with the machine",
        hint="in a container, `pypm start FILE --foreground` is what to run; else have your init run the "
        "command that `pypm startup systemd --dry-run` shows behind ExecStart",
    )
