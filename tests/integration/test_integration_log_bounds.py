"""What a real master keeps of logs: indexes, rotation, compression, and what is deleted."""

from __future__ import annotations

import gzip
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from real_pypm import RealPypm, python, shell

from pypm.logs.compressed import open_plain
from pypm.logs.index import read_index
from pypm.logs.rotation import generations, list_generations
from pypm.testing import wait_until


def test_the_index_tells_which_bytes_are_of_which_run(pypm: RealPypm) -> None:
    pypm.start(shell("a", "echo run; echo more; exec sleep 1000"))
    wait_until(lambda: pypm.log("a") == b"run\nmore\n")
    first = pypm.call("describe", targets=["a"])[0]["run_id"]
    pypm.ok("restart", "a")
    wait_until(lambda: pypm.log("a") == b"run\nmore\n" * 2)
    second = pypm.call("describe", targets=["a"])[0]["run_id"]
    path = str(pypm.home / "logs" / "a-out.log")
    index = read_index(list_generations(path)[-1])
    assert [index.run_ranges(int(run, 16)) for run in (first, second)] == [[(0, 9)], [(9, 18)]]


def test_bytes_of_instances_that_share_a_file_belong_to_no_run(pypm: RealPypm) -> None:
    pypm.start(shell("m", "echo here; exec sleep 1000", instances=2, merge_logs=True))
    path = pypm.home / "logs" / "m-out.log"
    wait_until(lambda: path.exists() and path.read_bytes() == b"here\n" * 2)
    # The first instance may have written before the second one began to share the file.
    assert read_index(list_generations(str(path))[-1]).time_at(9) > 0
    pypm.ok("restart", "m")
    wait_until(lambda: path.read_bytes() == b"here\n" * 4)
    last = list(read_index(list_generations(str(path))[-1]).records())[-1]
    assert last[2] == 0


NUMBERED = "import sys, time\nfor n in range({count}): print(f'line {{n:07}}')\n"


def kept_numbers(path: Path) -> list[int]:
    """The numbers of the lines of a log that are left, in the order in which readers see them."""
    content = b""
    for file in generations(str(path)) or []:
        with open_plain(file) as reader:
            content += reader.read()
    return [int(line.removeprefix(b"line ")) for line in content.splitlines()]


def rotated_names(path: Path) -> list[str]:
    return sorted(name.name for name in path.parent.glob(f"{path.name}.*") if name.suffix != ".index")


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_rotated_compressed_and_retained_without_a_gap(pypm: RealPypm, kind: str) -> None:
    logs = {"max_size": "50K", "retain": 6, "compress": kind}
    pypm.begin(python("a", NUMBERED.format(count=60_000), autorestart=False, logs=logs))
    pypm.wait_status("a", "exited")
    path = pypm.home / "logs" / "a-out.log"
    suffix = {"gzip": "gz", "zstd": "zst"}[kind]
    wait_until(lambda: rotated_names(path) == [f"a-out.log.{n}.{suffix}" for n in range(1, 7)], 90.0)
    numbers = kept_numbers(path)
    assert numbers == list(range(numbers[0], 60_000))
    assert len(numbers) >= 6 * 50 * 1024 // 13
    indexes = [read_index(file) for file in generations(str(path))]
    (run,) = indexes[0].runs()
    assert [index.run_ranges(run) for index in indexes] == [[(0, index.size)] for index in indexes]


def test_all_logs_of_an_app_stay_below_its_total_size(pypm: RealPypm) -> None:
    both = "import sys\nfor n in range(20_000):\n"
    both += " print(f'line {n:07}')\n print(f'line {n:07}', file=sys.stderr)\n"
    logs = {"max_size": "20K", "retain": 100, "total_size": "100K"}
    pypm.begin(python("a", both, autorestart=False, logs=logs), shell("other", "exec sleep 1000"))
    pypm.wait_status("a", "exited")
    folder = pypm.home / "logs"

    def size() -> int:
        found = 0
        for file in folder.glob("a-*"):
            with suppress(FileNotFoundError):  # deleted meanwhile
                found += file.stat().st_size if file.suffix != ".index" else 0
        return found

    wait_until(lambda: size() <= 100 * 1024)
    assert size() >= 60 * 1024
    for name in ("a-out.log", "a-error.log"):
        numbers = kept_numbers(folder / name)
        assert numbers == list(range(numbers[0], 20_000))
    assert not list(folder.glob("*.index.*"))
    wait_until(lambda: len(list(folder.glob("a-*.index"))) == len(list(folder.glob("a-*[!x]"))))


def test_the_home_is_bounded_also_for_apps_that_are_gone(pypm: RealPypm) -> None:
    logs = {"max_size": "10K", "retain": 100}
    pypm.begin(python("old", NUMBERED.format(count=5_000), autorestart=False, logs=logs))
    pypm.wait_status("old", "exited")
    pypm.ok("delete", "old")
    path = pypm.home / "logs" / "old-out.log"
    assert len(rotated_names(path)) == 6
    (pypm.home / "config.toml").write_text('[logs]\ntotal_size = "30K"\n')
    os.kill(pypm.master_pid(), signal.SIGKILL)  # a new master looks at once
    wait_until(lambda: "too large together" in pypm.master_log(), 20.0)
    wait_until(lambda: len(rotated_names(path)) <= 2, 20.0)
    assert path.exists()
    numbers = kept_numbers(path)
    assert numbers == list(range(numbers[0], 5_000))


