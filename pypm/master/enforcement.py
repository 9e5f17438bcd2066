"""What of the limits of apps is enforced how on this machine: a table for ``pypm doctor``.

``python -m pypm.master.enforcement HOME`` prints it as JSON, as it would be for a master started from there.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from typing import Literal, NamedTuple

from pypm.master.kernel_limits import KernelLimits
from pypm.system import held
from pypm.system.attributes import TOOLS
from pypm.system.cgroup import Groups
from pypm.system.identity import may_change_identity
from pypm.system.limits import OWN_OOM_SCORE, protect_from_oom
from pypm.system.sandbox import availability

__all__ = ["Enforcement", "enforcements"]

MOST_NICE = 20
"""From this, less RLIMIT_NICE, follows the lowest nice value that may be set without privileges."""


class Enforcement(NamedTuple):
    """One line of the table."""

    what: str
    by: Literal["kernel", "pypm", "nobody"]
    """Who holds agents to it."""
    text: str
    remedy: str = ""
    """What gives more; empty: there is no more."""


def enforcements(groups: Groups, limits: KernelLimits) -> list[Enforcement]:
    """The whole table."""
    return [*_of_controllers(groups, limits), *_of_trees(groups, limits), *_of_processes()]


def _of_controllers(groups: Groups, limits: KernelLimits) -> Iterator[Enforcement]:
    faults = {name: limits.controllers.fault(name) for name in ("memory", "cpu", "pids")}
    remedy = _remedy(groups)
    polled = "pypm looks at the whole tree, more often as it comes near its limit"
    if not faults["memory"]:
        yield Enforcement("memory", "kernel", "pypm looks, and memory.high and memory.max stand behind it")
    else:
        yield Enforcement("memory", "pypm", f"{polled}; no memory.max: {faults['memory']}", remedy)
    if not faults["cpu"]:
        yield Enforcement("cpu_max", "kernel", "cpu.max")
    else:
        text = f'refused, unless enforce = "best_effort": {faults["cpu"]}'
        yield Enforcement("cpu_max", "nobody", text, remedy)
    yield Enforcement(
        "cpu", "pypm", "pypm looks each second; who is above it for so long is told of, or restarted"
    )
    if not faults["pids"]:
        yield Enforcement("tasks", "kernel", "pids.max: the next process or thread is refused")
    else:
        text = f"pypm counts each second, and restarts; no pids.max: {faults['pids']}"
        yield Enforcement("tasks", "pypm", text, remedy)


def _remedy(groups: Groups) -> str:
    """What gives more controllers; empty where only another machine would."""
    if groups.kind == "none":
        return "only a kernel with cgroup version 2 gives more"
    if groups.kind == "hybrid":
        return "boot with systemd.unified_cgroup_hierarchy=1: version 1 has the controllers here"
    if not groups.folder and "PYPM_CGROUP" in groups.trouble:
        return "pypm kill, then start again without PYPM_CGROUP=no"
    user = "" if os.geteuid() == 0 else "--user "
    scope = f'systemd-run {user}--scope -p "Delegate=cpu memory pids" pypm start …'
    return f"run pypm where the controllers are its own: pypm startup, or {scope}"


def _of_trees(groups: Groups, limits: KernelLimits) -> Iterator[Enforcement]:
    if groups.folder and not groups.trouble and groups.has_kill:
        yield Enforcement("kill", "kernel", "cgroup.kill ends the whole tree at once")
    else:
        why = groups.trouble or "Linux 5.14 has cgroup.kill"
        yield Enforcement("kill", "pypm", f"sessions, subreaper and marks find the whole tree; {why}")
    if not limits.controllers.fault("memory"):
        yield Enforcement("oom detection", "kernel", "memory.events of the group of a run with limits")
    elif os.access("/dev/kmsg", os.R_OK):
        yield Enforcement("oom detection", "kernel", "the kernel's log names whom it has killed")
    else:
        text = "guessed from the number of such kills; /dev/kmsg cannot be read"
        yield Enforcement(
            "oom detection", "pypm", text, "run as root, or in a group with the memory controller"
        )


def _of_processes() -> Iterator[Enforcement]:
    is_root = may_change_identity()
    yield (
        _by_tool("user, group", "setpriv", "setpriv changes to any user")
        if is_root
        else Enforcement("user, group", "nobody", "all agents are the user that pypm is", "run pypm as root")
    )
    sizes = "open_files, file_size, core"
    if held.is_possible():
        yield Enforcement(sizes, "kernel", "given to a process that is held before its program")
    else:
        yield _by_tool(sizes, "prlimit", "prlimit, which becomes the program")
    lowest = (
        -MOST_NICE if is_root else max(-MOST_NICE, MOST_NICE - resource.getrlimit(resource.RLIMIT_NICE)[1])
    )
    more = "" if lowest <= -MOST_NICE else "root, or a higher RLIMIT_NICE (LimitNICE=), allows less"
    yield Enforcement("nice", "kernel", f"from {min(lowest, os.nice(0))} to 19", more)
    classes = "idle, best-effort" + (", realtime" if is_root else "")
    yield Enforcement("ionice", "kernel", classes, "" if is_root else "realtime needs root")
    yield Enforcement("cpu_affinity", "kernel", f"CPUs {_ranges(sorted(os.sched_getaffinity(0)))}")
    yield _of_oom_score()
    why = availability()
    if why is None:
        yield Enforcement("sandbox", "kernel", "namespaces, by bubblewrap")
    else:
        yield Enforcement("sandbox", "nobody", "refused", why)


def _of_oom_score() -> Enforcement:
    with open(OWN_OOM_SCORE, encoding="ascii") as file:
        own = int(file.read())
    if own < 0:
        text, remedy = f"pypm itself has {own}: agents are killed before it", ""
    else:
        text = f"from {own} to 1000; pypm itself has {own}"
        remedy = "root with CAP_SYS_RESOURCE may lower it, or OOMScoreAdjust=-900 in the unit of pypm"
    return Enforcement("oom_score_adj", "kernel", text, remedy)


def _by_tool(what: str, tool: str, text: str) -> Enforcement:
    if shutil.which(tool, path=TOOLS) is None:
        return Enforcement(what, "nobody", f"refused: there is no {tool}", "install util-linux")
    return Enforcement(what, "kernel", text)


def _ranges(numbers: list[int]) -> str:
    """``0-3,6``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def _print(home: str) -> None:
    """Make the groups of a home for as long as that takes; those of a master that begins meanwhile stay."""
    protect_from_oom()
    groups = Groups.from_environment(home)
    try:
        print(json.dumps([each._asdict() for each in enforcements(groups, KernelLimits(groups, lambda: ()))]))
    finally:
        groups.close()


if __name__ == "__main__":
    _print(sys.argv[1])
