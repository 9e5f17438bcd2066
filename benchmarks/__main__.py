"""``python -m benchmarks SCENARIO … [--peers LIST] [--quick] [--repeat N] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.peers import ALL_PEERS, OTHER_PEERS
from benchmarks.peers.base import Installation, PeerError
from benchmarks.report import BARE, PYPM, Report, render_report
from benchmarks.scenarios import SCENARIOS
from benchmarks.workspace import (
    Programs,
    clean_environment,
    compile_programs,
    describe_machine,
    scratch_folder,
)

__all__ = ["main", "parse_arguments"]

DEFAULT_CACHE = Path("/tmp/pypm-bench-peers")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a run; ends the program with a usage error where they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure pypm against bare fork/exec and other managers."
    )
    names = ["all", *SCENARIOS]
    parser.add_argument("scenarios", nargs="+", metavar="SCENARIO", choices=names, help=", ".join(names))
    parser.add_argument(
        "--peers", default="", help=f"other managers, separated by commas, or all: {', '.join(OTHER_PEERS)}"
    )
    parser.add_argument("--quick", action="store_true", help="fewer samples, shorter windows")
    parser.add_argument("--repeat", type=int, metavar="N", help="samples or rounds of each measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to a file")
    parser.add_argument(
        "--cache",
        type=Path,
        default=DEFAULT_CACHE,
        metavar="FOLDER",
        help="where peers are installed (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    options.scenarios = list(SCENARIOS) if "all" in options.scenarios else options.scenarios
    wanted = [name for name in options.peers.split(",") if name]
    options.peers = list(OTHER_PEERS) if wanted == ["all"] else wanted
    for name in options.peers:
        if name not in OTHER_PEERS:
            parser.error(f"no peer {name!r}; there are {', '.join(OTHER_PEERS)}")
    if options.repeat is not None and options.repeat < 1:
        parser.error("--repeat needs at least 1")
    return options


def install(names: Sequence[str], cache: Path, programs: Programs, scratch: Path) -> dict[str, Installation]:
    """Gets every manager into place; those that cannot be had are named on stderr and left out."""
    environment = clean_environment(scratch)
    found: dict[str, Installation] = {}
    for name in names:
        try:
            folder, version = ALL_PEERS[name].install(cache)
        except (PeerError, OSError) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        found[name] = Installation(folder, version, environment, programs.bare)
    return found


def warm_up(bench: Bench) -> None:
    """One unmeasured life of each manager, so that no sample pays for cold files or bytecode.

    A manager that fails in it is left out, with its reason on stderr.
    """
    for column in bench.columns():
        try:
            with bench.session(column, bench.workload(1)) as session:
                order, _ = session.start_all()
                session.finish(order)
                session.finish(session.peer.stop())
        except PeerError as error:
            print(f"{column} is left out: {error}", file=sys.stderr)
            del bench.installations[column]


def measure(bench: Bench, scenarios: Sequence[str]) -> list[Report]:
    """Runs the scenarios one after the other and prints each report as soon as it is there."""
    reports = []
    for name in scenarios:
        print(name, file=sys.stderr, flush=True)
        report = SCENARIOS[name](bench)
        print(render_report(report), flush=True)
        reports.append(report)
    return reports


def _head(installations: dict[str, Installation], quick: bool) -> dict[str, Any]:
    return {
        "machine": describe_machine(),
        "versions": {name: found.version for name, found in installations.items()},
        "quick": quick,
    }


def _print_head(head: dict[str, Any]) -> None:
    for part in ("machine", "versions"):
        print("; ".join(f"{name} {value}" for name, value in head[part].items()))
    print("medians; × is the ratio to bare in the same run; ~ marks samples whose middle half")
    print("spreads by more than half of the median\n", flush=True)


def _run(options: argparse.Namespace) -> None:
    with scratch_folder() as scratch:
        programs = compile_programs(scratch)
        installations = install([BARE, PYPM, *options.peers], options.cache.resolve(), programs, scratch)
        environment = clean_environment(scratch)
        bench = Bench(installations, programs, scratch, environment, options.quick, options.repeat)
        head = _head(installations, options.quick)
        _print_head(head)
        warm_up(bench)
        reports = measure(bench, options.scenarios)
        if options.json:
            results = head | {"reports": [report.as_json() for report in reports]}
            options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks and gives the exit status: 0; 1 without a compiler; 130 after Ctrl-C."""
    options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    # An interrupted run has to end what it started, so that SIGTERM must unwind like Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.cache.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    try:
        _run(options)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
