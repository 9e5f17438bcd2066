"""Start order with real programs: what waits, what is held, what stops first, also under a new master."""

from __future__ import annotations

import os
import signal
from typing import Any

from real_pypm import RealPypm, python, shell, sleeper

from pypm.testing import wait_until

READY_ON_FLAG = (
    "import os, time\nfrom pypm import agent\n"
    "while not os.path.exists('flag'): time.sleep(0.02)\n"
    "agent.ready()\nprint('ready', flush=True)\ntime.sleep(1000)\n"
)
SLOW_END = (
    "import os, signal, time\n"
    "def end(*_):\n"
    "    print('asked to end', flush=True)\n"
    "    while not os.path.exists('may-end'): time.sleep(0.02)\n"
    "    raise SystemExit(0)\n"
    "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\ntime.sleep(1000)\n"
)


def model(**keys: Any) -> dict[str, Any]:
    return python("model", READY_ON_FLAG, wait_ready=True, **keys)


def test_a_dependent_waits_visibly_until_its_dependency_is_ready(pypm: RealPypm) -> None:
    pypm.begin(sleeper("worker", depends_on=["model"]), model())
    with pypm.popen("start") as start:
        row = pypm.wait_row("worker", lambda row: row["awaited"] == "waits for model to be ready")
        assert (row["status"], row["pid"]) == ("starting", None)
        assert "waits for model to be ready" in pypm.ok("list")
        assert "waits for model to be ready" in pypm.ok("describe", "worker")
        pypm.wait_row("model", lambda row: row["status"] == "starting" and row["pid"] is not None)
        assert start.poll() is None, "start waits for it"
        pypm.write("flag", "")
        start.communicate(timeout=30)
    assert start.returncode == 0
    worker, server = pypm.row("worker"), pypm.row("model")
    assert (worker["status"], worker["awaited"]) == ("online", "")
    assert worker["uptime_seconds"] <= server["uptime_seconds"]


def test_a_restart_goes_on_with_others_while_some_wait_for_what_they_depend_on(pypm: RealPypm) -> None:
    pypm.write("flag", "")
    pypm.start(model(), sleeper("worker", depends_on=["model"]), sleeper("z"))
    (pypm.folder / "flag").unlink()
    pypm.ok("restart", "model", "worker", "z", "--parallel", "1", "--no-wait")
    pypm.wait_row("worker", lambda row: row["awaited"] == "waits for model to be ready")
    pypm.wait_row("z", lambda row: row["status"] == "online" and row["restarts"] == 1)
    assert pypm.row("worker")["awaited"] == "waits for model to be ready"


def test_what_does_not_depend_on_each_other_starts_meanwhile(pypm: RealPypm) -> None:
    pypm.begin(model(), sleeper("other"), sleeper("worker", depends_on="model"))
    pypm.wait_status("other", "online")
    assert pypm.row("worker")["status"] == "starting"


def test_all_instances_of_a_dependency_count(pypm: RealPypm) -> None:
    script = READY_ON_FLAG.replace("'flag'", "'flag' + os.environ['PYPM_INSTANCE']")
    pypm.begin(
        python("pool", script, wait_ready=True, instances=2), sleeper("worker", depends_on={"pool": "ready"})
    )
    pypm.wait_row("worker", lambda row: row["awaited"] == "waits for pool to be ready")
    pypm.write("flag1", "")
    pypm.wait_row("worker", lambda row: row["awaited"] == "waits for pool:0 to be ready")
    pypm.write("flag0", "")
    pypm.wait_status("worker", "online")


def test_a_completed_migration_comes_first_and_is_not_run_again(pypm: RealPypm) -> None:
    migration = python(
        "migrate",
        "import os, time\nprint('migrated')\nwhile not os.path.exists('done'): time.sleep(0.02)\n",
        autorestart="on-failure",
    )
    pypm.begin(sleeper("worker", depends_on={"migrate": "completed"}), migration)
    pypm.wait_row("worker", lambda row: row["awaited"] == "waits for migrate to complete")
    pypm.write("done", "")
    pypm.wait_status("worker", "online")
    assert pypm.row("migrate")["status"] == "exited"
    pypm.ok("restart", "worker")
    pypm.ok("stop", "worker")
    pypm.ok("start", "worker")
    assert pypm.log("migrate") == b"migrated\n"


