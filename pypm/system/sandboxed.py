"""A sandbox that is there: which of its processes is the agent, and how that has ended.

``bwrap`` stays as the parent of the agent for as long as that lives, and ends with its exit code. With
process ids of its own there is a second one, the init of that namespace. Neither does what a signal asks for:
signals are for those within.
"""

from __future__ import annotations

from collections.abc import Collection

from pypm.system.reap import Death
from pypm.system.sweep import child_pids

__all__ = ["agent_within", "keepers", "pid_outside", "unwrapped"]

SIGNAL_BASE = 128
MOST_SIGNAL = 64
NOBODY = 0


def unwrapped(death: Death) -> Death:
    """How the agent has ended, from how its sandbox has: that says a signal by an exit code, as shells do."""
    if death.code is None or not SIGNAL_BASE < death.code <= SIGNAL_BASE + MOST_SIGNAL:
        return death
    return Death(death.pid, None, death.code - SIGNAL_BASE, False)


def keepers(pid: int) -> set[int]:
    """The processes of the sandbox itself, whose first one is given: that, and the init of its namespace."""
    return {pid} | {child for child in child_pids(pid) or () if _is_init(child)}


def agent_within(pid: int) -> int | None:
    """The pid of the agent in the sandbox whose first process is given; None if there is none (yet)."""
    children = child_pids(pid) or set()
    for init in [child for child in children if _is_init(child)]:
        children = child_pids(init) or set()
    return _eldest(children)


def pid_outside(pid: int, number: int) -> int:
    """Which process of the sandbox has this pid within; ``number`` itself where pids are the same there."""
    queue = [child for child in child_pids(pid) or () if _is_init(child)]
    if not queue:
        return number
    while queue:
        each = queue.pop()
        numbers = _numbers(each)
        if len(numbers) > 1 and numbers[-1] == number:
            return each
        queue += child_pids(each) or ()
    return NOBODY


def _eldest(pids: Collection[int]) -> int | None:
    """The init of a namespace starts the agent first, and gets orphans later."""
    return min(pids, key=_number_within, default=None)


def _is_init(pid: int) -> bool:
    """Whether a process is the first one of a namespace of process ids below ours."""
    return len(numbers := _numbers(pid)) > 1 and numbers[-1] == 1


def _number_within(pid: int) -> int:
    return (_numbers(pid) or [pid])[-1]


def _numbers(pid: int) -> list[int]:
    """The pids that a process has, in our namespace and in those below it."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            line = next((line for line in file if line.startswith("NSpid:")), "NSpid:")
    except OSError:
        return []
    return [int(word) for word in line.split()[1:]]
