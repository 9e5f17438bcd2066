"""What a run needs around it: a folder in memory, a clean environment, compiled programs."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Programs", "clean_environment", "compile_programs", "describe_machine", "scratch_folder"]

NATIVE = Path(__file__).parent / "native"
MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Programs:
    """The compiled C programs."""

    agent: Path
    bare: Path


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A short folder in memory where there is one (so no disk is measured), removed at the end."""
    in_memory = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="pb-", dir=in_memory))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compile_programs(folder: Path) -> Programs:
    """Compiles the agent and the bare loop with ``cc``; raises ``RuntimeError`` when that cannot be done."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError("the benchmarks need a C compiler (cc)")
    for name in ("agent", "bare"):
        done = subprocess.run(
            [compiler, "-O2", "-o", str(folder / name), str(NATIVE / f"{name}.c")],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"cannot compile {name}.c: {done.stderr}")
    return Programs(folder / "agent", folder / "bare")


def clean_environment(home: Path) -> dict[str, str]:
    """The environment of everything that is timed: small, and without what changes how Python starts."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    # A shim is a script that looks for the program and would be measured with it.
    folders = [folder for folder in path if not folder.rstrip("/").endswith("/shims")]
    return {"PATH": os.pathsep.join(folders), "HOME": str(home), "LANG": "C.UTF-8", "TERM": "xterm-256color"}


def describe_machine() -> dict[str, str]:
    """What the figures depend on, for the head of a report."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load, _, _ = os.getloadavg()
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": model,
        "kernel": platform.release(),
        "python": f"{platform.python_version()} at {sys.executable}",
        "load before": f"{load:.2f}",
    }
