"""What ``pypm doctor`` checks: each a judgement about facts, with what to do where it is not good."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from pypm import __version__
from pypm.client.home import socket_path
from pypm.config.home_settings import read_home_settings
from pypm.config.units import format_size
from pypm.core.errors import ConfigError

__all__ = ["Check", "check_home", "check_machine", "check_master"]

Level = Literal["ok", "warn", "fail"]
Facts = dict[str, Any]
"""The answer to the method ``doctor``."""

MEBIBYTE = 1024 * 1024
LITTLE_SPACE = 200 * MEBIBYTE
NO_SPACE = 20 * MEBIBYTE
FEW_INODES = 1000
MANY_FILES = 0.8
"""Share of the open-file limit from which it is time to raise it."""
MOST_LOGS = 3
"""Logs that are named."""
LOG_TROUBLES = {
    "write": "takes nothing, and output is dropped",
    "block": "takes nothing, and its agent waits",
    "rotation": "cannot be rotated, and grows",
}
USED_PACKAGES = ("psutil", "pyzmq", "msgspec", "click", "rich", "setproctitle")


class Check(NamedTuple):
    """One line of the answer."""

    name: str
    level: Level
    text: str
    remedy: str = ""


# --- the home ---


def check_home(home: str, *, running: bool) -> Iterator[Check]:
    """Check the folder, its sockets, its disk and its state; ``running``: a master answers."""
    if not os.path.isdir(home):
        yield Check("home", "ok", f"{home} does not exist yet; the first start makes it")
        return
    yield _owner_and_mode("home", home, 0o700)
    yield _sockets(home)
    yield _space(home)
    state = os.path.join(home, "state", "state.json")
    if os.path.exists(state):
        yield _owner_and_mode("state", state, 0o600)
    yield from _settings(home)
    yield from _stale(home, running=running)


def _owner_and_mode(name: str, path: str, wanted: int) -> Check:
    status = os.stat(path)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        remedy = "set PYPM_HOME to a folder of your own"
        return Check(name, "fail", f"{path} belongs to user id {status.st_uid}, not to you", remedy)
    if mode & 0o077:
        remedy = f"chmod {wanted:o} {path}"
        return Check(name, "fail", f"{path} can be read by others (mode {mode:04o})", remedy)
    return Check(name, "ok", f"{path}, yours alone (mode {mode:04o})")


def _sockets(home: str) -> Check:
    folder = os.path.dirname(socket_path(home))
    if folder == home:
        return Check("sockets", "ok", f"in the home, whose path has {len(os.fsencode(home))} bytes")
    if not os.path.isdir(folder):
        return Check("sockets", "ok", f"in {folder}, because the path of the home is too long for a socket")
    checked = _owner_and_mode("sockets", folder, 0o700)
    return checked._replace(text=f"{checked.text}; the path of the home is too long for a socket")


def _space(home: str) -> Check:
    disk = os.statvfs(home)
    free = disk.f_bavail * disk.f_frsize
    text = f"{format_size(free)} free"
    remedy = "free some space, or let logs keep less (logs.max_size, logs.retain)"
    if disk.f_flag & os.ST_RDONLY:
        return Check("disk", "fail", "the home is on a read-only file system", "mount it writable")
    if free < NO_SPACE:
        return Check("disk", "fail", text, remedy)
    if disk.f_files and disk.f_favail < FEW_INODES:
        return Check("disk", "warn", f"{text}, but room for only {disk.f_favail} more files", remedy)
    return Check("disk", "warn" if free < LITTLE_SPACE else "ok", text, remedy if free < LITTLE_SPACE else "")


def _settings(home: str) -> Iterator[Check]:
    path = os.path.join(home, "config.toml")
    if not os.path.lexists(path):
        return
    try:
        read_home_settings(path)
    except ConfigError as error:
        remedy = "mend it: a running master goes on with what held before, a new one is not started"
        yield Check("settings", "fail", error.message, remedy)
    else:
        yield Check("settings", "ok", path)


def _stale(home: str, *, running: bool) -> Iterator[Check]:
    folder = os.path.join(home, "state")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    aside = [os.path.join(folder, name) for name in names if ".unusable-" in name]
    if aside:
        text = f"a state that could not be used was set aside: {', '.join(aside)}"
        yield Check("stale files", "warn", text, "see master.log for why; remove it when nothing is missing")
    sockets = [name for name in ("pypm.sock", "agents.sock") if os.path.exists(_beside(home, name))]
    if sockets and not running:
        text = f"{' and '.join(sockets)} are there and no master answers"
        yield Check("stale files", "warn", text, "nothing to do: the next master replaces them")
    if not aside and (running or not sockets):
        yield Check("stale files", "ok", "none")


def _beside(home: str, name: str) -> str:
    return os.path.join(os.path.dirname(socket_path(home)), name)


# --- the machine ---


def check_machine() -> Iterator[Check]:
    """Check the Python, its packages and /proc."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", "ok", f"{version}, {sys.executable}")
    yield _packages()
    yield _proc()


