"""What the service manager that started us is told: readiness, signs of life, who the main process is.

The protocol is that of sd_notify(3), which systemd and others speak. Standard library only, and nothing here
ever raises: a service manager that does not listen is no reason to stop working.
"""

from __future__ import annotations

import os
import socket

__all__ = ["become_main_process", "hand_over", "notify", "watchdog_interval"]

PATIENCE = 1.0
"""Seconds that a message may wait for room in the service manager's queue; then it is dropped."""


PROC = "/proc"


def notify(text: str) -> None:
    """Send ``text``, assignments such as ``READY=1`` one a line, to the socket that NOTIFY_SOCKET names.

    Does nothing where no service manager waits for it, that is, where NOTIFY_SOCKET is unset or names no
    Unix socket (a path, or ``@`` and the name of an abstract one).
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(PATIENCE)
            sender.connect(os.fsencode(address))
            sender.send(os.fsencode(text))
    except (OSError, ValueError):
        return  # the socket is gone, is full, or is none: as the module says


def watchdog_interval() -> float | None:
    """Seconds between two ``WATCHDOG=1`` that keep the service manager content: half of what it allows.

    None where it asks for none, or asks another process (WATCHDOG_PID) than this one.
    """
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        allowed = int(os.environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return allowed / 2_000_000 if allowed > 0 else None


def become_main_process() -> None:
    """Take the place of the process that the service manager started, which has died.

    The service manager is told so, and its watchdog is ours to answer from now on, also after an exec.
    """
    if "WATCHDOG_PID" in os.environ:
        os.environ["WATCHDOG_PID"] = str(os.getpid())
    notify(f"MAINPID={os.getpid()}")


def hand_over(pid: int) -> bool:
    """Leave the place of the main process to ``pid``, which is at work already, and say that all is ready.

    That is one whom the service manager started earlier, and lost sight of: it is in our own control group,
    or below it. False, and nothing is said, where it is not, or where no service manager started us: it would
    answer no watchdog.
    """
    ours, theirs = _control_group("self"), _control_group(str(pid))
    if not os.environ.get("NOTIFY_SOCKET") or not ours or not theirs:
        return False
    if theirs != ours and not theirs.startswith(ours.rstrip("/") + "/"):
        return False
    notify(f"MAINPID={pid}\nREADY=1")
    return True


def _control_group(process: str) -> str:
    """The path of a process's control group as service managers see it; empty if there is none to be seen."""
    try:
        with open(os.path.join(PROC, process, "cgroup"), encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return ""
    paths = {controllers: path for _, controllers, path in lines}
    return paths.get("name=systemd", paths.get("", ""))
