"""`pypm trigger`: actions of real agents, over a killed and a replaced master."""

from __future__ import annotations

import json
import os
import signal

from real_pypm import RealPypm, python, sleeper

from pypm.testing import wait_until

AGENT = """
import asyncio, os
from pypm import agent

@agent.action("echo")
def echo(param="nothing"):
    return [os.environ["PYPM_NAME"], param]

@agent.action("text")
def text():
    return "one\\ntwo"

@agent.action("boom")
def boom():
    raise ValueError("no such thing")

@agent.action("die")
def die():
    os._exit(3)

@agent.action("hang")
async def hang():
    open("hanging", "a").write("x")
    await asyncio.Event().wait()

async def main():
    agent.ready()
    await asyncio.Event().wait()

asyncio.run(main())
"""


def started(pypm: RealPypm, **keys: object) -> RealPypm:
    pypm.start(python("a", AGENT, wait_ready=True, **keys))
    wait_until(lambda: len(pypm.call("describe", targets=["a"])[0]["actions"]) == 5, 20.0)
    return pypm


def test_all_instances_carry_it_out_and_each_says_what_came_of_it(pypm: RealPypm) -> None:
    started(pypm, instances=2)
    wait_until(lambda: len(pypm.call("describe", targets=["a:1"])[0]["actions"]) == 5, 20.0)
    assert pypm.ok("trigger", "a", "echo", "hello", "you") == (
        'a:0 | ["a:0", "hello you"]\na:1 | ["a:1", "hello you"]\n'
    )
    assert pypm.ok("trigger", "a:1", "text") == "a:1 | one\na:1 | two\n"
    answers = pypm.json("trigger", "a", "echo")
    assert [each["result"] for each in answers] == [["a:0", "nothing"], ["a:1", "nothing"]]
    assert all(each["ok"] and not each["error"] for each in answers)
    assert "\n  boom\n  die\n  echo\n" in pypm.ok("describe", "a:0")


def test_what_goes_wrong_is_said_and_the_status_is_1(pypm: RealPypm) -> None:
    started(pypm)
    pypm.start(sleeper("dumb"))
    assert "a: ValueError: no such thing" in pypm.fails(1, "trigger", "a", "boom")
    unknown = pypm.fails(1, "trigger", "a", "ecco")
    assert "did you mean 'echo'? it has boom, die, echo, hang, text" in unknown
    assert "dumb has registered no actions" in pypm.fails(1, "trigger", "dumb", "echo")
    some = pypm.run("trigger", "all", "echo", "--json")
    assert some.returncode == 1
    assert [each["ok"] for each in json.loads(some.stdout)] == [True, False]
    assert "cancelled" in pypm.fails(1, "trigger", "a", "hang", "--timeout", "3")
    assert "ended before it answered" in pypm.fails(1, "trigger", "a", "die")
    pypm.ok("stop", "a")
    assert "a does not run" in pypm.fails(1, "trigger", "a", "echo")
    pypm.fails(3, "trigger", "nobody", "echo")
    pypm.fails(2, "trigger", "a")


def test_actions_outlive_the_master(pypm: RealPypm) -> None:
    started(pypm)
    pid = pypm.pid("a")
    pypm.kill_master()
    # At once: the next master waits until it has been told.
    assert pypm.ok("trigger", "a", "text") == "a | one\na | two\n"
    pypm.ok("update")
    assert pypm.ok("trigger", "a", "echo", "again") == 'a | ["a", "again"]\n'
    assert pypm.pid("a") == pid


def test_what_a_lost_master_was_asked_is_not_asked_again(pypm: RealPypm) -> None:
    started(pypm)
    asking = pypm.popen("trigger", "a", "hang", "--timeout", "300")
    wait_until((pypm.folder / "hanging").exists, 20.0)
    os.kill(pypm.master_pid(), signal.SIGKILL)
    _, error = asking.communicate(timeout=60)
    assert asking.returncode == 1
    assert b"the master was lost meanwhile: nobody knows who has carried out 'hang'" in error
    wait_until(lambda: pypm.row("a")["status"] == "online", 20.0)
    assert (pypm.folder / "hanging").read_text() == "x"
