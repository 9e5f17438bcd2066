"""Logs end to end: every byte, through rotation and death, shown with and without a master."""

from __future__ import annotations

import hashlib
import json
import re
import signal
from pathlib import Path

import pytest
from real_pypm import RealPypm, python, shell, sleeper

from pypm.testing import wait_until


def whole_log(path: Path) -> bytes:
    """The stream that was written: rotated files from the oldest on, then the current one."""
    rotated = [each for each in path.parent.glob(f"{path.name}.*") if each.suffix[1:].isdigit()]
    ordered = sorted(rotated, key=lambda each: -int(each.suffix[1:]))
    return b"".join(each.read_bytes() for each in [*ordered, path] if each.exists())


NOISE = """
import hashlib, random, sys
rng = random.Random({seed})
lines = [rng.randbytes(rng.randrange(0, 300)).replace(b"\\n", b"") + b"\\n" for _ in range({lines})]
data = b"".join(lines) + {tail!r}
sys.stdout.buffer.write(data)
sys.stdout.buffer.flush()
sys.stderr.write(hashlib.sha256(data).hexdigest())
"""


@pytest.mark.parametrize("tail", [b"", b"last words without an end", b"\n\n", b"\xff\x00\x1b[31m"])
def test_every_byte_is_there_after_rotations(pypm: RealPypm, tail: bytes) -> None:
    keys = {"autorestart": False, "logs": {"max_size": "200K", "retain": 100}}
    pypm.begin(python("a", NOISE.format(seed=1, lines=20_000, tail=tail), **keys))
    pypm.wait_status("a", "exited")
    data = whole_log(pypm.home / "logs" / "a-out.log")
    assert hashlib.sha256(data).hexdigest().encode() == pypm.log("a", "error")
    assert data.endswith(tail)
    rotated = list((pypm.home / "logs").glob("a-out.log.*[0-9]"))
    assert len(rotated) >= 10
    assert all(each.stat().st_size <= 400 * 1024 for each in rotated)


def test_only_so_many_rotated_files_are_kept(pypm: RealPypm) -> None:
    keys = {"autorestart": False, "logs": {"max_size": "10K", "retain": 3}}
    pypm.begin(shell("a", "seq 1 20000", **keys))
    pypm.wait_status("a", "exited")
    data = whole_log(pypm.home / "logs" / "a-out.log")
    assert len(list((pypm.home / "logs").glob("a-out.log.*[0-9]"))) == 3
    numbers = [int(line) for line in data.splitlines()]
    assert numbers == list(range(numbers[0], 20001))


def test_last_words_of_a_killed_process_are_there_when_its_end_is_told(pypm: RealPypm) -> None:
    script = "import os, signal, sys\nos.write(1, b'x' * 60000 + b'the end')\nos.write(2, b'why')\n"
    script += "os.kill(os.getpid(), signal.SIGKILL)\n"
    pypm.begin(python("a", script, max_restarts=0))
    pypm.wait_status("a", "errored")
    assert pypm.log("a") == b"x" * 60000 + b"the end"
    assert pypm.log("a", "error") == b"why"


def test_output_of_many_runs_is_complete_and_in_order(pypm: RealPypm) -> None:
    script = 'n=$(cat count || echo 0); echo "run $n"; printf "%s" tail; echo $((n + 1)) > count; exit 1'
    pypm.begin(shell("a", script + " 2>&-", restart_delay=0, max_restarts=20))
    pypm.wait_status("a", "errored")
    assert pypm.log("a") == b"".join(b"run %d\ntail" % number for number in range(21))


def test_a_bad_reader_slows_nothing(pypm: RealPypm) -> None:
    """``pypm logs`` reads files: one that is stopped in the middle holds nobody up."""
    pypm.start(
        shell("a", "while ! test -e flag; do sleep 0.05; done; seq 1 300000; echo done >&2; sleep 1000")
    )
    with pypm.popen("logs", "a") as reader:
        reader.send_signal(signal.SIGSTOP)
        pypm.write("flag", "")
        wait_until(lambda: pypm.log("a", "error") == b"done\n", 20.0)
        wait_until(lambda: pypm.log("a").endswith(b"\n300000\n"))
        reader.kill()
        reader.communicate()


@pytest.fixture
def two(pypm: RealPypm) -> RealPypm:
    """Two apps with something in their logs."""
    pypm.start(
        shell("a", "seq 1 30; echo oops >&2; sleep 1000"), shell("b", "echo hello; printf tail; sleep 1000")
    )
    wait_until(lambda: pypm.log("a").endswith(b"30\n") and pypm.log("b").endswith(b"tail"))
    wait_until(lambda: pypm.log("a", "error"))
    return pypm


def test_logs_shows_the_ends_with_names(two: RealPypm) -> None:
    shown = two.ok("logs", "--no-follow", "-n", "2").splitlines()
    assert [line.split("|")[1].strip() for line in shown if line.startswith("a")] == ["29", "30", "oops"]
    assert [line.split("|")[1].strip() for line in shown if line.startswith("b")] == ["hello", "tail"]
    assert len(two.ok("logs", "a", "--no-follow", "--out").splitlines()) == 15


