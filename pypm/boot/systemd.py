"""systemd: the unit of a guardian, and how it is enabled and removed. docs/startup.md argues each line."""

from __future__ import annotations

import os
import re

from pypm.boot.job import MARK, BootJob
from pypm.boot.ours import refuse_what_is_not_ours
from pypm.boot.steps import RemoveFile, RunProgram, Step, WriteFile, output_of
from pypm.core.errors import RequestError

__all__ = ["install", "is_running", "path_of", "remove", "unit_text"]

SYSTEM_FOLDER = "/etc/systemd/system"
SYSTEM_RUNTIME_FOLDER = "/run/systemd/system"
LINGER_FOLDER = "/var/lib/systemd/linger"
"""Has a file for each user whose services run also when the user is not logged in."""

_PLAIN = re.compile(r"[\w./:=@+,-]+", re.ASCII).fullmatch

_UNIT = """\
# Written by `pypm startup`; `pypm unstartup` removes it.
# {mark}{home}
[Unit]
Description=pypm, the agents of {plain_home}
{unit_lines}\
# However often it fails, it is tried again.
StartLimitIntervalSec=0

[Service]
Type=notify
# When the guardian has died, its master takes its place: another process than was started says so.
NotifyAccess=all
ExecStart={command}
Environment={environment}
{service_lines}\
# `pypm kill` ends it with exit code 0, which is meant; 78: a new start would find the same again.
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=78
WatchdogSec=30
TimeoutAbortSec=10
# The end of one process is never the end of the others: agents live through the guardian's crash.
KillMode=process
OOMPolicy=continue
# SIGTERM lets the guardian stop every agent, each with the time that it is allowed.
TimeoutStopSec=5min
Delegate=yes
TasksMax=infinity

[Install]
WantedBy={target}
"""


def unit_text(job: BootJob) -> str:
    """The unit file of a job."""
    service_lines = f"User={job.user}\n" if job.user is not None else ""
    return _UNIT.format(
        mark=MARK,
        home=job.home,
        plain_home=job.home.replace("%", "%%"),
        unit_lines=_order(job) if job.system else "",
        command=" ".join(_quoted(word).replace("$", "$$") for word in job.command),
        environment=_quoted(f"PYPM_HOME={job.home}"),
        service_lines=service_lines,
        target="multi-user.target" if job.system else "default.target",
    )


def _order(job: BootJob) -> str:
    """What has to be there before: the network, and the disks that hold the home and the interpreter."""
    lines = "Wants=network-online.target\nAfter=network-online.target\n"
    paths = [job.home, os.path.dirname(job.python), os.path.dirname(job.guardian)]
    # systemd reads backslashes and quotes differently here: such a path goes without.
    needed = [_quoted(path) for path in dict.fromkeys(paths) if not set(path) & set("\"'\\")]
    return lines + (f"RequiresMountsFor={' '.join(needed)}\n" if needed else "")


def _quoted(word: str) -> str:
    """A word as systemd reads it: quoted where it must be, its escapes and specifiers taken away."""
    if _PLAIN(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _home_in(text: str) -> str | None:
    marked = (line.partition(MARK)[2] for line in text.splitlines() if line.startswith(f"# {MARK}"))
    return next(marked, None)


def path_of(job: BootJob) -> str:
    """Where the unit file is."""
    return os.path.join(_folder(job), f"{job.name}.service")


def install(job: BootJob, *, start: bool) -> list[Step]:
    """The steps that have systemd start the job at boot, and now if ``start`` says so.

    Raises RequestError where the unit's name is taken, or its folder is not this user's.
    """
    path = path_of(job)
    refuse_what_is_not_ours(path, job.home, _home_in)
    steps: list[Step] = [WriteFile(path, unit_text(job))]
    if not job.system and (lingering := _linger()) is not None:
        steps.insert(0, lingering)
    verbs = [("daemon-reload",), ("enable", job.name), *([("start", job.name)] if start else [])]
    return steps + [RunProgram((*_systemctl(job), *verb)) for verb in verbs]


def remove(job: BootJob) -> list[Step]:
    """The steps that undo ``install``; no agent is touched, also if the job runs now.

    A unit whose file is gone would lose its settings at the next reload, and a crash of the guardian would
    then be the end of its agents: the file of one that runs moves to where a reboot clears it.
    """
    path = path_of(job)
    refuse_what_is_not_ours(path, job.home, _home_in)
    if not os.path.exists(path):
        return []
    leftover = os.path.join(_runtime_folder(job), f"{job.name}.service")
    first: Step = WriteFile(leftover, unit_text(job)) if is_running(job) else RemoveFile(leftover)
    return [
        first,
        RunProgram((*_systemctl(job), "disable", job.name)),
        RemoveFile(path),
        RunProgram((*_systemctl(job), "daemon-reload")),
    ]


def is_running(job: BootJob) -> bool:
    """Whether systemd has the job running now."""
    try:
        output_of((*_systemctl(job), "is-active", "--quiet", job.name))
    except RequestError:
        return False
    return True


def _systemctl(job: BootJob) -> tuple[str, ...]:
    return ("systemctl",) if job.system else ("systemctl", "--user")


def _linger() -> RunProgram | None:
    """What lets the user's services start at boot and not at the first login; None if it is so already."""
    from pwd import getpwuid

    user = getpwuid(os.geteuid()).pw_name
    if os.path.exists(os.path.join(LINGER_FOLDER, user)):
        return None
    advice = f"to start at boot and not at your first login, type: sudo loginctl enable-linger {user}"
    return RunProgram(("loginctl", "--no-ask-password", "enable-linger"), otherwise=advice)


def _folder(job: BootJob) -> str:
    if job.system:
        return SYSTEM_FOLDER
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.config"), "systemd/user")


def _runtime_folder(job: BootJob) -> str:
    if job.system:
        return SYSTEM_RUNTIME_FOLDER
    base = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    return os.path.join(base, "systemd/user")
