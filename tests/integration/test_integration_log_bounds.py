"""What a real master keeps of logs: indexes, rotation, compression, and what is deleted."""

from __future__ import annotations

from real_pypm import RealPypm, shell

from pypm.logs.index import read_index
from pypm.logs.rotation import list_generations
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
