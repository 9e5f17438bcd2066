"""The last hour of 10 GiB of rotated logs: how long does the answer take?"""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.bench import Bench, Collected, Session
from benchmarks.commands import run_command
from benchmarks.peers.base import PeerError
from benchmarks.report import PYPM, Report, Row, Target

__all__ = ["run"]

FILE_SIZE = 50 * 1024 * 1024
FILES = 205
"""Together 10 GiB."""
FILE_SECONDS = 3000
"""How long one file took to fill; its index has a record for each second."""
LINES = 3600
"""Lines of the last hour, one a second."""


def run(bench: Bench) -> Report:
    """pypm alone. The old files are sparse: their content is not looked at, which is what is measured."""
    report = Report("log_since", f"`logs --since 1h` in {FILES * FILE_SIZE / 1024**3:.0f} GiB, indexed", "")
    collected = Collected()
    rounds = bench.rounds(normal=20, quick=5)
    with bench.session(PYPM, bench.workload(1)) as session:
        session.finish(session.start_all()[0])
        session.finish(session.peer.stop())
        log = make_logs(session)
        command = session.peer.logs_command()
        assert command is not None
        for _ in range(rounds):
            answer = run_command(
                [*command, "--since", "1h", "--no-follow", "--raw"], session.peer.environment
            )
            found = answer.output.count("numbered")
            if answer.status or not LINES - 60 <= found <= LINES:
                raise PeerError(f"{log}: {found} lines of {LINES}, exit status {answer.status}")
            collected.add("seconds", PYPM, answer.seconds * 1e3)
    report.rows = [
        collected.fill(Row("until the command has ended, median", "ms", targets=(Target(300),)), "seconds"),
        collected.fill(Row("until the command has ended, worst", "ms", statistic="worst"), "seconds"),
    ]
    report.notes.append(f"{LINES} lines are found")
    return report


def make_logs(session: Session) -> Path:
    """Write the rotated files and the current one, each with its index; gives the current one's path."""
    from pypm.logs.index import write_index

    log = Path(session.peer.log_folder) / f"{session.peer.workload.name(0)}-out.log"
    now = time.time()
    begun = now - LINES - FILES * FILE_SECONDS
    for number in range(FILES, 0, -1):
        path = log.with_name(f"{log.name}.{number}")
        path.touch()
        os.truncate(path, FILE_SIZE)
        records = [
            (int((begun + second) * 1000), second * (FILE_SIZE // FILE_SECONDS), 0)
            for second in range(FILE_SECONDS)
        ]
        write_index(f"{path}.index", path.stat().st_ino, records, [])
        begun += FILE_SECONDS
        os.utime(path, (begun, begun))
    line = b"numbered line of the last hour %012d\n"
    log.write_bytes(b"".join(line % number for number in range(LINES)))
    length = len(line % 0)
    records = [(int((now - LINES + number + 1) * 1000), number * length, 0) for number in range(LINES)]
    write_index(f"{log}.index", log.stat().st_ino, records, [])
    return log
