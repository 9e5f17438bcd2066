"""Logs in record form while the master is killed: nothing is missing, nothing is there twice."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from real_pypm import RealPypm, python, shell

from pypm.logs.parse import parse_record
from pypm.testing import wait_until

COUNTER = """
import os, time
number = 0
while not os.path.exists("flag"):
    lines = b"".join(b"%d %s\\n" % (each, b"x" * (each % 300)) for each in range(number, number + 200))
    number += 200
    place = 0
    while place < len(lines):
        place += os.write(1, lines[place:place + 4999])
    time.sleep(PAUSE)
os.write(2, b"%d\\n" % number)
time.sleep(1000)
"""
KILLS = 5


def generations(folder: Path, name: str) -> list[Path]:
    numbered = [each for each in folder.glob(f"{name}.[1-9]*") if each.suffix[1:].isdigit()]
    return [*sorted(numbered, key=lambda each: -int(each.suffix[1:])), folder / name]


def size(files: list[Path]) -> int:
    found = 0
    for each in files:
        with suppress(FileNotFoundError):  # rotated meanwhile
            found += each.stat().st_size
    return found


@pytest.mark.parametrize(("form", "pause"), [("text", "0"), ("text", "0.01"), ("json", "0")])
def test_numbered_lines_while_the_master_is_killed_again_and_again(
    pypm: RealPypm, form: str, pause: str
) -> None:
    """Into a file of its own that rotates, and into one that it shares with its other stream."""
    script = COUNTER.replace("PAUSE", pause)
    logs = {"format": form, "max_size": "2M", "retain": 1000}
    pypm.start(python("a", script, log_file="both.log", logs=logs))
    agent, folder = pypm.pid("a"), pypm.home / "logs"
    masters = set()
    for _ in range(KILLS):
        before = size(generations(folder, "a-out.log"))
        wait_until(lambda before=before: size(generations(folder, "a-out.log")) > before + 200_000)
        masters.add(pypm.kill_master())
    pypm.write("flag", "")
    wait_until(lambda: pypm.log("a", "error"), 30.0, "the end of the lines")
    last = parse_record(pypm.log("a", "error"))
    assert last is not None
    assert (pypm.pid("a"), len(masters)) == (agent, KILLS)
    pypm.ok("stop", "a")
    for place, name in ((folder, "a-out.log"), (pypm.folder, "both.log")):
        found = []
        for file in generations(place, name):
            for line in file.read_bytes().splitlines(keepends=True):
                record = parse_record(line)
                assert record is not None, (file, line[:200])
                if record.stream == "out":
                    found.append(record.message)
        expected = [b"%d %s\n" % (each, b"x" * (each % 300)) for each in range(len(found))]
        assert found == expected
        assert len(found) == int(last.message)


@pytest.mark.parametrize("apps", [1, 2], ids=["instances", "apps"])
def test_raw_lines_in_a_file_of_several_streams_while_the_master_is_killed(pypm: RealPypm, apps: int) -> None:
    """None is missing, none is there twice, and none is cut by those of the other one."""
    script = COUNTER.replace('b"%d %s\\n" % (each,', 'b"%s %d %s\\n" % (NAME, each,').replace(
        "PAUSE", "0.001"
    )
    script = "import os; NAME = os.environb[b'PYPM_NAME']\n" + script
    keys = {"out_file": "both.log", "logs": {"max_size": "2M", "retain": 1000}}
    if apps == 2:
        pypm.start(*(python(name, script, error_file=f"{name}.txt", **keys) for name in ("a", "b")))
        names, ends = (b"a", b"b"), ("a.txt", "b.txt")
    else:
        pypm.start(python("a", script, instances=2, merge_logs=True, error_file="ends.txt", **keys))
        names, ends = (b"a:0", b"a:1"), ("ends.txt",)
    for _ in range(2 * KILLS):
        before = size(generations(pypm.folder, "both.log"))
        wait_until(lambda before=before: size(generations(pypm.folder, "both.log")) > before + 200_000)
        pypm.kill_master()
    pypm.write("flag", "")

    def counts() -> list[int]:
        paths = [pypm.folder / name for name in ends]
        return sorted(int(word) for path in paths if path.exists() for word in path.read_text().split())

    wait_until(lambda: len(counts()) == 2, 30.0, "the end of the lines")
    pypm.ok("stop", "all")
    found: dict[bytes, list[bytes]] = {name: [] for name in names}
    for line in b"".join(each.read_bytes() for each in generations(pypm.folder, "both.log")).splitlines():
        name, _, rest = line.partition(b" ")
        found[name].append(rest)
    for lines in found.values():
        assert lines == [b"%d %s" % (each, b"x" * (each % 300)) for each in range(len(lines))]
    assert sorted(map(len, found.values())) == counts()


def test_records_go_on_after_guardian_and_master_died_together(pypm: RealPypm) -> None:
    """What waited for its line's end is lost with the guardian; what comes later has the same frames."""
    script = "trap '' PIPE; i=0; while :; do i=$((i + 1)); echo \"$TOKEN $i\"; sleep 0.02; done 2>/dev/null"
    logs = {"format": "text", "redact": ["ENV:TOKEN"]}
    pypm.start(shell("a", script, env={"TOKEN": "hunter22"}, logs=logs))
    wait_until(lambda: pypm.log("a").count(b"\n") > 5)
    agent = pypm.pid("a")
    pypm.kill_both()
    pypm.ok("list")
    seen = pypm.log("a").count(b"\n")
    assert pypm.pid("a") == agent
    wait_until(lambda: pypm.log("a").count(b"\n") > seen + 5, 20.0, "more records")
    pypm.ok("stop", "a")
    found = [parse_record(line) for line in pypm.log("a").splitlines(keepends=True)]
    assert None not in found
    assert len({record.run for record in found}) == 1
    assert {record.message.split(b" ")[0] for record in found} == {b"***"}
    numbers = [int(record.message.split(b" ")[1]) for record in found]
    assert numbers == sorted(set(numbers))