def test_logs_of_one_stream_raw_and_json(two: RealPypm) -> None:
    assert two.ok("logs", "b", "--no-follow", "--raw", "--out") == "hello\ntail"
    assert two.ok("logs", "a", "--no-follow", "--raw", "--err") == ""
    raw = two.run("logs", "a", "--no-follow", "--raw", "-n", "1")
    assert (raw.stdout, raw.stderr) == ("30\n", "oops\n")
    entries = [
        json.loads(line) for line in two.ok("logs", "a", "--no-follow", "--json", "--err").splitlines()
    ]
    file = str(two.home / "logs" / "a-error.log")
    (entry,) = entries
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry.pop("time"))
    run = two.state()["instances"][0]["run"]["run_id"]
    assert entry == {"name": "a", "stream": "error", "line": "oops", "file": file, "run": run}


def test_logs_works_without_a_master(two: RealPypm) -> None:
    two.ok("kill")
    assert two.ok("logs", "b", "--no-follow", "--raw") == "hello\ntail"
    assert "b" in two.fails(3, "logs", "c", "--no-follow")
    assert two.lock_holder() is None


def test_logs_follows_through_a_rotation_and_a_restart(pypm: RealPypm) -> None:
    script = "echo begin; while ! test -e flag; do sleep 0.05; done; seq 1 20000; sleep 1000"
    pypm.start(shell("a", script, logs={"max_size": "20K", "retain": 10}))
    wait_until(lambda: pypm.log("a") == b"begin\n")
    with pypm.popen("logs", "a", "--raw") as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"begin\n"
        pypm.write("flag", "")
        lines: list[bytes] = []
        while not lines or lines[-1] != b"20000\n":
            lines.append(reader.stdout.readline())
        reader.send_signal(signal.SIGINT)
        reader.communicate(timeout=20)
    assert lines[-1] == b"20000\n"
    numbers = [int(line) for line in lines]
    assert numbers == list(range(1, 20001)), "no line is missed or shown twice"
    assert reader.returncode in (0, 130)


def test_each_instance_has_its_files_and_merge_makes_them_one(pypm: RealPypm) -> None:
    script = "echo out $PYPM_INSTANCE; echo err $PYPM_INSTANCE >&2; sleep 1000"
    pypm.start(shell("w", script, instances=2), shell("m", script, instances=2, merge_logs=True))
    logs = pypm.home / "logs"
    wait_until(lambda: (logs / "m-out.log").exists() and (logs / "m-out.log").read_bytes().count(b"\n") == 2)
    wait_until(lambda: pypm.log("w:0") and pypm.log("w:1", "error"))
    assert (logs / "w-0-out.log").read_bytes() == b"out 0\n"
    assert (logs / "w-1-error.log").read_bytes() == b"err 1\n"
    assert sorted((logs / "m-out.log").read_bytes().splitlines()) == [b"out 0", b"out 1"]
    assert not list(logs.glob("m-0*"))


def test_declared_files_relative_to_the_folder_and_a_combined_one(pypm: RealPypm) -> None:
    script = "echo one; echo two >&2; sleep 1000"
    pypm.start(shell("a", script, out_file="logs/o.txt", error_file="/dev/null", log_file="all.log"))
    wait_until(lambda: (pypm.folder / "all.log").exists() and (pypm.folder / "all.log").stat().st_size == 8)
    wait_until(lambda: (pypm.folder / "logs" / "o.txt").read_bytes() == b"one\n")
    assert sorted((pypm.folder / "all.log").read_bytes().split()) == [b"one", b"two"]
    assert pypm.row("a")["out_file"] == str(pypm.folder / "logs" / "o.txt")


def test_a_moved_log_is_begun_anew(pypm: RealPypm) -> None:
    """What logrotate does to it."""
    pypm.start(shell("a", "while :; do echo tick; sleep 0.05; done"))
    path = pypm.home / "logs" / "a-out.log"
    wait_until(lambda: path.exists())
    path.rename(path.with_suffix(".moved"))
    wait_until(lambda: path.exists() and path.stat().st_size, 20.0)


def test_flush_of_one_leaves_the_other(two: RealPypm) -> None:
    two.ok("flush", "a")
    assert (two.log("a"), two.log("b")) == (b"", b"hello\ntail")


def test_delete_keeps_the_logs(two: RealPypm) -> None:
    two.ok("delete", "b")
    assert two.log("b") == b"hello\ntail"


def test_names_that_are_patterns_elsewhere_have_their_own_log(pypm: RealPypm) -> None:
    pypm.start(shell("a.b_c-d", "echo dots; sleep 1000"), sleeper("a"))
    wait_until(lambda: pypm.log("a.b_c-d") == b"dots\n")
    assert pypm.ok("logs", "a.b_c-d", "--no-follow", "--raw") == "dots\n"