def test_a_dependency_that_is_given_up_holds_its_dependents_until_it_is_there(pypm: RealPypm) -> None:
    server = python(
        "model",
        "import os, time\nfrom pypm import agent\n"
        "if not os.path.exists('flag'): raise SystemExit('no GPU')\nagent.ready()\ntime.sleep(1000)\n",
        wait_ready=True,
        max_restarts=0,
    )
    chain = (sleeper("worker", depends_on=["model"]), sleeper("reporter", depends_on=["worker"]))
    done = pypm.run("start", pypm.ecosystem(*chain, server))
    assert done.returncode == 1
    assert "worker is held: model is errored (exit code 1; max_restarts is 0)" in done.stderr
    row = pypm.wait_status("worker", "held")
    assert "model is errored" in row["reason"]
    assert row["last_exit"]["cause"] == "dependency"
    assert "worker is held" in pypm.wait_status("reporter", "held")["reason"]
    pypm.write("flag", "")
    pypm.ok("start", "model")
    pypm.wait_status("worker", "online")
    pypm.wait_status("reporter", "online")


def test_start_ends_where_the_rest_waits_for_what_has_failed(pypm: RealPypm) -> None:
    """It is tried again and again, for minutes; a person is told at once."""
    delays = {"exp_backoff_restart_delay": "300s", "max_backoff": "300s"}
    broken = shell("broken", "echo no key >&2; exit 1", wait_ready=True, **delays)
    file = pypm.ecosystem(broken, sleeper("a", depends_on=["broken"]), sleeper("b", depends_on=["a"]))
    result = pypm.run("start", file)
    assert result.returncode == 1
    assert "pypm: broken is backoff: exit code 1 (again in" in result.stderr
    assert "  | no key" in result.stderr
    why = "waits for broken to be ready (it is in backoff: exit code 1)"
    assert f"pypm: a is starting: {why}" in result.stderr
    assert "pypm: b is starting: waits for a to be ready" in result.stderr
    assert pypm.row("a")["status"] == "starting", "it goes on waiting"


def test_a_failure_is_told_where_it_is_on_its_way_again_by_then(pypm: RealPypm) -> None:
    """The broken one has a short run behind it, and a long young one, when the slow one is ready."""
    script = "test -e second || { touch second; echo no key >&2; exit 1; }; sleep 4455"
    broken = shell("broken", script, restart_delay="3s", min_uptime="1h", autostart=False)
    pypm.begin(broken, python("slow", READY_ON_FLAG, wait_ready=True, autostart=False))
    with pypm.popen("start", "all", text=True) as start:
        pypm.wait_row("broken", lambda row: row["status"] == "online" and row["restarts"] == 1)
        pypm.write("flag", "")
        _, errors = start.communicate()
    assert start.returncode == 1
    assert "pypm: broken is backoff: exit code 1" in errors
    assert "  | no key" in errors


def test_start_of_a_dependent_starts_what_it_needs(pypm: RealPypm) -> None:
    pypm.start(sleeper("base", autostart=False), sleeper("model", depends_on=["base"]), sleeper("other"))
    assert pypm.row("base")["status"] == "online", "somebody who starts needs it"
    pypm.ok("stop", "all")
    change = pypm.json("start", "model")
    assert [(each["name"], each["action"]) for each in change["instances"]] == [
        ("base", "started"),
        ("model", "started"),
    ]
    assert pypm.row("base")["status"] == "online"
    assert pypm.row("other")["status"] == "stopped"


def test_only_takes_the_dependencies_along(pypm: RealPypm) -> None:
    file = pypm.ecosystem(sleeper("a"), sleeper("b", depends_on=["a"]), sleeper("c"))
    pypm.ok("start", file, "--only", "b")
    assert {row["name"]: row["status"] for row in pypm.json("list")} == {"a": "online", "b": "online"}


def test_nobody_who_runs_is_disturbed_by_a_dependency_that_fails(pypm: RealPypm) -> None:
    pypm.start(sleeper("model", restart_delay=0), sleeper("worker", depends_on=["model"]))
    before = pypm.row("worker")["pid"]
    os.kill(pypm.row("model")["pid"], signal.SIGKILL)
    pypm.wait_row("model", lambda row: row["restarts"] == 1 and row["status"] == "online")
    pypm.ok("restart", "model")
    pypm.ok("stop", "model")
    row = pypm.row("worker")
    assert (row["pid"], row["restarts"], row["status"]) == (before, 0, "online")


