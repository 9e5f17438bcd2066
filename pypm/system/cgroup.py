"""Control groups, version 2: one group a run's instance, whose members cannot leave and die all at once.

Nothing here needs a controller, so nothing has to be enabled: groups are used for knowing what belongs to
a run and for ``cgroup.kill`` (``cgroup_limits`` is about the rest). A machine may have version 2 only
(``unified``), version 1 with an empty hierarchy of version 2 beside it (``hybrid``), or neither; and below
our own group we may be allowed to make groups (root, a delegated systemd unit, a container) or not.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
from typing import Literal, NamedTuple

from pypm.system.process import is_same

__all__ = [
    "LEAF",
    "Groups",
    "Place",
    "find_place",
    "folder_of",
    "group_name",
    "instance_folder",
    "is_empty",
    "is_namespace",
    "kill_all",
    "members",
    "own_place",
    "put",
    "read",
    "remove",
    "write",
]

SWITCH = "PYPM_CGROUP"
"""Environment variable of the master; ``no``: make no groups."""

LEAF = "master"
"""The group, among those of a home, for guardian and master where they may not stay in the one above."""

NAMESPACE = "ns-"
"""With this begin the names of the groups of namespaces; those of instances are numbers."""

Kind = Literal["unified", "hybrid", "none"]


class Place(NamedTuple):
    """Where a process is in the hierarchy of version 2; ``folder`` is empty where that cannot be reached."""

    kind: Kind
    folder: str


class _Mount(NamedTuple):
    root: str
    """The group that is seen at the mount point: ``/``, or the container's."""
    point: str
    type: str


def own_place() -> Place:
    """Where this process is."""
    return find_place(read("/proc/self/mountinfo"), read("/proc/self/cgroup"))


def folder_of(pid: int) -> str:
    """The folder of the group in which a process is; empty if it is no more, or that cannot be reached."""
    return find_place(read("/proc/self/mountinfo"), read(f"/proc/{pid}/cgroup")).folder


def find_place(mountinfo: str, cgroup: str) -> Place:
    """The same from the text of /proc/PID/mountinfo and /proc/PID/cgroup, without looking anywhere else."""
    mounts = _parse_mounts(mountinfo)
    path = next((line[3:] for line in cgroup.splitlines() if line.startswith("0::")), None)
    second = [mount for mount in mounts if mount.type == "cgroup2"]
    if not second or path is None:
        return Place("none", "")
    kind: Kind = "hybrid" if any(mount.type == "cgroup" for mount in mounts) else "unified"
    for mount in second:
        below = _below(mount.root, path)
        if below is not None:
            return Place(kind, os.path.normpath(mount.point + "/" + below))
    return Place(kind, "")


@functools.lru_cache(1)
def _parse_mounts(mountinfo: str) -> tuple[_Mount, ...]:
    """Those of the lines that are about cgroups; a new master asks with the same text for each run."""
    return tuple(mount for line in mountinfo.splitlines() if (mount := _parse_mount(line)) is not None)


def _parse_mount(line: str) -> _Mount | None:
    """One line of mountinfo (proc(5)); None for a file system that is no cgroup."""
    words = line.split(" ")
    try:
        kind = words[words.index("-", 6) + 1]
    except (ValueError, IndexError):
        return None
    if kind not in ("cgroup", "cgroup2"):
        return None
    return _Mount(_unescape(words[3]), _unescape(words[4]), kind)


