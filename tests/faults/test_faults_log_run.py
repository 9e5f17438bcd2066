"""Ten million numbered lines through rotation, compression, retention and deaths of the master."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from real_pypm import RealPypm, shell

from pypm.logs.compressed import open_plain
from pypm.logs.listing import files_of
from pypm.testing import wait_until

LINES = 10_000_000
KILLS = 3
BLOCK = 1024 * 1024


def numbers(pypm: RealPypm) -> Iterator[bytes]:
    """What is in the log, oldest first, by blocks."""
    for file in files_of(str(pypm.home / "logs" / "a-out.log")):
        with open_plain(file) as stream:
            while block := stream.read(BLOCK):
                yield block


def printed(pypm: RealPypm) -> int:
    """About the number of the last line."""
    try:
        lines = re.findall(rb"\d+", pypm.log("a")[-100:])
    except FileNotFoundError:  # just rotated
        lines = []
    return int(lines[-1]) if lines else 0


def expected_from(first: int) -> Iterator[bytes]:
    """The lines from this one on, by many."""
    for begin in range(first, LINES + 1, 100_000):
        end = min(begin + 100_000, LINES + 1)
        yield b"".join(b"%d\n" % number for number in range(begin, end))


@pytest.mark.parametrize("retain", [1000, 12])
def test_ten_million_lines(pypm: RealPypm, retain: int) -> None:
    """Nothing is missing and nothing twice: all lines, or all after the first that is retained."""
    script = f"while ! test -e go; do sleep 0.02; done; seq 1 {LINES}; touch printed; exec sleep 1000"
    logs = {"max_size": "2M", "retain": retain, "compress": "gzip"}
    pypm.start(shell("a", script, logs=logs))
    agent = pypm.pid("a")
    pypm.write("go", "")
    masters = set()
    for kill in range(1, KILLS + 1):
        share = kill * LINES // (KILLS + 2)
        wait_until(lambda share=share: printed(pypm) >= share, 60.0, f"line {share}")
        masters.add(pypm.kill_master())
    wait_until(lambda: (pypm.folder / "printed").exists(), 60.0, "the last line")
    wait_until(lambda: printed(pypm) == LINES, 20.0, "the last line in the log")
    assert (pypm.pid("a"), len(masters)) == (agent, KILLS)
    pypm.ok("stop", "a")
    path = str(pypm.home / "logs" / "a-out.log")
    wait_until(lambda: all(f.compression == "gzip" for f in files_of(path)[:-1]), 30.0, "compression")
    found = b"".join(numbers(pypm))
    first = int(found[: found.index(b"\n")])
    assert (first == 1) == (retain == 1000)
    place = 0
    for lines in expected_from(first):
        assert found[place : place + len(lines)] == lines
        place += len(lines)
    assert place == len(found)
