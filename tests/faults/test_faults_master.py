"""Guardian and master are killed, stopped, broken and replaced: the agents do not notice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from real_pypm import RealPypm, lives, shell, sleeper

import pypm as package
from pypm.master.adoption import UNSAVED
from pypm.system.home import Home
from pypm.system.lock import HomeLock
from pypm.testing import wait_until

COUNTER = "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.05; done"


def numbers(pypm: RealPypm, name: str) -> list[int]:
    """What a counter has printed, as its log has it."""
    return [int(line) for line in pypm.log(name).split()]


def goes_on(pypm: RealPypm, name: str) -> None:
    """A counter's log grows, and has every number once and in order."""
    seen = len(numbers(pypm, name))
    wait_until(lambda: len(numbers(pypm, name)) > seen + 3, 20.0, f"more lines of {name}")
    found = numbers(pypm, name)
    assert found == list(range(1, len(found) + 1))


# --- the guardian's death ---


def test_a_master_takes_the_place_of_its_dead_guardian(pypm: RealPypm) -> None:
    pypm.start(shell("a", COUNTER), sleeper("b"))
    agents, master, guardian = [row["pid"] for row in pypm.rows()], pypm.master_pid(), pypm.guardian_pid()
    os.kill(guardian, signal.SIGKILL)
    wait_until(lambda: pypm.master_pid() != master, 20.0, "another master")
    assert pypm.guardian_pid() == master == pypm.lock_holder()
    assert [row["pid"] for row in pypm.rows()] == agents
    goes_on(pypm, "a")
    os.kill(agents[1], signal.SIGKILL)
    row = pypm.wait_row("b", lambda row: row["restarts"] == 1 and row["status"] == "online")
    assert row["last_exit"]["signal"] == "SIGKILL", "the new guardian reaps and tells"
    assert pypm.row("a")["restarts"] == 0


def test_guardians_are_killed_in_a_row(pypm: RealPypm) -> None:
    pypm.start(shell("a", COUNTER))
    agent = pypm.pid("a")
    for _ in range(3):
        master = pypm.master_pid()
        os.kill(pypm.guardian_pid(), signal.SIGKILL)
        wait_until(lambda master=master: pypm.master_pid() != master, 20.0, "another master")
        assert pypm.guardian_pid() == master
    goes_on(pypm, "a")
    assert pypm.pid("a") == agent
    pypm.ok("kill")
    assert not lives(agent)


def test_guardian_and_master_die_together(pypm: RealPypm) -> None:
    """Quiet agents and those that ignore SIGPIPE live and are adopted; who died of it is started once."""
    pypm.start(sleeper("quiet"), shell("deaf", f"trap '' PIPE; {COUNTER}"), shell("loud", COUNTER))
    old = {row["name"]: row["pid"] for row in pypm.rows()}
    pypm.kill_both()
    wait_until(lambda: not lives(old["loud"]), what="the end of what prints into a broken pipe")
    assert lives(old["quiet"])
    assert lives(old["deaf"])
    pypm.ok("list")
    loud = pypm.wait_row("loud", lambda row: row["status"] == "online" and row["pid"] != old["loud"])
    assert loud["restarts"] == 1
    assert "exit status is unknown" in loud["last_exit"]["reason"]
    for name in ("quiet", "deaf"):
        row = pypm.row(name)
        assert (row["pid"], row["restarts"], row["status"]) == (old[name], 0, "online")
    seen = len(numbers(pypm, "deaf"))
    wait_until(lambda: len(numbers(pypm, "deaf")) > seen, 20.0, "its log goes on")
    found = numbers(pypm, "deaf")
    assert found == sorted(set(found)), "what it printed meanwhile is lost; nothing is there twice"
    pypm.ok("stop", "all")
    assert not any(map(lives, old.values()))