def _unescape(path: str) -> str:
    """Spaces and the like are written as octal numbers there."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _below(root: str, path: str) -> str | None:
    """``path`` as seen from ``root``; None where it is not below it."""
    path = path.removesuffix(" (deleted)")
    if "/.." in root or path.startswith("/.."):  # we are outside of our cgroup namespace
        return None
    if root == "/":
        return path
    if path == root or path.startswith(root + "/"):
        return path[len(root) :]
    return None


class Groups:
    """The groups of one home's instances, below the group in which this process runs."""

    def __init__(
        self,
        folder: str,
        trouble: str = "",
        *,
        kind: Kind = "none",
        has_kill: bool = False,
        is_namespace_root: bool = False,
    ) -> None:
        self.kind: Kind = kind
        """What the machine has, whether or not we may use it."""
        self.folder = folder
        """``<our group>/pypm-<digest of the home>``; empty where there can be no groups."""
        self.trouble = trouble
        """Why there are none."""
        self.base = os.path.dirname(folder)
        """Our own group, in which we are or were when we began."""
        self.leaf = f"{folder}/{LEAF}" if folder else ""
        """Where guardian and master are while groups below our own have controllers."""
        self.has_kill = has_kill
        """Whether a group can be killed as a whole (Linux 5.14)."""
        self.is_namespace_root = is_namespace_root
        """Whether our own group is the highest one that we see, though not the machine's: a container's."""

    @classmethod
    def from_environment(cls, home: str) -> Groups:
        """Make the group of a home unless the variable ``PYPM_CGROUP`` is ``no``."""
        if os.environ.get(SWITCH) == "no":
            return cls("", f"{SWITCH}=no switches them off", kind=own_place().kind)
        return cls.prepare(home, own_place())

    @classmethod
    def prepare(cls, home: str, place: Place) -> Groups:
        """Make the group below which those of the instances will be, if the machine allows it."""
        if place.kind == "none":
            return cls("", "there is no cgroup hierarchy of version 2")
        if not place.folder:
            return cls("", "our own group is outside of what is mounted here", kind=place.kind)
        name = group_name(home)
        base = place.folder.removesuffix(f"/{name}/{LEAF}")  # where an earlier master has moved us to
        folder = os.path.join(base, name)
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            return cls("", f"{base} is not delegated to us ({error.strerror})", kind=place.kind)
        # A process is moved with the rights on the group that holds its old and its new one.
        for file in (f"{place.folder}/cgroup.procs", f"{folder}/cgroup.procs"):
            if not os.access(file, os.W_OK):
                remove(folder)
                return cls("", f"{file} is not ours to write", kind=place.kind)
        return cls(
            folder,
            kind=place.kind,
            has_kill=os.path.exists(f"{folder}/cgroup.kill"),
            is_namespace_root=os.path.ismount(base) and os.path.exists(f"{base}/cgroup.type"),
        )

    def make(self, instance_id: int, namespace: str = "") -> str | None:
        """Make an instance's group, if it is not there yet; None where there can be no groups.

        With ``namespace``, it is below the group of that.
        """
        if not self.folder:
            return None
        path = self.path(instance_id, namespace)
        try:
            os.makedirs(path, exist_ok=True)
        except OSError:  # its limit of descendants, or somebody has taken our group away
            return None
        return path

    def path(self, instance_id: int, namespace: str = "") -> str:
        """Where an instance's group is, or would be; empty where there can be none."""
        if not self.folder:
            return ""
        return (
            f"{self.namespace_path(namespace)}/{instance_id}" if namespace else f"{self.folder}/{instance_id}"
        )

    def namespace_path(self, namespace: str) -> str:
        """Where the group of a namespace is, or would be; empty where there can be none."""
        if not self.folder:
            return ""
        # A name may have signs that a folder's may not; the digest keeps those apart that look alike then.
        readable = re.sub(r"[^A-Za-z0-9_-]", "_", namespace)[:32]
        digest = hashlib.sha256(namespace.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return f"{self.folder}/{NAMESPACE}{readable}-{digest}"

    def close(self) -> None:
        """Remove our group and those in it, which is refused, rightly, where something runs in them."""
        if not self.folder:
            return
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.folder):
                if entry.is_dir() and entry.path != self.leaf:
                    remove(entry.path)
        self._return_from_leaf()
        remove(self.folder)

    def _return_from_leaf(self) -> None:
        """Go back to the group in which we began, if nothing of ours is left below it."""
        with contextlib.suppress(OSError):
            siblings = [entry.path for entry in os.scandir(self.base) if entry.is_dir()]
            inside = [entry.path for entry in os.scandir(self.folder) if entry.is_dir()]
            if siblings != [self.folder] or inside != [self.leaf]:
                return
            for folder in (self.folder, self.base):
                for name in read(f"{folder}/cgroup.subtree_control").split():
                    write(f"{folder}/cgroup.subtree_control", f"-{name}")
            for pid in read(f"{self.leaf}/cgroup.procs").split():
                write(f"{self.base}/cgroup.procs", pid)


def group_name(home: str) -> str:
    """The name of the group of a home."""
    return f"pypm-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"


def instance_folder(folder: str, home_group: str, instance_id: int) -> str:
    """The group of an instance, from that of one of its processes; empty if it is not in it.

    ``home_group`` is the name of the group of its home, which may be elsewhere than ours, and an agent may
    have made groups below its own.
    """
    found = re.search(rf"/{re.escape(home_group)}/(?:{NAMESPACE}[^/]*/)?{instance_id}(?=/|$)", folder)
    return folder[: found.end()] if found else ""


def is_namespace(folder: str) -> bool:
    """Whether a group, by its name, is that of a namespace."""
    return os.path.basename(folder).startswith(NAMESPACE)


def put(path: str, pid: int, ticks: int) -> bool:
    """Move a process into a group; False where it has ended, or the kernel refuses.

    What it forks from now on is in the group as well; a child that it has forked until then stays outside.
    The kernel may wait some milliseconds for all processors to notice: this is no work for an event loop.
    """
    if not is_same(pid, ticks):
        return False
    return write(f"{path}/cgroup.procs", str(pid))


def members(path: str) -> set[int]:
    """The pids in a group and the groups below it (an agent may make some); empty if there is no group."""
    found: set[int] = set()
    for folder in _tree(path):
        found.update(map(int, read(f"{folder}/cgroup.procs").split()))
    return found


def is_empty(path: str) -> bool:
    """Whether no process is in the group or below it (zombies do not count), or it is no more."""
    return "populated 1" not in read(f"{path}/cgroup.events")


def kill_all(path: str) -> bool:
    """SIGKILL to all in the group and below, what is forked meanwhile included; False: the kernel cannot."""
    return write(f"{path}/cgroup.kill", "1")


def remove(path: str) -> bool:
    """Remove a group and those below it; False where something still runs in it."""
    for folder in reversed(_tree(path)):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _tree(path: str) -> list[str]:
    """A group and all below it, parents first."""
    return [folder for folder, _, _ in os.walk(path)] or [path]


def read(path: str) -> str:
    """The content of a small file of the kernel; empty if it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    parts = []
    try:
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError:
        pass  # the group or process has gone meanwhile
    finally:
        os.close(descriptor)
    return b"".join(parts).decode("utf-8", "surrogateescape")


def write(path: str, text: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(descriptor, text.encode())
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
