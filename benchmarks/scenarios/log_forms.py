"""One agent writes as fast as it can, and its lines become records: how fast do they get into files?"""

from __future__ import annotations

from benchmarks.bench import Bench, Collected
from benchmarks.peers.base import PeerError
from benchmarks.processes import cpu_seconds, peak_resident
from benchmarks.report import BARE, PYPM, Report, Row, Target
from benchmarks.scenarios.log_throughput import GIBIBYTE, LINE, MEBIBYTE, measure_cat, wait_for_bytes

__all__ = ["run"]

TARGETS = {"text": 0.5, "json": 0.15}
"""Share of the throughput of ``cat`` that each form is to reach."""


def run(bench: Bench) -> Report:
    """pypm alone: others have no such records, or lose lines. The figures count the agent's bytes."""
    size = (64 if bench.quick else 256) * MEBIBYTE // LINE * LINE
    title = f"{size / 1e6:,.0f} MB in 200-byte lines as records, rotated at 50 MB"
    report = Report("log_forms", title, "`agent | cat > file`")
    collected = Collected()
    rounds = bench.rounds(normal=5, quick=2)
    bench.say(f"{rounds} rounds of {size / 1e6:,.0f} MB")

    def sample(column: str, _: int) -> None:
        if column == BARE:
            measure_cat(bench, collected, BARE, size)
            return
        for form in TARGETS:
            _measure(bench, collected, form, size)

    bench.take_turns(report, [BARE, PYPM], rounds, sample)
    cat = collected.cells("rate")
    for form, share in TARGETS.items():
        rate = Row(
            f"{form}: until all lines are in files", "MB/s", targets=(Target(share, BARE, at_least=True),)
        )
        rate.cells = cat | collected.cells(f"{form} rate")
        report.rows += [
            rate,
            collected.fill(Row(f"{form}: manager's CPU for each GiB", "s"), f"{form} cpu"),
            collected.fill(Row(f"{form}: manager's peak RSS", "MB"), f"{form} peak"),
        ]
    return report


def _measure(bench: Bench, collected: Collected, form: str, size: int) -> None:
    workload = bench.workload(1, "lines", str(size), log_options=f'format = "{form}"')
    with bench.session(PYPM, workload) as session:
        managers = session.peer.manager_pids()
        cpu = cpu_seconds(managers)
        _, stamps = session.start_all()
        # How long a record is, is not known beforehand: the end is when nothing grows any more.
        ended = wait_for_bytes(session.peer.log_files, size * 100)
        lines = sum(file.read_bytes().count(b"\n") for file in session.peer.log_files())
        if lines != size // LINE:
            raise PeerError(f"{form}: {lines} lines of {size // LINE}")
        collected.add(f"{form} cpu", PYPM, (cpu_seconds(managers) - cpu) / size * GIBIBYTE)
        collected.add(f"{form} peak", PYPM, peak_resident(managers) / 1e6)
        collected.add(f"{form} rate", PYPM, size / 1e6 / ((ended - stamps[0].nanoseconds) / 1e9))
