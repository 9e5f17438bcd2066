from __future__ import annotations

import os
import threading
from pathlib import Path

from pypm.logs.inventory import LogRules
from pypm.logs.rotation import Compression, Generation
from pypm.logs.threaded import ThreadedLogFile
from pypm.master.slow_logs import SlowLogs
from pypm.testing import wait_until


def slow_file(path: Path) -> ThreadedLogFile:
    return ThreadedLogFile(str(path), wake=lambda callback, *words: callback(*words), max_size=0, retain=50)


def write_rotated(path: Path, count: int) -> None:
    path.write_bytes(b"now\n")
    for number in range(1, count + 1):
        name = f"{path}.{number}"
        Path(name).write_bytes(b"x" * 10)
        os.utime(name, (1000 - number, 1000 - number))


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def test_bounds_hold_and_what_is_plain_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    write_rotated(path, 6)
    os.utime(path, (1000, 1000))
    (tmp_path / "x.log.1.gz.partial").write_bytes(b"half")
    (tmp_path / "x.log.9.index").write_bytes(bytes(24))
    file = slow_file(path)
    told: list[tuple[Generation, Compression]] = []
    slow = SlowLogs(told.extend)
    rules = {str(path): LogRules("a", 4, None, "gzip")}
    slow.look(rules, {"a": 30}, {str(path): file}, 1000.0, partial="")
    left = ["x.log", "x.log.1", "x.log.2"]
    wait_until(lambda: names(path) == left)
    assert [kind for each, kind in told if os.path.basename(each.path) in left] == ["gzip", "gzip"]
    assert slow.log_of(told[0][0]) is file
    file.end()
    assert file.join(20.0)


def test_a_log_that_hangs_keeps_nobody_and_is_looked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    write_rotated(path, 3)
    file = slow_file(path)
    gate, looked = threading.Event(), threading.Event()
    file.do(gate.wait)  # what the file system lets it wait for
    slow = SlowLogs(lambda _: looked.set())
    rules = {str(path): LogRules("a", 1)}
    slow.look(rules, {}, {str(path): file}, 1000.0, partial="")
    assert looked.wait(20.0)
    assert len(names(path)) == 4
    gate.set()
    wait_until(lambda: names(path) == ["x.log", "x.log.1"])
    file.end()
    assert file.join(20.0)
