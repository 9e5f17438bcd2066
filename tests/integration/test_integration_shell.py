"""What agents get from the shell in which they were started, and what not."""

from __future__ import annotations

import os
import resource
import subprocess

from real_pypm import COMMAND, RealPypm, python, sleeper

from pypm.testing import wait_until

LIMITS = "import resource, time; print(*resource.getrlimit(resource.RLIMIT_NOFILE)); time.sleep(1000)"


def test_agents_have_the_open_files_of_the_shell_also_under_later_masters(pypm: RealPypm) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    file = pypm.ecosystem(python("a", LIMITS))
    shell = f"ulimit -Sn 300; exec {' '.join(COMMAND)} start {file} --no-wait"
    subprocess.run(["/bin/sh", "-c", shell], check=True, cwd=pypm.folder, capture_output=True)
    wait_until(lambda: pypm.log("a") == f"300 {hard}\n".encode(), 20.0, "its limits")
    guardian = pypm.guardian_pid()
    os.kill(guardian, 9)
    wait_until(lambda: pypm.lock_holder() not in (None, guardian), 20.0, "the next guardian")
    pypm.ok("restart", "a")
    wait_until(lambda: pypm.log("a").count(b"\n") == 2, 20.0, "its limits again")
    assert pypm.log("a") == f"300 {hard}\n".encode() * 2


def test_what_is_no_utf8_is_left_out_with_a_warning(pypm: RealPypm) -> None:
    environment = {**os.environb, b"BAD": b"a\xff", b"GOOD": "ä".encode()}
    done = pypm.run("start", pypm.ecosystem(sleeper("a")), env=environment)
    assert done.returncode == 0, done
    assert "agents do not inherit what is no UTF-8: BAD" in done.stderr
    env = pypm.call("env", targets=["a"])[0]["env"]
    assert "BAD" not in env
    assert env["GOOD"] == "ä"