def test_dependents_stop_first(pypm: RealPypm) -> None:
    pypm.start(sleeper("model"), python("worker", SLOW_END, depends_on=["model"], kill_timeout="60s"))
    wait_until(lambda: pypm.log("worker") == b"up\n", 20.0)
    server = pypm.row("model")["pid"]
    with pypm.popen("stop", "all") as stop:
        row = pypm.wait_row("model", lambda row: row["awaited"] == "waits for worker to stop")
        assert (row["status"], row["pid"]) == ("stopping", server)
        assert pypm.row("worker")["awaited"].startswith("SIGTERM sent, SIGKILL in ")
        wait_until(lambda: b"asked to end" in pypm.log("worker"), 20.0)
        os.kill(server, 0)
        pypm.write("may-end", "")
        stop.communicate(timeout=30)
    assert [row["status"] for row in pypm.json("list")] == ["stopped", "stopped"]


def test_the_end_of_everything_has_the_order_too(pypm: RealPypm) -> None:
    writes_end = (
        "import os, signal, time\n"
        "def end(*_):\n"
        "    with open('ends', 'a') as file: file.write(os.environ['PYPM_NAME'] + ' ')\n"
        "    raise SystemExit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\ntime.sleep(1000)\n"
    )
    pypm.start(
        python("a", writes_end),
        python("b", writes_end, depends_on=["a"]),
        python("c", writes_end, depends_on=["a", "b"]),
    )
    wait_until(lambda: all(pypm.log(name) == b"up\n" for name in "abc"), 20.0)
    pypm.ok("kill")
    assert (pypm.folder / "ends").read_text() == "c b a "


def test_waiting_goes_on_under_a_new_master(pypm: RealPypm) -> None:
    """Both kinds: a start that waits for a dependency, and a stop that waits for a dependent."""
    pypm.begin(
        model(),
        sleeper("worker", depends_on=["model"]),
        sleeper("base"),
        python("user", SLOW_END, depends_on=["base"], kill_timeout="60s"),
    )
    wait_until(lambda: pypm.log("user") == b"up\n", 20.0)
    pypm.wait_row("worker", lambda row: row["awaited"] == "waits for model to be ready")
    pypm.ok("stop", "base", "user", "--no-wait")
    pypm.wait_row("base", lambda row: row["awaited"] == "waits for user to stop")
    master = pypm.json("ping")["master_pid"]
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: pypm.json("ping")["master_pid"] != master, 20.0)
    assert pypm.row("worker")["awaited"] == "waits for model to be ready"
    assert pypm.row("base")["awaited"] == "waits for user to stop"
    pypm.write("flag", "")
    pypm.write("may-end", "")
    pypm.wait_status("worker", "online")
    pypm.wait_status("base", "stopped")


def test_what_waits_goes_by_what_it_depends_on_now(pypm: RealPypm) -> None:
    pypm.begin(model(), sleeper("worker", depends_on=["model"]))
    pypm.wait_row("worker", lambda row: row["awaited"] == "waits for model to be ready")
    pypm.begin(model(), sleeper("worker"))
    pypm.wait_status("worker", "online")
    assert pypm.row("model")["status"] == "starting"


def test_the_foreground_ends_when_only_what_waits_in_vain_is_left(pypm: RealPypm) -> None:
    server = python("model", "raise SystemExit(7)", wait_ready=True, max_restarts=0)
    done = pypm.run("start", pypm.ecosystem(sleeper("worker", depends_on=["model"]), server), "--foreground")
    assert done.returncode == 7
    assert "worker is held: model is errored" in done.stderr


def test_what_cannot_be_is_refused_with_its_reason(pypm: RealPypm) -> None:
    circle = [sleeper("a", depends_on=["b"]), sleeper("b", depends_on=["c"]), sleeper("c", depends_on=["a"])]
    assert "in a circle: a -> b -> c -> a" in pypm.fails(1, "start", pypm.ecosystem(*circle))
    unknown = [sleeper("model-server"), sleeper("b", depends_on=["model-sever"])]
    error = pypm.fails(1, "start", pypm.ecosystem(*unknown))
    assert 'there is no app "model-sever"; did you mean "model-server"?' in error
    endless = [sleeper("a"), sleeper("b", depends_on={"a": "completed"})]
    assert "it never completes" in pypm.fails(1, "start", pypm.ecosystem(*endless))
    pypm.start(sleeper("a"))
    pypm.ok("start", pypm.ecosystem(sleeper("b", depends_on=["a"])))
    back = pypm.ecosystem(sleeper("a", depends_on=["b"]))
    assert "in a circle: a -> b -> a" in pypm.fails(2, "start", back)
