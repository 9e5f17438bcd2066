"""What the commands that are measured may load: a module more is a millisecond more, each time.

Modules are counted, not time, so this says the same on any machine. Who has to go beyond a bound looks first
whether what is loaded can be imported in the function that needs it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

HEAVY = {
    *("argparse", "asyncio", "click", "dataclasses", "difflib", "email", "hashlib", "http", "inspect"),
    *("logging", "multiprocessing", "pathlib", "psutil", "random", "rich", "shutil", "socket", "ssl"),
    *(
        "subprocess",
        "tempfile",
        "textual",
        "threading",
        "traceback",
        "typing_extensions",
        "urllib",
        "watchfiles",
        "yaml",
        "zmq",
    ),
}
"""What neither of the roads may load."""

LIST = "from pypm.cli import quick, reads, session; from pypm.client import launch"
TABLE = f"{LIST}; from pypm.cli import listing; from pypm.config import units"
START = (
    "from pypm.cli import quick; from pypm.core.msgspec_alone import load_msgspec; load_msgspec(); "
    "from pypm.cli import starting; from pypm.config import ecosystem"
)
BOUNDS = {LIST: (20, 55), TABLE: (24, 60), START: (75, 160)}
"""Road -> how many modules of pypm, and how many in all, it may load beyond what Python itself loads."""


def loaded_by(statement: str) -> set[str]:
    program = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=CHECKOUT, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("road", [LIST, TABLE, START], ids=["list --json", "list", "start FILE"])
def test_a_road_that_is_measured_stays_light(road: str) -> None:
    loaded = loaded_by(road)
    of_pypm = {name for name in loaded if name.partition(".")[0] == "pypm"}
    assert loaded & HEAVY == set()
    most_of_pypm, most = BOUNDS[road]
    assert len(of_pypm) <= most_of_pypm, sorted(of_pypm)
    assert len(loaded) <= most, sorted(loaded)


@pytest.mark.parametrize("road", [LIST, TABLE], ids=["list --json", "list"])
def test_what_only_reads_needs_no_types(road: str) -> None:
    assert loaded_by(road) & {"contextlib", "msgspec", "tomllib", "typing", "warnings"} == set()


def test_a_start_loads_what_declares_and_not_what_decides() -> None:
    """The state machine is the master's; a client that checks a file needs the specs only."""
    core = {name for name in loaded_by(START) if name.startswith("pypm.core.")}
    assert "pypm.core.spec" in core
    assert (
        core & {f"pypm.core.{name}" for name in ("actions", "events", "health", "hooks", "instance")} == set()
    )
    assert (
        core & {f"pypm.core.{name}" for name in ("machine", "order", "policy", "state", "transitions")}
        == set()
    )


def test_names_are_completed_without_click() -> None:
    statement = "from pypm.cli.completing import candidates; candidates(['stop', '']), candidates(['st'])"
    assert loaded_by(statement) & HEAVY == set()


def test_what_a_road_loads_is_found() -> None:
    assert {"json", "json.decoder"} <= loaded_by("import json")
