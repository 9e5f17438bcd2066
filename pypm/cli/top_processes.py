"""The processes of running instances, with how much of the CPU each uses between two looks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import psutil

from pypm.cli.output import plain
from pypm.config.units import format_size
from pypm.core.masking import masked_words

__all__ = ["Process", "Processes", "process_line"]


class Process(NamedTuple):
    """One process of an instance's tree; ``depth`` is 0 for the one that was started."""

    pid: int
    depth: int
    cpu_percent: float | None
    """Of one core, since the look before; None: this is the first one."""
    memory_bytes: int
    command: str

    def as_json(self) -> dict[str, Any]:
        """Its fields."""
        return self._asdict()


class Processes:
    """Looks at all processes of the machine at once, so that a look costs the same for many instances."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def look(self, pids: Iterable[int]) -> dict[int, list[Process]]:
        """Give, for each of ``pids`` that is there, it and its descendants, parents before children."""
        children: dict[int, list[int]] = {}
        for process in psutil.process_iter():
            try:
                children.setdefault(process.ppid(), []).append(process.pid)
            except psutil.Error:
                continue
        seen: dict[int, psutil.Process] = {}
        trees = {pid: self._tree(pid, children, seen) for pid in pids}
        self._known = seen
        return {pid: tree for pid, tree in trees.items() if tree}

    def _tree(
        self, pid: int, children: dict[int, list[int]], seen: dict[int, psutil.Process]
    ) -> list[Process]:
        found, waiting = [], [(pid, 0)]
        while waiting:
            member, depth = waiting.pop()
            if (told := self._process(member, depth, seen)) is not None:
                found.append(told)
            waiting += [(child, depth + 1) for child in reversed(children.get(member, []))]
        return found

    def _process(self, pid: int, depth: int, seen: dict[int, psutil.Process]) -> Process | None:
        try:
            known = self._known.get(pid)
            if known is None or not known.is_running():
                process = psutil.Process(pid)
                process.cpu_percent()  # from now on
                percent = None
            else:
                process, percent = known, known.cpu_percent()
            seen[pid] = process
            command = plain(" ".join(masked_words(process.cmdline()))) or f"[{process.name()}]"
            return Process(pid, depth, percent, process.memory_info().rss, command)
        except psutil.Error:  # it has ended in the meantime, or is not ours to look at
            return None


def process_line(process: Process) -> str:
    """Say one process in one line."""
    cpu = "-" if process.cpu_percent is None else f"{process.cpu_percent:.0f}%"
    memory = format_size(process.memory_bytes)
    return f"{process.pid:>7} {cpu:>5} {memory:>5}  {'  ' * process.depth}{process.command}"