def test_what_runs_while_the_state_was_lost_is_told(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    agent = pypm.pid("a")
    pypm.wait_row("a", lambda row: row["uptime_seconds"] > UNSAVED + 1)
    pypm.kill_both()
    for name in ("state.json", "state.json.bak"):
        (pypm.home / "state" / name).unlink(missing_ok=True)
    assert pypm.json("list") == []
    lines = map(json.loads, pypm.ok("events", "--json").splitlines())
    told = [(each["app"], each["pid"]) for each in lines if each["event"] == "run.unsupervised"]
    assert told == [("a", agent)]
    assert f"a, pid {agent}, still runs, and the state is lost" in pypm.master_log()
    assert lives(agent)
    os.kill(agent, signal.SIGKILL)


def is_connected(pid: int) -> bool:
    """Whether a process has a socket."""
    with suppress(FileNotFoundError):  # one of the descriptors has just been closed
        links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        return any(link.startswith("socket:") for link in links)
    return False


def test_who_waits_goes_on_after_both_are_killed(pypm: RealPypm) -> None:
    pypm.start(sleeper("a"))
    agent = pypm.pid("a")
    waiting = pypm.popen("wait", "a", "--for", "exited", "--timeout", "60")
    wait_until(lambda: is_connected(waiting.pid), 20.0, "the connection of what waits")
    pypm.kill_both()
    wait_until(lambda: pypm.run("ping").returncode == 0, 20.0, "a master that what waits has started")
    assert (pypm.pid("a"), pypm.row("a")["restarts"]) == (agent, 0)
    assert waiting.poll() is None
    pypm.ok("stop", "a")
    said, notes = waiting.communicate(timeout=60)
    assert (waiting.returncode, said) == (0, b"exited: a\n")
    assert notes.startswith(b"pypm: the last master and its guardian were killed")


@pytest.mark.parametrize("words", [("pid", "a"), ("wait", "a"), ("signal", "CONT", "a"), ("kill",)], ids=str)
def test_every_order_after_both_were_killed_is_for_what_lives(pypm: RealPypm, words: tuple[str, ...]) -> None:
    pypm.start(sleeper("a"))
    agent = pypm.pid("a")
    pypm.kill_both()
    pypm.ok(*words)
    if words == ("kill",):
        assert not lives(agent)
        pypm.fails(4, "pid", "a")
        pypm.fails(4, "wait", "a")
    else:
        assert (pypm.pid("a"), pypm.row("a")["restarts"]) == (agent, 0)


# --- masters that hang or cannot begin ---


def test_a_master_that_hangs_is_replaced(pypm: RealPypm) -> None:
    pypm.start(shell("a", COUNTER))
    agent, master = pypm.pid("a"), pypm.master_pid()
    os.kill(master, signal.SIGSTOP)
    wait_until(lambda: not lives(master), 40.0, "the end of the master that does not answer")
    assert pypm.pid("a") == agent
    goes_on(pypm, "a")
    assert f"the master {master} does not answer" in pypm.master_log()


@pytest.fixture
def installed(pypm: RealPypm, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation of pypm of which the test may change the files; the commands and masters use it."""
    folder = pypm.home / "installed"
    shutil.copytree(
        os.path.dirname(package.__file__), folder / "pypm", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return folder / "pypm"


def set_version(installed: Path, version: str) -> None:
    path = installed / "__init__.py"
    path.write_text(path.read_text().replace(f'"{package.__version__}"', f'"{version}"'))


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_guardian_and_master_are_stopped_together_and_go_on(pypm: RealPypm, installed: Path) -> None:
    """As in a frozen container: when it is thawed nobody is killed for having been silent."""
    change(installed / "guardian" / "child.py", "SILENCE = 10.0", "SILENCE = 4.0")
    change(installed / "master" / "link.py", "BEAT = 2.0", "BEAT = 0.2")
    pypm.start(shell("a", COUNTER))
    agent, master, guardian = pypm.pid("a"), pypm.master_pid(), pypm.guardian_pid()
    for pid in (guardian, master):
        os.kill(pid, signal.SIGSTOP)
    thaw = time.monotonic() + 8.0
    wait_until(lambda: time.monotonic() >= thaw, what="a stop that is longer than the silence that is borne")
    for pid in (guardian, master):
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: "stood still" in pypm.master_log())
    goes_on(pypm, "a")
    assert "does not answer" not in pypm.master_log()
    assert (pypm.master_pid(), pypm.guardian_pid(), pypm.pid("a")) == (master, guardian, agent)
    os.kill(master, signal.SIGSTOP)
    wait_until(lambda: not lives(master), 20.0, "the end of the master that is stopped alone")
    assert pypm.pid("a") == agent


def test_masters_that_cannot_be_loaded_are_tried_again_later_and_later(
    pypm: RealPypm, installed: Path
) -> None:
    pypm.start(shell("a", COUNTER))
    agent = pypm.pid("a")
    main = installed / "master" / "main.py"
    good = main.read_text()
    main.write_text("raise ImportError('half installed')\n")
    pypm.kill_master()
    wait_until(lambda: "4 masters ended soon; the next one starts in 0.4 s" in pypm.master_log(), 30.0)
    assert lives(agent)
    main.write_text(good)
    assert pypm.pid("a") == agent, "the command has waited for a master"
    goes_on(pypm, "a")
    assert pypm.row("a")["restarts"] == 0


# --- updates ---


def test_an_update_touches_no_agent(pypm: RealPypm, installed: Path) -> None:
    pypm.start(shell("a", COUNTER))
    before, guardian, [detail] = pypm.call("ping"), pypm.guardian_pid(), pypm.json("describe", "a")
    set_version(installed, "9.9.9")
    after = pypm.json("update")
    assert after["version"] == "9.9.9" != before["version"]
    assert after["master_pid"] != before["master_pid"]
    assert pypm.guardian_pid() == guardian
    wait_until(lambda: not lives(before["master_pid"]), what="the old master has left")
    [adopted] = pypm.json("describe", "a")
    for name in ("pid", "run_id", "started_at", "restarts"):
        assert adopted[name] == detail[name]
    goes_on(pypm, "a")


APPENDED = """
async def serve(self, listener):
    await asyncio.sleep(0.5)
    raise RuntimeError('half installed')

"""
BROKEN = {
    "cannot be loaded": ("main.py", "raise ImportError('half installed')\n"),
    "cannot begin": (
        "recovery.py",
        "def read_state(path):\n    raise RuntimeError('half installed')\n",
    ),
    "cannot serve": ("server.py", APPENDED + "Server.listen = serve\n"),
}


@pytest.mark.parametrize(("file", "text"), BROKEN.values(), ids=BROKEN.keys())
def test_an_update_to_what_does_not_work_is_taken_back(
    pypm: RealPypm, installed: Path, file: str, text: str
) -> None:
    pypm.start(shell("a", COUNTER))
    agent, before = pypm.pid("a"), pypm.call("ping")
    path = installed / "master" / file
    good = path.read_text()
    path.write_text(good + text if text.startswith(APPENDED) else text)
    stderr = pypm.fails(1, "update")
    assert "the update failed: the new master ended with exit code 1" in stderr
    assert pypm.call("ping")["master_pid"] == before["master_pid"]
    assert (pypm.pid("a"), pypm.row("a")["restarts"]) == (agent, 0)
    goes_on(pypm, "a")
    path.write_text(good)
    pypm.ok("update")
    assert pypm.pid("a") == agent
    assert pypm.master_pid() != before["master_pid"]


def test_two_updates_at_once(pypm: RealPypm, installed: Path) -> None:
    pypm.start(shell("a", COUNTER))
    agent, guardian = pypm.pid("a"), pypm.guardian_pid()
    set_version(installed, "9.9.9")
    commands = [pypm.popen("update") for _ in range(2)]
    said = [command.communicate(timeout=60)[1] for command in commands]
    codes = [command.returncode for command in commands]
    assert 0 in codes, said
    assert all(code == 0 or b"an update is under way" in text for code, text in zip(codes, said, strict=True))
    assert pypm.call("ping")["version"] == "9.9.9"
    assert (pypm.pid("a"), pypm.guardian_pid()) == (agent, guardian)
    goes_on(pypm, "a")


def test_an_update_after_the_guardians_death_and_a_death_after_the_update(
    pypm: RealPypm, installed: Path
) -> None:
    pypm.start(shell("a", COUNTER))
    agent, master = pypm.pid("a"), pypm.master_pid()
    os.kill(pypm.guardian_pid(), signal.SIGKILL)
    wait_until(lambda: pypm.master_pid() != master, 20.0, "another master")
    set_version(installed, "9.9.9")
    assert pypm.json("update")["version"] == "9.9.9"
    pypm.kill_master()
    assert pypm.call("ping")["version"] == "9.9.9"
    assert pypm.pid("a") == agent
    goes_on(pypm, "a")


# --- the guardian's own program ---


def change_guardian(installed: Path, old: str, new: str, file: str = "journal.py") -> None:
    path = installed / "guardian" / file
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def stay_open_on_exec(pid: int) -> list[str]:
    """What of a process's open files a program that it executes would have too."""
    folder = Path(f"/proc/{pid}/fdinfo")
    flags = {file.name: int(file.read_text().split("flags:")[1].split()[0], 8) for file in folder.iterdir()}
    return sorted(name for name, value in flags.items() if not value & os.O_CLOEXEC)


def test_an_update_replaces_the_guardians_program_in_its_place(pypm: RealPypm, installed: Path) -> None:
    pypm.start(shell("a", COUNTER), sleeper("b"), shell("c", "sleep 1000; exit 7", autorestart=False))
    guardian, agents = pypm.guardian_pid(), {row["name"]: row["pid"] for row in pypm.rows()}
    open_on_exec = stay_open_on_exec(guardian)
    change_guardian(installed, "WARNING guardian", "WARNING newer guardian")
    pypm.ok("update")
    wait_until(
        lambda: f"newer guardian {guardian}: the guardian goes on with its new program" in pypm.master_log()
    )
    assert pypm.guardian_pid() == guardian == pypm.lock_holder()
    assert stay_open_on_exec(guardian) == open_on_exec
    assert {row["name"]: row["pid"] for row in pypm.rows()} == agents
    os.kill(agents["b"], signal.SIGKILL)
    row = pypm.wait_row("b", lambda row: row["restarts"] == 1 and row["status"] == "online")
    assert row["last_exit"]["signal"] == "SIGKILL", "the new program reaps and tells"
    pypm.kill_master()
    assert pypm.guardian_pid() == guardian
    for name in ("a", "c"):
        assert (pypm.pid(name), pypm.row(name)["restarts"]) == (agents[name], 0)
    goes_on(pypm, "a")
    [child] = with_parent(agents["c"])
    os.kill(child, signal.SIGKILL)
    assert pypm.wait_status("c", "errored", "exited")["last_exit"]["code"] == 7
    pypm.ok("kill")
    wait_until(lambda: not lives(guardian), what="the end of the guardian")


def with_parent(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_a_guardians_program_that_is_no_good_is_not_used(pypm: RealPypm, installed: Path) -> None:
    pypm.start(shell("a", COUNTER))
    guardian, agent = pypm.guardian_pid(), pypm.pid("a")
    good = (installed / "guardian" / "__main__.py").read_text()
    bad = "    raise ImportError('half')\n"
    change_guardian(installed, '    if arguments[0] == "--check":\n', bad + "    if True:\n", "__main__.py")
    pypm.ok("update")
    wait_until(lambda: "the guardian's new program is not used" in pypm.master_log())
    assert "ImportError: half" in pypm.master_log()
    pypm.kill_master()
    assert (pypm.guardian_pid(), pypm.pid("a")) == (guardian, agent)
    goes_on(pypm, "a")
    (installed / "guardian" / "__main__.py").write_text(good + "# mended\n")
    pypm.ok("update")
    wait_until(lambda: "the guardian goes on with its new program" in pypm.master_log())
    assert (pypm.guardian_pid(), pypm.pid("a")) == (guardian, agent)
    goes_on(pypm, "a")


def test_an_update_without_a_change_of_the_guardian_leaves_it(pypm: RealPypm, installed: Path) -> None:
    pypm.start(sleeper("a"))
    started = Path(f"/proc/{pypm.guardian_pid()}/cmdline").read_bytes()
    log = installed / "master" / "log.py"
    log.write_text(log.read_text() + "# newer\n")
    pypm.ok("update")
    pypm.ok("update")
    assert Path(f"/proc/{pypm.guardian_pid()}/cmdline").read_bytes() == started
    assert "new program" not in pypm.master_log()


def test_a_master_that_became_the_guardian_keeps_its_lock_with_its_new_program(
    pypm: RealPypm, installed: Path
) -> None:
    pypm.start(shell("a", COUNTER))
    agent, master = pypm.pid("a"), pypm.master_pid()
    os.kill(pypm.guardian_pid(), signal.SIGKILL)
    wait_until(lambda: pypm.guardian_pid() == master, 20.0, "another guardian")
    for once, twice in (("guardian", "newer guardian"), ("newer guardian", "newest guardian")):
        change_guardian(installed, f"WARNING {once}", f"WARNING {twice}")
        pypm.ok("update")
        said = f"{twice} {master}: the guardian goes on with its new program"
        wait_until(lambda said=said: said in pypm.master_log())
    assert HomeLock(Home(str(pypm.home)).succession_file).acquire() is None
    assert (pypm.guardian_pid(), pypm.pid("a")) == (master, agent)
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: pypm.guardian_pid() != master, 20.0, "the next guardian")
    assert pypm.pid("a") == agent
    goes_on(pypm, "a")
