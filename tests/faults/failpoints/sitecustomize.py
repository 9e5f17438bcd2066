"""Kills a master at a chosen point of its work: loaded by each Python that has this folder in PYTHONPATH.

``PYPM_FAILPOINTS`` names a file. When a master passes a point while the file is there, it counts; at the
point whose number (from 1) or name the file holds, it moves the file to ``FILE.fired``, with the name of the
point in it, and kills itself. So a file kills one master, and a test that writes it anew kills another one.

The points are before and after: each order of the core that is carried out, each spawn and, within it, its
note and the limits of a process that is held for them, each commit of the state, each reaping, each message
to the guardian. In a process that is no master nothing is done at all. With ``PYPM_FAILPOINTS_STOP``, the
children of a master are stopped before it is killed.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any


class Failpoints:
    """Counts the points that this process passes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._numbers = itertools.count(1)
        self._armed: tuple[int, int] | None = None
        """Which file it is: counting begins anew with a new one."""

    def around(self, name: Callable[..., str], function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with a point before and after it; ``name`` makes the points' name of its arguments."""

        @functools.wraps(function)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            point = name(*arguments)
            self._pass(f"before {point}")
            result = function(*arguments, **options)
            self._pass(f"after {point}")
            return result

        return wrapped

    def _pass(self, point: str) -> None:
        try:
            with open(self._path) as file:
                chosen, status = file.read(), os.stat(file.fileno())
        except FileNotFoundError:
            return
        if self._armed != (status.st_ino, status.st_mtime_ns):
            self._armed, self._numbers = (status.st_ino, status.st_mtime_ns), itertools.count(1)
        if chosen in (str(next(self._numbers)), point):
            with open(self._path, "w") as file:
                file.write(point)
            os.rename(self._path, f"{self._path}.fired")
            if "PYPM_FAILPOINTS_STOP" in os.environ:
                stop_children()
            os.kill(os.getpid(), signal.SIGKILL)


def stop_children() -> None:
    """Let no child of this process do anything until it is told to go on."""
    from pypm.system.sweep import child_pids

    for pid in child_pids(os.getpid()) or ():
        os.kill(pid, signal.SIGSTOP)


def install(path: str) -> None:
    """Put the points into the master's code, before it runs."""
    points = Failpoints(path)
    from pypm.system import files

    files.replace_file = points.around(lambda *_: "commit", files.replace_file)

    from pypm.master.begun import BegunRuns
    from pypm.master.ends import Ends
    from pypm.master.executor import SystemExecutor
    from pypm.master.link import GuardianLink
    from pypm.system.attributes import Attributes

    def put(owner: type, method: str, name: Callable[..., str]) -> None:
        setattr(owner, method, points.around(name, getattr(owner, method)))

    put(SystemExecutor, "perform", lambda _, instance, action: f"{type(action).__name__} {instance.name}")
    put(SystemExecutor, "_spawn", lambda _, instance: f"spawn {instance.name}")
    put(Ends, "_reap", lambda *_: "reap")
    put(BegunRuns, "add", lambda *_: "note")
    put(Attributes, "give_limits", lambda *_: "limits")
    for message in ("hold", "drop", "seen", "serving"):
        put(GuardianLink, message, lambda *_, message=message: f"{message} to the guardian")


if "PYPM_FAILPOINTS" in os.environ and any("pypm.master.__main__" in each for each in sys.orig_argv):
    install(os.environ["PYPM_FAILPOINTS"])