def _packages() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    found, missing = [], []
    for name in USED_PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        remedy = f"{sys.executable} -m pip install {' '.join(missing)}"
        return Check("packages", "fail", f"not installed: {', '.join(missing)}", remedy)
    return Check("packages", "ok", ", ".join(found))


def _proc() -> Check:
    lacking = [
        name for name in ("stat", "environ", "fd", "cgroup") if not os.path.exists(f"/proc/self/{name}")
    ]
    if lacking:
        text = f"it lacks {', '.join(lacking)}"
        return Check("/proc", "fail", text, "mount the proc file system on /proc")
    if not os.path.exists("/proc/1/stat"):
        text = "processes of other users are hidden (hidepid); an agent that changes its user is not seen"
        return Check("/proc", "warn", text, "run agents as your own user, or mount /proc without hidepid")
    return Check("/proc", "ok", "complete")


# --- the master ---


def check_master(facts: Facts | None) -> Iterator[Check]:
    """Check what the master says of itself; None: none runs."""
    if facts is None:
        yield Check("master", "ok", "none runs; the next command that needs one starts it")
        return
    yield from (check(facts) for check in _MASTER_CHECKS)


def _version(facts: Facts) -> Check:
    count = f"{facts['running']} of {facts['instances']} instances run"
    text = f"pid {facts['master_pid']}, pypm {facts['version']}, {count}"
    if facts["version"] != __version__:
        return Check("master", "warn", f"{text}; installed is {__version__}", "pypm update")
    return Check("master", "ok", text)


def _guardian(facts: Facts) -> Check:
    if not facts["guarded"]:
        remedy = "it will become its own guardian within seconds; if not, see master.log"
        return Check("guardian", "fail", "the master has no guardian", remedy)
    return Check("guardian", "ok", f"pid {facts['guardian_pid']}")


def _state_saved(facts: Facts) -> Check:
    if facts["state_trouble"]:
        return Check("saving", "fail", facts["state_trouble"], "make room on the disk, or make it writable")
    return Check("saving", "ok", "the state is on the disk")


def _logs(facts: Facts) -> Check:
    troubles = facts.get("log_troubles", [])  # a master that is older has none
    if not troubles:
        return Check("logs", "ok", "what agents print is written")
    told = [
        f"{each['path']} {LOG_TROUBLES[each['kind']]} ({each['reason']})" for each in troubles[:MOST_LOGS]
    ]
    more = [f"and {len(troubles) - MOST_LOGS} more"] if len(troubles) > MOST_LOGS else []
    lost = any(each["kind"] != "rotation" for each in troubles)
    remedy = "make room, or make the path writable, or name another one (out_file, error_file)"
    return Check("logs", "fail" if lost else "warn", "; ".join(told + more), remedy)


def _open_files(facts: Facts) -> Check:
    used, limit = facts["open_files"], facts["open_files_limit"]
    text = f"{used} of {limit}"
    if limit > 0 and used > MANY_FILES * limit:  # -1: no limit
        return Check(
            "open files", "warn", text, "raise the hard limit (ulimit -Hn, LimitNOFILE=), then pypm update"
        )
    return Check("open files", "ok", text)


def _orphans(facts: Facts) -> Check:
    if not facts["subreaper"]:
        text = "the kernel does not make the master their parent"
        return Check("orphans", "fail", text, "a seccomp filter may forbid prctl(PR_SET_CHILD_SUBREAPER)")
    if not facts["children_listed"]:
        text = "they come to the master, and finding them takes a pass over /proc (no CONFIG_PROC_CHILDREN)"
        return Check("orphans", "ok", text)
    return Check("orphans", "ok", "those of agents come to the master (subreaper)")


def _tree_control(facts: Facts) -> Check:
    control = facts["tree_control"]
    level, kind = control["level"], control["cgroups"]
    if level == "cgroup-kill":
        where = "version 2" if kind == "unified" else "version 2 beside version 1"
        return Check("tree control", "ok", f"cgroup {where} with cgroup.kill, in {control['folder']}")
    if level == "cgroup":
        text = f"cgroup version 2 without cgroup.kill, in {control['folder']}"
        return Check("tree control", "ok", text, "Linux 5.14 has cgroup.kill")
    text = f"sessions, subreaper and marks; no cgroup: {control['trouble']}"
    if "PYPM_CGROUP" in control["trouble"]:
        return Check("tree control", "warn", text, "pypm kill, then start again without PYPM_CGROUP=no")
    remedy = (
        "run the master in a delegated unit: systemd-run --user --scope -p Delegate=yes pypm start …"
        if kind != "none"
        else "only a kernel with cgroup version 2 gives more"
    )
    return Check("tree control", "warn", text, remedy)


_MASTER_CHECKS: tuple[Callable[[Facts], Check], ...] = (
    _version,
    _guardian,
    _state_saved,
    _logs,
    _open_files,
    _orphans,
    _tree_control,
)
