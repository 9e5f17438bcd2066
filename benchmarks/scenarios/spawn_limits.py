"""From the call that spawns a process to its main(), with every limit set and with none."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.bench import Bench, Collected
from benchmarks.peers.base import PeerError
from benchmarks.report import BARE, PYPM, Report, Row, Target
from benchmarks.stamps import StampFile
from pypm.core.spec import LimitSpec
from pypm.system.attributes import Attributes
from pypm.system.spawn import spawn

__all__ = ["run"]

EVERY_LIMIT = LimitSpec(
    open_files=512,
    file_size=1024**3,
    core=0,
    nice=5,
    ionice="best-effort:5",
    cpu_affinity=(0,),
    oom_score_adj=500,
)
SETS = {"no limit": Attributes(), "every limit": Attributes(EVERY_LIMIT, no_new_privileges=True)}


def run(bench: Bench) -> Report:
    """pypm's own way to spawn, without a manager around it."""
    report = Report("spawn_limits", "one process, from the call to its main()", "posix_spawn by Python")
    collected = Collected()
    rounds = bench.rounds(normal=200, quick=40)
    bench.say(f"{rounds} processes each")
    stamps = StampFile(bench.scratch / "stamps-of-spawns")
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    command = [str(bench.programs.agent), str(stamps.path), "0", "exit"]

    def sample(column: str, _: int) -> None:
        if column == BARE:
            begun = time.monotonic_ns()
            pid = os.posix_spawn(command[0], command, {}, setsid=True)
            taken = _taken(stamps, begun, pid)
            for name in SETS:
                collected.add(name, BARE, taken)
            return
        for name, attributes in SETS.items():
            begun = time.monotonic_ns()
            child = spawn(
                command,
                cwd="/",
                env={},
                stdin=null,
                stdout=null,
                stderr=null,
                umask=0o022,
                attributes=attributes,
            )
            collected.add(name, PYPM, _taken(stamps, begun, child.pid))

    try:
        bench.take_turns(report, [BARE, PYPM], rounds, sample)
    finally:
        os.close(null)
        Path(stamps.path).unlink()
    report.rows.append(collected.fill(Row("no limit", "ms"), "no limit"))
    target = Target(1.5, of=BARE)
    report.rows.append(collected.fill(Row("every limit", "ms", targets=(target,)), "every limit"))
    return report


def _taken(stamps: StampFile, begun: int, pid: int) -> float:
    """Milliseconds until the process was in main(); it is reaped."""
    os.waitpid(pid, 0)
    found = [each for each in stamps.read_new() if each.pid == pid]
    if not found:
        raise PeerError("the program did not run")
    return (found[0].nanoseconds - begun) / 1e6
