"""Puts a master into bad conditions: loaded by each Python that has this folder in PYTHONPATH.

``PYPM_CONDITIONS`` names a file, which is a JSON object and may change at any time:

- ``stuck``: whether each fsync takes as long as this is said, as on a disk that has to spin up;
- ``wall``: seconds by which somebody has set the clock forward, or back;
- ``asleep``: seconds for which the machine was suspended: the boot clock has gone on, the monotonic one not;
- ``fork``: the errno with which the kernel refuses each new process.

In a process that is no master nothing is done at all.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


def install(path: str) -> None:
    """Put the conditions between the master's code and the kernel, before it runs."""

    def condition(name: str) -> float:
        with open(path) as file:
            return float(json.load(file).get(name, 0.0))

    def slowly(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            while condition("stuck"):
                time.sleep(0.05)
            return function(*arguments)

        return wrapped

    def refused(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if number := int(condition("fork")):
                raise OSError(number, os.strerror(number))
            return function(*arguments, **options)

        return wrapped

    os.fsync = slowly(os.fsync)
    import _posixsubprocess

    _posixsubprocess.fork_exec = refused(_posixsubprocess.fork_exec)
    os.fork, os.posix_spawn = refused(os.fork), refused(os.posix_spawn)
    real_time = time.time
    time.time = lambda: real_time() + condition("wall")

    from pypm.master import main

    # Not in pypm.system.clock: the kernel's own times of processes cannot be made to jump with it.
    real_boot_time = main.boot_time
    main.boot_time = lambda: real_boot_time() + condition("asleep")


if "PYPM_CONDITIONS" in os.environ and any("pypm.master.__main__" in each for each in sys.orig_argv):
    install(os.environ["PYPM_CONDITIONS"])
