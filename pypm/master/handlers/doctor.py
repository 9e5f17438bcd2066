"""``doctor``: what only the master can tell about its own condition."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING, Any

import msgspec

from pypm.master.enforcement import enforcements
from pypm.master.handlers import ping
from pypm.system.process import parent
from pypm.system.subreaper import is_subreaper
from pypm.system.sweep import child_pids

if TYPE_CHECKING:
    from pypm.master.main import Master

INIT = 1


class Params(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing."""


def handle(master: Master, params: Params) -> dict[str, Any]:  # noqa: ARG001 - a method's signature
    """Tell facts; what is good and bad about them is the client's to say."""
    about = ping.handle(master, ping.Params())
    running = [each for each in master.engine.instances.values() if each.run is not None]
    # First: what is looked for may be kept open from then on.
    limits = enforcements(master.executor.trees.groups, master.executor.limits)
    return about | {
        "guarded": about["guardian_pid"] != INIT and parent(about["guardian_pid"]) is not None,
        "instances": len(master.engine.instances),
        "running": len(running),
        "open_files": len(os.listdir("/proc/self/fd")) - 1,
        "open_files_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "subreaper": is_subreaper(),
        "children_listed": child_pids(os.getpid()) is not None,
        "state_trouble": master.store.trouble,
        "log_troubles": [
            {"path": each.path, "kind": each.kind, "reason": each.reason}
            for each in master.log_files.troubles()
        ],
        "tree_control": _tree_control(master),
        "limits": [each._asdict() for each in limits],
    }


def _tree_control(master: Master) -> dict[str, Any]:
    groups = master.executor.trees.groups
    level = "marks"
    if groups.folder and not groups.trouble:
        level = "cgroup-kill" if groups.has_kill else "cgroup"
    return {
        "level": level,
        "cgroups": groups.kind,
        "folder": groups.folder or None,
        "trouble": groups.trouble,
    }
