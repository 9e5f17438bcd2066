"""A hierarchy of cgroup version 2 in plain folders, which follows the kernel's rules for controllers.

The rules are those of the kernel's own documentation (cgroup-v2.rst): a group has the files of a controller
where the group above hands it down; one that has processes, and is not the root, hands nothing down; and a
process enters only a group that hands nothing down.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pypm.system import cgroup
from pypm.system.cgroup import Groups, Place

FILES = {
    "memory": {
        "memory.max": "max\n",
        "memory.high": "max\n",
        "memory.oom.group": "0\n",
        "memory.events.local": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
        "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
    },
    "cpu": {"cpu.max": "max 100000\n"},
    "pids": {"pids.max": "max\n", "pids.events": "max 0\n"},
}


class FakeCgroups:
    """``root`` is the mount point; what ``pypm.system.cgroup`` writes below it is taken as by the kernel."""

    def __init__(self, root: Path, controllers: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        root.mkdir()
        self._fill(root, controllers)
        (root / "cgroup.type").unlink()
        self.refused: set[str] = set()
        """Names of files to which nothing can be written."""
        self._mkdir, self._rmdir = os.mkdir, os.rmdir
        monkeypatch.setattr(cgroup, "write", self.write)
        monkeypatch.setattr(os, "mkdir", self.mkdir)
        monkeypatch.setattr(os, "rmdir", self.rmdir)

    def mkdir(self, path: str, mode: int = 0o777, **rest: object) -> None:
        """As the system call, which makes the files of a group as well."""
        self._mkdir(path, mode)
        if self.root in Path(path).parents:
            self._fill(Path(path), (Path(path).parent / "cgroup.subtree_control").read_text())

    def _fill(self, folder: Path, controllers: str) -> None:
        (folder / "cgroup.controllers").write_text(controllers)
        for name in ("cgroup.procs", "cgroup.subtree_control", "cgroup.kill"):
            (folder / name).write_text("")
        (folder / "cgroup.type").write_text("domain\n")
        for controller in controllers.split():
            for name, text in FILES.get(controller, {}).items():
                (folder / name).write_text(text)

    def rmdir(self, path: str, **rest: object) -> None:
        """Refused where a process or another group is in it."""
        folder = Path(path)
        if self.root in folder.parents and folder.is_dir():
            if (folder / "cgroup.procs").read_text() or any(each.is_dir() for each in folder.iterdir()):
                raise OSError(16, "Device or resource busy")
            for file in folder.iterdir():
                file.unlink()
        self._rmdir(path, **rest)  # type: ignore[arg-type]

    def write(self, path: str, text: str) -> bool:
        """As ``cgroup.write``."""
        folder, name = Path(path).parent, Path(path).name
        if not Path(path).exists() or name in self.refused:
            return False
        if name == "cgroup.procs":
            return self._enter(folder, text)
        if name == "cgroup.subtree_control":
            return self._hand_down(folder, text)
        Path(path).write_text(text + "\n")
        return True

    def _enter(self, folder: Path, pid: str) -> bool:
        if folder != self.root and (folder / "cgroup.subtree_control").read_text():
            return False
        for procs in self.root.rglob("cgroup.procs"):
            procs.write_text("".join(f"{each}\n" for each in procs.read_text().split() if each != pid))
        with (folder / "cgroup.procs").open("a") as file:
            file.write(f"{pid}\n")
        return True

    def _hand_down(self, folder: Path, change: str) -> bool:
        name, has = change[1:], set((folder / "cgroup.subtree_control").read_text().split())
        if name not in (folder / "cgroup.controllers").read_text().split():
            return False
        if change[0] == "+" and folder != self.root and (folder / "cgroup.procs").read_text():
            return False
        has = has | {name} if change[0] == "+" else has - {name}
        (folder / "cgroup.subtree_control").write_text(" ".join(sorted(has)))
        for child in [each for each in folder.iterdir() if each.is_dir()]:
            (child / "cgroup.controllers").write_text(" ".join(sorted(has)))
            for file, text in FILES.get(name, {}).items():
                if change[0] == "+" and not (child / file).exists():
                    (child / file).write_text(text)
                elif change[0] == "-":
                    (child / file).unlink(missing_ok=True)
        return True

    # --- what tests ask and do ---

    def group(self, name: str, *pids: int) -> Path:
        """A group below the root, to which all controllers are handed down, with processes in it."""
        for controller in (self.root / "cgroup.controllers").read_text().split():
            assert self.write(f"{self.root}/cgroup.subtree_control", f"+{controller}")
        self.mkdir(f"{self.root}/{name}")
        for pid in pids:
            assert self._enter(self.root / name, str(pid))
        return self.root / name

    def prepare(self, base: Path) -> Groups:
        """The groups of a home whose master is in ``base``."""
        groups = Groups.prepare("/home/somebody/.pypm", Place("unified", str(base)))
        assert groups.folder, groups.trouble
        return groups