def test_what_a_killed_master_has_left_is_put_in_order(pypm: RealPypm) -> None:
    logs = {"max_size": "10K", "retain": 100, "compress": "gzip"}
    pypm.begin(python("a", NUMBERED.format(count=5_000), autorestart=False, logs=logs))
    pypm.wait_status("a", "exited")
    path = pypm.home / "logs" / "a-out.log"
    wait_until(lambda: all(name.endswith(".gz") for name in rotated_names(path)))
    before = rotated_names(path)
    packed = path.with_name("a-out.log.2.gz")
    twin = path.with_name("a-out.log.2")
    twin.write_bytes(gzip.decompress(packed.read_bytes()))
    os.utime(twin, ns=(0, packed.stat().st_mtime_ns))
    path.with_name("a-out.log.1.gz.partial").write_bytes(b"half")
    path.with_name("a-out.log.77.index").write_bytes(bytes(24))
    assert kept_numbers(path) == list(range(5_000))
    os.kill(pypm.master_pid(), signal.SIGKILL)
    wait_until(
        lambda: rotated_names(path) == before and not path.with_name("a-out.log.77.index").exists(), 20.0
    )
    assert kept_numbers(path) == list(range(5_000))


def test_flush_empties_and_deletes_what_is_rotated_if_asked(pypm: RealPypm) -> None:
    logs = {"max_size": "10K", "retain": 100, "compress": "gzip"}
    script = NUMBERED.format(count=5_000) + "sys.stdout.flush()\ntime.sleep(1000)\n"
    pypm.begin(python("a", script, logs=logs))
    path = pypm.home / "logs" / "a-out.log"
    wait_until(lambda: len(rotated_names(path)) == 6 and path.read_bytes().endswith(b"line 0004999\n"))
    assert pypm.json("flush", "a")["deleted"] == []
    assert path.read_bytes() == b""
    assert len(rotated_names(path)) == 6
    deleted = pypm.json("flush", "a", "--rotated")["deleted"]
    assert len(deleted) == 6
    wait_until(lambda: rotated_names(path) == [])
    wait_until(lambda: len(list(path.parent.glob("a-out.log.*"))) <= 1)


def test_a_moved_file_is_let_go_of_at_once_when_asked(pypm: RealPypm) -> None:
    script = "while read line <&3; do echo $line; done"
    fifo = pypm.folder / "fifo"
    os.mkfifo(fifo)
    pypm.start(shell("a", f"exec 3<>{fifo}; {script}"))

    def say(text: str) -> None:
        with open(fifo, "w") as file:
            file.write(text + "\n")

    path = pypm.home / "logs" / "a-out.log"
    say("one")
    wait_until(lambda: pypm.log("a") == b"one\n")
    path.rename(path.with_name("moved-1"))
    assert str(path) in pypm.json("reloadLogs")["files"]
    say("two")
    wait_until(lambda: pypm.log("a") == b"two\n")
    for number, pid in enumerate((pypm.master_pid(), pypm.call("ping")["guardian_pid"])):
        path.rename(path.with_name(f"moved-{number + 2}"))
        said = pypm.master_log().count("opened anew")
        os.kill(pid, signal.SIGUSR2)
        wait_until(lambda said=said: pypm.master_log().count("opened anew") > said)
        say(f"after {number}")
        wait_until(lambda number=number: pypm.log("a") == b"after %d\n" % number)
    moved = [path.with_name(f"moved-{number}").read_bytes() for number in (1, 2, 3)]
    assert moved == [b"one\n", b"two\n", b"after 0\n"]


def test_a_wrong_home_file_keeps_a_master_from_beginning_and_says_where(pypm: RealPypm) -> None:
    (pypm.home / "config.toml").write_text('[logs]\ntotal_sice = "30K"\n')
    error = pypm.fails(1, "start", pypm.ecosystem(shell("a", "exec sleep 1000")))
    assert "config.toml" in error
    assert "total_size" in error


def test_a_wrong_home_file_keeps_an_update_from_beginning_and_deletes_nothing(pypm: RealPypm) -> None:
    logs = {"max_size": "10K", "retain": 100}
    pypm.begin(python("a", NUMBERED.format(count=5_000), autorestart=False, logs=logs))
    pypm.wait_status("a", "exited")
    before = rotated_names(pypm.home / "logs" / "a-out.log")
    (pypm.home / "config.toml").write_text('[logs]\ntotal_size = "30 KG"\n')
    master = pypm.master_pid()
    assert "total_size" in pypm.fails(1, "update")
    assert pypm.master_pid() == master
    os.kill(master, signal.SIGKILL)  # the guardian's own next master has to begin all the same
    wait_until(lambda: "no bound holds for the home" in pypm.master_log(), 20.0)
    assert rotated_names(pypm.home / "logs" / "a-out.log") == before
