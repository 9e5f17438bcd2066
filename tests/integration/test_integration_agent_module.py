"""``pypm.agent`` in real agents under a real master: what it says is shown, what it keeps is there again."""

from __future__ import annotations

import os
import signal

from real_pypm import RealPypm, python

from pypm.testing import wait_until

HEAD = "import os, time\nfrom pypm import agent\n"
UNTIL_FLAG = "while not os.path.exists('flag'): time.sleep(0.02)\n"


def test_a_wait_is_shown_with_what_it_is_for_and_ends(pypm: RealPypm) -> None:
    body = "agent.progress(iteration=7, message='read the question')\n"
    body += "with agent.waiting(120, 'model call'):\n    " + UNTIL_FLAG + "time.sleep(1000)\n"
    pypm.start(python("a", HEAD + body))
    row = pypm.wait_row("a", lambda row: row["waiting_for"] == "model call")
    assert (row["iteration"], row["progress_text"]) == (7, "read the question")
    assert "model call" in pypm.ok("describe", "a")
    pypm.write("flag", "")
    pypm.wait_row("a", lambda row: row["waiting_seconds"] is None)


def test_an_honest_wait_outlasts_the_limits_and_a_silent_one_does_not(pypm: RealPypm) -> None:
    """The heartbeat of both is due after two seconds, and neither sends one."""
    keys = {"health": {"heartbeat_timeout": "2s"}, "max_restarts": 0}
    honest = HEAD + "agent.heartbeat()\nwith agent.waiting(120): time.sleep(1000)\n"
    silent = HEAD + "agent.heartbeat()\ntime.sleep(1000)\n"
    pypm.begin(python("honest", honest, **keys), python("silent", silent, **keys))
    end = pypm.wait_status("silent", "errored")["last_exit"]
    assert end["cause"] == "watchdog"
    row = pypm.row("honest")
    assert (row["status"], row["restarts"]) == ("online", 0)


def test_metrics_and_tasks_are_described(pypm: RealPypm) -> None:
    body = (
        "agent.metric('tokens', 1234)\n"
        "with agent.task('summary'): pass\n"
        "try:\n    with agent.task('summary'): raise ValueError\nexcept ValueError: pass\n"
        "with agent.task('search'): time.sleep(1000)\n"
    )
    pypm.start(python("a", HEAD + body))

    def is_told() -> bool:
        return len(pypm.call("describe", targets=["a"])[0]["tasks"]) == 2

    wait_until(is_told, 20.0)
    [detail] = pypm.json("describe", "a")
    assert detail["metrics"]["tokens"]["value"] == 1234
    summary, search = detail["tasks"]
    assert (summary["name"], summary["state"], summary["done"], summary["failed"]) == (
        "summary",
        "failed",
        1,
        1,
    )
    assert (search["name"], search["state"], search["running"]) == ("search", "begun", 1)
    text = pypm.ok("describe", "a")
    assert "1 done, 1 failed" in text
    assert "1234" in text


def test_a_killed_agent_goes_on_where_it_was_and_knows_why(pypm: RealPypm) -> None:
    body = (
        "state = agent.checkpoint.load(default={'life': 0})\n"
        "state['life'] += 1\n"
        "agent.checkpoint.save(state)\n"
        "info = agent.restart_info\n"
        "print(state['life'], info.is_restart, info.restarts, info.cause, info.last_exit, flush=True)\n"
        "time.sleep(1000)\n"
    )
    pypm.start(python("a", HEAD + body))
    wait_until(lambda: pypm.log("a").count(b"\n") == 1, 20.0)
    pypm.ok("signal", "SIGKILL", "a")
    wait_until(lambda: pypm.log("a").count(b"\n") == 2, 20.0)
    first, second = pypm.log("a").decode().splitlines()
    assert first == "1 False 0  None"
    assert second == "2 True 1 signal LastExit(code=None, signal='SIGKILL')"
    folder = pypm.home / "agents" / "a-0"
    assert len(list(folder.iterdir())) == 2
    assert folder.stat().st_mode & 0o777 == 0o700
    pypm.ok("delete", "a")
    assert folder.exists(), "what an agent knows is not thrown away with its declaration"


def test_the_callback_at_the_end_lets_a_step_be_finished(pypm: RealPypm) -> None:
    body = (
        "ending = False\n"
        "def end():\n    global ending\n    ending = True\n"
        "agent.on_shutdown(end)\n"
        "agent.ready()\n"
        "while not ending: time.sleep(0.02)\n"
        "print('the step is finished', flush=True)\n"
    )
    pypm.start(python("a", HEAD + body, wait_ready=True))
    pypm.ok("stop", "a")
    row = pypm.row("a")
    assert (row["last_exit"]["code"], row["last_exit"]["signal"]) == (0, None)
    assert pypm.log("a") == b"the step is finished\n"


def test_a_loop_that_stands_still_is_ended_although_a_thread_beats_on(pypm: RealPypm) -> None:
    body = (
        "import asyncio\n"
        "agent.heartbeat_thread(0.05)\n"
        "async def main():\n"
        "    async with agent.heartbeats(0.05):\n"
        "        await asyncio.sleep(0.2)\n"
        "        time.sleep(1000)\n"
        "asyncio.run(main())\n"
    )
    pypm.begin(python("a", HEAD + body, health={"heartbeat_timeout": "1s"}, max_restarts=0))
    assert pypm.wait_status("a", "errored", timeout=30.0)["last_exit"]["cause"] == "watchdog"


def test_a_new_master_hears_again_what_is_waited_for(pypm: RealPypm) -> None:
    body = "with agent.waiting(120, 'model call'):\n    while True: agent.heartbeat(); time.sleep(0.05)\n"
    pypm.start(python("a", HEAD + body))
    pypm.wait_row("a", lambda row: row["waiting_for"] == "model call")
    pid, master = pypm.pid("a"), pypm.master_pid()
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: pypm.master_pid() != master, 20.0)
    row = pypm.wait_row("a", lambda row: row["waiting_for"] == "model call" and row["waiting_seconds"] < 100)
    assert row["pid"] == pid
