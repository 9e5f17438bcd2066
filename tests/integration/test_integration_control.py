"""Who may end the master: a person, and an agent only where its app says so."""

from __future__ import annotations

from real_pypm import RealPypm, python, sleeper

from pypm.testing import wait_until

ASK = """
import os, subprocess, sys, time
if {escape}:  # away from the run: another session, no parent
    if os.fork(): time.sleep(1000)
    os.setsid()
    if os.fork(): os._exit(0)
done = subprocess.run([sys.executable, "-m", "pypm", {verb!r}], capture_output=True, text=True)
print(done.returncode, done.stderr, flush=True)
time.sleep(1000)
"""


def asks(verb: str, *, escape: bool = False, **keys: object) -> dict[str, object]:
    return python("agent", ASK.format(verb=verb, escape=escape), **keys)


def test_no_agent_ends_its_own_supervisor(pypm: RealPypm) -> None:
    for verb, escape in (("kill", False), ("update", False), ("kill", True)):
        pypm.start(asks(verb, escape=escape), sleeper("other"))
        wait_until(lambda: pypm.log("agent").endswith(b"\n\n"), 20.0, "its answer, and the line's end")
        said = pypm.log("agent").decode()
        assert said.startswith(f"1 pypm: {verb} was asked for from within agent"), said
        assert "allow_control = true" in said
        pid = pypm.master_pid()
        assert pypm.row("other")["status"] == "online"
        assert pypm.master_pid() == pid
        pypm.ok("delete", "agent")
        pypm.ok("delete", "other")
        (pypm.home / "logs" / "agent-out.log").unlink()


def test_where_its_app_says_so_it_may(pypm: RealPypm) -> None:
    pypm.start(asks("update", allow_control=True))
    master = pypm.master_pid()
    wait_until(lambda: pypm.log("agent").startswith(b"0 "), 30.0, "its answer")
    assert pypm.master_pid() != master


def test_a_person_may(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    pypm.ok("kill")
