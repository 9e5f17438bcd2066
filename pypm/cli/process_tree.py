"""The processes of a run, as they are now."""

from __future__ import annotations

from pypm.cli.output import plain
from pypm.config.units import format_size
from pypm.core.masking import masked_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    import psutil

__all__ = ["tree_lines"]

_COMMAND = 100
"""Signs of a command line that are shown."""


def tree_lines(pid: int | None) -> list[str]:
    """Give a line for the process ``pid`` and each of its descendants, indented by their depth.

    Empty when there is no such process (any more).
    """
    if pid is None:
        return []
    import psutil

    try:
        main = psutil.Process(pid)
        members = [main, *main.children(recursive=True)]
    except psutil.Error:
        return []
    children: dict[int, list[psutil.Process]] = {}
    for member in members[1:]:
        children.setdefault(_parent(member), []).append(member)
    return _lines(main, children, 0)


def _parent(process: psutil.Process) -> int:
    import psutil

    try:
        return process.ppid()
    except psutil.Error:
        return 0


def _lines(process: psutil.Process, children: dict[int, list[psutil.Process]], depth: int) -> list[str]:
    import psutil

    lines = []
    try:
        with process.oneshot():
            command = plain(" ".join(masked_words(process.cmdline()))) or f"[{process.name()}]"
            memory = format_size(process.memory_info().rss)
        lines.append(f"{'  ' * depth}{process.pid}  {memory:>5}  {command[:_COMMAND]}")
    except psutil.Error:
        pass  # it has ended in the meantime, which is what a process tree does
    for child in children.get(process.pid, []):
        lines += _lines(child, children, depth + 1)
    return lines
