"""``pypm logs`` beside a real master: what it follows, and what it finds by time, run and failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from real_pypm import RealPypm, python, shell

from pypm.testing import wait_until

COUNTER = """
import os, sys, time
path = "count"
while True:
    number = int(open(path).read()) if os.path.exists(path) else 0
    for number in range(number + 1, number + 201):
        print(number)
    with open("new", "w") as file:
        file.write(str(number))
    os.replace("new", path)
    while number >= int(open("limit").read()):
        time.sleep(0.01)
"""
"""Counts on, over its runs, in portions of 200 lines as far as the file ``limit`` says."""


@contextmanager
def reading(pypm: RealPypm, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    with pypm.popen("logs", *words) as reader:
        try:
            yield reader
        except BaseException:
            reader.kill()
            raise
        reader.send_signal(signal.SIGINT)
        _, errors = reader.communicate(timeout=30)
        assert (reader.returncode, errors) == (0, b"")


def lines_to(reader: subprocess.Popen[bytes], last: bytes) -> list[bytes]:
    assert reader.stdout is not None
    lines = [reader.stdout.readline()]
    while lines[-1] != last:
        assert lines[-1], f"ended before {last!r}, after {lines[-2:]!r}"
        lines.append(reader.stdout.readline())
    return lines


@pytest.mark.parametrize("compress", ["none", "gzip"])
def test_following_through_rotation_restart_and_the_death_of_the_master(
    pypm: RealPypm, compress: str
) -> None:
    """Every line comes once and in its order, whatever happens to files, agent, master and guardian."""

    def allow(count: int) -> None:
        pypm.write("next", str(count))
        os.replace(pypm.folder / "next", pypm.folder / "limit")

    allow(200)
    logs = {"max_size": "4K", "retain": 100, "compress": compress}
    pypm.start(python("a", COUNTER, logs=logs))
    with reading(pypm, "a", "--raw", "-n", "1000") as reader:
        lines = lines_to(reader, b"200\n")
        allow(4_000)
        lines += lines_to(reader, b"4000\n")
        pypm.kill_master()
        allow(8_000)
        lines += lines_to(reader, b"8000\n")
        pypm.ok("restart", "a")
        allow(12_000)
        lines += lines_to(reader, b"12000\n")
        pypm.kill_both()
        pypm.ok("list")
        allow(16_000)
        lines += lines_to(reader, b"16000\n")
    assert [int(line) for line in lines] == list(range(1, 16_001))
    if compress == "gzip":
        wait_until(lambda: list((pypm.home / "logs").glob("a-out.log.*.gz")), 30.0)
    assert pypm.ok("logs", "a", "--raw", "--no-follow", "-n", "20000").encode() == b"".join(lines)


def test_new_instances_are_followed_as_they_come(pypm: RealPypm) -> None:
    script = "echo hello $PYPM_INSTANCE; sleep 1000"
    pypm.start(shell("w", script), shell("other", "echo no; sleep 1000"))
    wait_until(lambda: pypm.log("w") == b"hello 0\n")
    with reading(pypm, "w") as reader:
        lines_to(reader, b"w | hello 0\n")
        pypm.ok("scale", "w", "3")
        assert reader.stdout is not None
        assert {reader.stdout.readline() for _ in range(2)} == {b"w:1 | hello 1\n", b"w:2 | hello 2\n"}


def test_a_truncated_and_a_deleted_log_are_followed(pypm: RealPypm) -> None:
    script = "n=0; while :; do n=$((n + 1)); echo $n; sleep 0.02; done"
    pypm.start(shell("a", script))
    path = pypm.home / "logs" / "a-out.log"
    with reading(pypm, "a", "--raw", "-n", "1000") as reader:
        assert reader.stdout is not None
        lines = lines_to(reader, b"20\n")
        path.unlink()
        while not path.exists():  # the master notices at a write a second later
            lines.append(reader.stdout.readline())
        lines += [reader.stdout.readline() for _ in range(20)]
        assert [int(line) for line in lines] == list(range(1, len(lines) + 1))
        pypm.ok("flush", "a")
        after = [int(reader.stdout.readline()) for _ in range(40)]
        assert after == sorted(set(after)), "what was truncated before it was read is lost, and nothing else"


def test_runs_times_and_failures_of_real_agents(pypm: RealPypm) -> None:
    script = "import os\nprint('run of', os.environ['PYPM_RUN_ID'], flush=True)\nraise ValueError('no')"
    pypm.begin(python("a", script, max_restarts=2, restart_delay=0))
    pypm.wait_status("a", "errored")
    wait_until(lambda: len(pypm.state()["instances"][0]["runs"]) == 3)
    runs = [end["run_id"] for end in pypm.state()["instances"][0]["runs"]]
    for word, run in (("last", runs[0]), ("-1", runs[1]), ("-2", runs[2]), (runs[1], runs[1])):
        assert pypm.ok("logs", "a", "--run", word, "--out", "--raw") == f"run of {run}\n"
        errors = pypm.run("logs", "a", "--run", word, "--err", "--raw").stderr
        assert (errors[:9], errors[-15:]) == ("Traceback", "ValueError: no\n")
    assert "known are" in pypm.fails(3, "logs", "a", "--run", "000000000000")
    assert pypm.fails(3, "logs", "a", "--run", "-7")
    whole = pypm.log("a", "error").decode()
    assert pypm.ok("logs", "--errors", "--raw", "--no-follow", "--err") == ""
    done = pypm.run("logs", "--errors", "--raw", "--no-follow", "--err")
    assert done.stderr == whole
    assert pypm.run("logs", "--errors", "-n", "1", "--raw", "--no-follow").stderr * 3 == whole
    assert len(pypm.ok("logs", "a", "--since", "1h", "--no-follow", "--out").splitlines()) == 3
    assert pypm.ok("logs", "a", "--until", "1h", "--out") == ""


def test_runs_that_the_instance_does_not_remember_are_found_in_its_logs(pypm: RealPypm) -> None:
    """A reload ends the last run of one that has gone by then, and ``delete`` leaves nothing but the logs."""
    app = shell("a", "while echo run of $PYPM_RUN_ID; do sleep 0.05; done")

    def lines_of(run: str) -> set[str]:
        return set(pypm.ok("logs", "a", "--run", run, "--no-follow", "--raw").splitlines())

    def fresh() -> str:
        """The only run that is there, once it is a new one: who is replaced takes a while to go."""
        found = [entry["run"]["run_id"] for entry in pypm.state()["instances"] if entry.get("run")]
        return found[0] if len(found) == 1 and found[0] not in runs else ""

    pypm.start(app)
    runs: list[str] = []
    for order in ("reload", "restart", "delete", ""):
        runs.insert(0, wait_until(fresh, 30.0))
        wait_until(lambda: lines_of("last") == {f"run of {runs[0]}"}, 30.0)
        if order:
            pypm.ok(order, "a")
        if order == "delete":
            pypm.start(app)
    for place, run in enumerate(runs):
        assert lines_of(f"-{place}") == lines_of(run) == {f"run of {run}"}


@pytest.mark.parametrize("form", ["text", "json"])
def test_records_are_followed_and_found(pypm: RealPypm, form: str) -> None:
    script = "echo one; echo two >&2; while ! test -e go; do sleep 0.01; done; echo three; sleep 1000"
    logs = {"format": form}
    pypm.start(shell("a", script, instances=2, merge_logs=True, logs=logs))
    wait_until(lambda: len(pypm.ok("logs", "a", "--no-follow").splitlines()) == 4)
    runs = {f"a:{entry['index']}": entry["run"]["run_id"] for entry in pypm.state()["instances"]}
    with reading(pypm, "a", "--json") as reader:
        assert reader.stdout is not None
        for _ in range(4):
            reader.stdout.readline()
        pypm.write("go", "")
        entries = [json.loads(reader.stdout.readline()) for _ in range(2)]
    assert {entry["name"]: entry["run"] for entry in entries} == runs
    assert {(entry["line"], entry["stream"]) for entry in entries} == {("three", "out")}
    assert all(entry["time"].endswith("Z") and "." in entry["time"] for entry in entries)
    shown = pypm.ok("logs", "a:1", "--run", runs["a:1"], "--no-follow", "-n", "9").splitlines()
    assert sorted(shown) == ["a:1 | one", "a:1 | three", "a:1 | two"]


def test_a_line_without_an_end_and_the_end_of_the_reader(pypm: RealPypm) -> None:
    pypm.start(
        shell("a", "printf 'Continue? '; while ! test -e go; do sleep 0.01; done; echo yes; sleep 1000")
    )
    wait_until(lambda: pypm.log("a") == b"Continue? ")
    with reading(pypm, "a") as reader:
        pypm.write("go", "")
        lines_to(reader, b"a | Continue? yes\n")
    with pypm.popen("logs", "a") as reader:
        assert reader.stdout is not None
        assert reader.stderr is not None
        reader.stdout.readline()
        reader.stdout.close()
        assert reader.wait(timeout=30) == 0
        assert reader.stderr.read() == b""
