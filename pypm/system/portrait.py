"""What a process tree looks like now, for people: processes, stacks, sockets, memory. Text, bounded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil

from pypm.core.masking import masked_words

__all__ = ["portrait"]

MOST_PROCESSES = 50
MOST_STACKS = 8
MOST_SOCKETS = 200
STACK_TIME = 4.0
"""Seconds that py-spy may take for one process."""
LONGEST = 256 * 1024
"""Characters of one text."""


def portrait(pids: list[int], seconds: float) -> Iterator[tuple[str, str]]:
    """Texts by name (``processes``, ``stacks``, ``sockets``, ``memory``), each as soon as it is there.

    ``pids`` are the tree's, its main process first. What has taken ``seconds`` in all is not begun any more.
    """
    end = time.monotonic() + seconds
    yield "processes", _bounded(_processes(pids[:MOST_PROCESSES]))
    yield "memory", _bounded(_memory(pids[0])) if pids else ""
    yield "sockets", _bounded(_sockets(pids[:MOST_PROCESSES]))
    yield "stacks", _bounded(_stacks(pids[:MOST_STACKS], end))


def _bounded(parts: Iterator[str]) -> str:
    text = ""
    for part in parts:
        text += part + "\n"
        if len(text) > LONGEST:
            return text[:LONGEST] + "\n…\n"
    return text


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(LONGEST)
    except OSError as error:
        return f"({error.strerror})"


def _processes(pids: list[int]) -> Iterator[str]:
    yield f"{'PID':>8} {'PPID':>8} {'STATE':<10} {'THREADS':>7} {'RSS':>12} {'CPU s':>9} WAITS IN · COMMAND"
    for pid in pids:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                times = process.cpu_times()
                command = " ".join(masked_words(process.cmdline())) or process.name()
                yield (
                    f"{pid:>8} {process.ppid():>8} {process.status():<10} {process.num_threads():>7} "
                    f"{process.memory_info().rss:>12} {times.user + times.system:>9.2f} "
                    f"{_read(f'/proc/{pid}/wchan')} · {command[:2000]}"
                )
        except psutil.Error as error:
            yield f"{pid:>8} {error}"


def _memory(pid: int) -> Iterator[str]:
    yield _read(f"/proc/{pid}/smaps_rollup")
    yield _read(f"/proc/{pid}/status")


def _sockets(pids: list[int]) -> Iterator[str]:
    count = 0
    for pid in pids:
        try:
            connections = psutil.Process(pid).net_connections("inet")
        except psutil.Error:
            continue
        for each in connections:
            count += 1
            if count > MOST_SOCKETS:
                yield "…"
                return
            local, remote = (":".join(map(str, address)) for address in (each.laddr, each.raddr))
            yield f"pid {pid}  {local} -> {remote or '-'}  {each.status}"


def _stacks(pids: list[int], end: float) -> Iterator[str]:
    """Python stacks by py-spy where it is installed, and where each thread is in the kernel."""
    tool = shutil.which("py-spy") or shutil.which("py-spy", path=os.path.dirname(sys.executable))
    for pid in pids:
        yield f"== pid {pid} =="
        for thread in sorted(_threads(pid), key=int)[:MOST_PROCESSES]:
            waits_in = _read(f"/proc/{pid}/task/{thread}/wchan")
            yield f"thread {thread}: {_read(f'/proc/{pid}/task/{thread}/comm').strip()}: in {waits_in}"
        left = end - time.monotonic()
        if tool and left > 0 and _is_python(pid):
            yield _spied(tool, pid, min(STACK_TIME, left))
    if not tool:
        yield "(no Python stacks: py-spy is not installed)"


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _is_python(pid: int) -> bool:
    try:
        return "python" in os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return False


def _spied(tool: str, pid: int, seconds: float) -> str:
    command = [tool, "dump", "--nonblocking", "--pid", str(pid)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"(py-spy: {error})"
    return done.stdout or f"(py-spy: {done.stderr.strip()})"
