"""The last words of a process that dies are in its log when its end is told, whoever holds its pipe."""

from __future__ import annotations

import pytest
from real_pypm import RealPypm, python

ROUNDS = 20
LINES = 40_000
PRINTS = f"""
import os, subprocess, sys
if {{child}}:
    subprocess.Popen(["sleep", "1000"])
data = b"".join(b"%099d\\n" % number for number in range({LINES})) + b"last words"
while data:
    data = data[os.write(1, data):]
os._exit(7)
"""


@pytest.mark.parametrize("child", [False, True], ids=["alone", "a child holds the pipe"])
def test_four_megabytes_and_an_exit_leave_nothing_out(pypm: RealPypm, child: bool) -> None:
    pypm.begin(
        python(
            "a",
            PRINTS.replace("{child}", str(child)),
            autorestart=True,
            max_restarts=ROUNDS - 1,
            restart_delay=0,
            logs={"max_size": 0},
        )
    )
    pypm.wait_status("a", "errored", timeout=60.0)
    said = b"".join(b"%099d\n" % number for number in range(LINES)) + b"last words"
    text = pypm.log("a")
    assert len(text) == ROUNDS * len(said)
    assert text == ROUNDS * said
