"""pypm.agent against a real ROUTER: what it sends, and that nothing about it can disturb a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from agent_router import DEADLINE, TOKEN, Master

from pypm import agent
from pypm.agent.channel import Channel
from pypm.agent.zeromq import QUEUE_LENGTH, ZeroMQ


class TestWhatIsSent:
    def test_every_message_has_version_token_type_pid_and_time(
        self, master: Master, channel: Channel
    ) -> None:
        before = time.time()
        agent.ready()
        message = master.receive()
        assert message.pop("time") == pytest.approx(before, abs=DEADLINE)
        assert message == {"v": 1, "token": TOKEN, "type": "ready", "pid": os.getpid()}

    def test_nothing_is_claimed_that_was_not_said(self, master: Master, channel: Channel) -> None:
        agent.heartbeat()
        assert master.receive().keys() == {"v", "token", "type", "pid", "time"}

    def test_status_carries_its_text(self, master: Master, channel: Channel) -> None:
        agent.status("Frage 3 von 12 … 日本")
        message = master.receive()
        assert (message["type"], message["text"]) == ("status", "Frage 3 von 12 … 日本")

    def test_heartbeats_repeat_what_was_said(self, master: Master, channel: Channel) -> None:
        agent.ready()
        agent.status("first")
        agent.status("second")
        agent.heartbeat()
        agent.stopping()
        messages = [master.receive() for _ in range(5)]
        types = [message["type"] for message in messages]
        assert types == ["ready", "status", "status", "heartbeat", "stopping"]
        assert (messages[3]["ready"], messages[3]["status"]) == (True, "second")
        assert messages[4].keys() == {"v", "token", "type", "pid", "time"}

    def test_an_empty_status_clears_the_old_one(self, master: Master, channel: Channel) -> None:
        agent.status("busy")
        agent.status("")
        assert [master.receive()["text"] for _ in range(2)] == ["busy", ""]

    def test_a_long_status_is_cut(self, master: Master, channel: Channel) -> None:
        agent.status("x" * 1_000_000)
        assert master.receive()["text"] == "x" * 200

    def test_a_busy_loop_sends_few_heartbeats(self, master: Master, channel: Channel) -> None:
        begin = time.monotonic()
        for _ in range(5000):
            agent.heartbeat()
        allowed = (time.monotonic() - begin) / ZeroMQ.interval + 1
        agent.stopping()
        count = 0
        while master.receive()["type"] == "heartbeat":
            count += 1
        assert 1 <= count <= allowed


class TestNeverDisturbs:
    @pytest.mark.parametrize("text", [None, 7, object(), "\ud800 lone", "nul\0", b"bytes"])
    def test_any_status_is_swallowed(self, master: Master, channel: Channel, text: object) -> None:
        agent.status(text)  # type: ignore[arg-type]
        agent.stopping()
        assert master.receive_until(lambda message: message["type"] == "stopping")

    def test_a_status_that_cannot_be_printed(self, master: Master, channel: Channel) -> None:
        class Unprintable:
            def __str__(self) -> str:
                raise RuntimeError("no")

        agent.status(Unprintable())  # type: ignore[arg-type]
        agent.ready()
        assert master.receive()["type"] == "ready"

    @pytest.mark.parametrize(
        "endpoint",
        [
            "",
            "nonsense",
            "ipc://",
            "ipc:///" + "x" * 300,
            "tcp://",
            "quic://localhost:1",
            "tcp://127.0.0.1:-5",
        ],
    )
    def test_a_bad_endpoint_is_not_enabled_and_harmless(
        self, monkeypatch: pytest.MonkeyPatch, endpoint: str
    ) -> None:
        monkeypatch.setenv("PYPM_AGENT_ENDPOINT", endpoint)
        monkeypatch.setenv("PYPM_AGENT_TOKEN", TOKEN)
        monkeypatch.setattr(agent, "_channel", Channel())
        agent.ready()
        agent.heartbeat()
        agent.status("x")
        agent.stopping()
        assert agent.enabled() is False

    @pytest.mark.parametrize("missing", ["PYPM_AGENT_ENDPOINT", "PYPM_AGENT_TOKEN"])
    def test_without_its_variables_it_is_silent(
        self, master: Master, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        monkeypatch.setenv("PYPM_AGENT_ENDPOINT", master.endpoint)
        monkeypatch.setenv("PYPM_AGENT_TOKEN", TOKEN)
        monkeypatch.delenv(missing)
        monkeypatch.setattr(agent, "_channel", Channel())
        agent.ready()
        assert agent.enabled() is False
        assert master.router is not None
        assert not master.router.poll(0)

    def test_enabled_where_it_can_speak(self, channel: Channel) -> None:
        assert agent.enabled() is True

    def test_after_close_it_is_silent(self, master: Master, channel: Channel) -> None:
        agent.ready()
        assert master.receive()["type"] == "ready"
        channel.close()
        agent.ready()
        agent.status("x")
        channel.close()
        assert agent.enabled() is False

    def test_without_pyzmq(self, master: Master) -> None:
        done = master.run(
            "import sys; sys.modules['zmq'] = None\n"
            "from pypm import agent\n"
            "agent.ready(); agent.heartbeat(); agent.status('x'); agent.stopping()\n"
            "print(agent.enabled())"
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")

    def test_importing_it_imports_neither_pyzmq_nor_the_rest_of_pypm(self) -> None:
        program = "import sys, pypm.agent; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        names = done.stdout.split()
        assert "pypm.agent.channel" in names
        assert {name.split(".")[1] for name in names if name.startswith("pypm.")} == {"agent"}
        heavy = {"zmq", "asyncio", "socket", "http", "hashlib", "logging", "dataclasses", "psutil", "msgspec"}
        assert not heavy & {name.split(".")[0] for name in names}

    def test_a_signal_handler_may_speak_during_the_first_import(self, master: Master) -> None:
        """The handler runs in the very thread that holds the lock, while pyzmq is half imported."""
        done = master.run(
            "import builtins, os, signal\n"
            "from pypm import agent\n"
            "signal.signal(signal.SIGTERM, lambda *_: agent.stopping())\n"
            "real = builtins.__import__\n"
            "def interrupted(name, *rest, **named):\n"
            "    if name == 'zmq.error':\n"
            "        builtins.__import__ = real\n"
            "        os.kill(os.getpid(), signal.SIGTERM)\n"
            "    return real(name, *rest, **named)\n"
            "builtins.__import__ = interrupted\n"
            "agent.ready()\n"
            "assert builtins.__import__ is real, 'the import was not interrupted'"
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert {master.receive()["type"] for _ in range(2)} == {"ready", "stopping"}


class TestWithoutMaster:
    def test_a_full_queue_drops_and_does_not_block(self, master: Master, channel: Channel) -> None:
        master.stop()
        for number in range(QUEUE_LENGTH * 3):
            agent.status(f"number {number}")
        agent.ready()
        master.start()
        numbers = [master.receive()["text"] for _ in range(QUEUE_LENGTH)]
        assert numbers == [f"number {number}" for number in range(QUEUE_LENGTH)]
        agent.heartbeat()
        assert master.receive()["type"] == "ready", "what is said once in a life is not dropped"
        message = master.receive()  # and what was dropped is repeated
        assert (message["ready"], message["status"]) == (True, f"number {QUEUE_LENGTH * 3 - 1}")

    def test_a_new_master_is_told_again(self, master: Master, channel: Channel) -> None:
        agent.ready()
        agent.status("deep in thought")
        assert [master.receive()["type"] for _ in range(2)] == ["ready", "status"]
        master.stop()
        master.start()
        agent.heartbeat()
        message = master.receive()
        assert (message["type"], message["ready"], message["status"]) == (
            "heartbeat",
            True,
            "deep in thought",
        )

    def test_what_is_said_before_the_master_listens_arrives(self, master: Master, channel: Channel) -> None:
        master.stop()
        agent.ready()
        master.start()
        assert master.receive()["type"] == "ready"

    def test_an_exit_does_not_hang_on_unsent_messages(self, master: Master) -> None:
        master.stop()
        done = master.run("from pypm import agent; agent.ready(); agent.status('x'); agent.stopping()")
        assert (done.returncode, done.stderr) == (0, "")


class TestExit:
    @pytest.mark.parametrize("ending", ["", "raise SystemExit(3)", "raise ValueError('x')"])
    def test_a_message_just_before_the_exit_arrives(self, master: Master, ending: str) -> None:
        for _ in range(5):
            master.run(f"from pypm import agent; agent.ready()\n{ending}")
            assert master.receive()["type"] == "ready"

    def test_words_said_by_exit_handlers_arrive(self, master: Master) -> None:
        done = master.run("import atexit\nfrom pypm import agent\natexit.register(agent.stopping)")
        assert done.stderr == ""
        assert master.receive()["type"] == "stopping"

    def test_a_daemon_thread_that_speaks_on_does_no_harm(self, master: Master) -> None:
        done = master.run(
            "import threading\n"
            "from pypm import agent\n"
            "def speak():\n"
            "    while True: agent.status('on and on')\n"
            "threading.Thread(target=speak, daemon=True).start()\n"
            "agent.ready()"
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_an_agent_ended_by_sigterm_in_the_middle(self, master: Master) -> None:
        program = (
            "import signal, sys\n"
            "from pypm import agent\n"
            "def end(*_):\n"
            "    agent.stopping()\n"
            "    sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, end)\n"
            "agent.ready()\n"
            "while True: agent.status('busy')"
        )
        process = subprocess.Popen([sys.executable, "-c", program], env=master.environment())
        try:
            master.receive()
            process.send_signal(signal.SIGTERM)
            master.receive_until(lambda message: message["type"] == "stopping")
            assert process.wait(DEADLINE) == 0
        finally:
            process.kill()
            process.wait()


class TestThreadsAndForks:
    def test_many_threads(self, master: Master, channel: Channel) -> None:
        def speak(name: str) -> None:
            for number in range(50):
                agent.status(f"{name}.{number}")

        threads = [threading.Thread(target=speak, args=(f"thread{index}",)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        texts = [str(master.receive()["text"]) for _ in range(400)]
        for index in range(8):
            numbers = [int(text.split(".")[1]) for text in texts if text.startswith(f"thread{index}.")]
            assert numbers == list(range(50))

    def test_a_forked_child_speaks_for_itself(self, master: Master) -> None:
        done = master.run(
            "import os, sys\n"
            "from pypm import agent\n"
            "agent.ready()\n"
            "child = os.fork()\n"
            "agent.status('child' if child == 0 else 'parent'); agent.heartbeat()\n"
            "if child: _, status = os.waitpid(child, 0); assert status == 0, status\n"
        )
        assert (done.returncode, done.stderr) == (0, "")
        messages = [master.receive() for _ in range(5)]
        ready = next(message for message in messages if message["type"] == "ready")
        beats = {message["status"]: message for message in messages if message["type"] == "heartbeat"}
        assert beats["parent"]["pid"] == ready["pid"]
        assert beats["child"]["pid"] != ready["pid"]
        assert beats["parent"]["ready"] is True
        assert "ready" not in beats["child"], "what the parent said is not the child's to repeat"

    def test_children_of_children_while_threads_speak(self, master: Master) -> None:
        done = master.run(
            "import os, threading\n"
            "from pypm import agent\n"
            "end = threading.Event()\n"
            "def speak():\n"
            "    while not end.is_set(): agent.heartbeat()\n"
            "threads = [threading.Thread(target=speak) for _ in range(3)]\n"
            "for thread in threads: thread.start()\n"
            "for number in range(10):\n"
            "    child = os.fork()\n"
            "    if child == 0:\n"
            "        grandchild = os.fork()\n"
            '        agent.status(f\'{"child" if grandchild else "grandchild"} {number}\')\n'
            "        if grandchild: os.waitpid(grandchild, 0)\n"
            "        agent._close_at_exit(); os._exit(0)\n"
            "    assert os.waitpid(child, 0)[1] == 0\n"
            "end.set()\n"
            "agent.status('parent')\n"
        )
        assert (done.returncode, done.stderr) == (0, "")
        texts: set[object] = set()
        while not {"parent"} <= texts:
            texts.add(master.receive().get("text"))
        expected = {f"{who} {number}" for who in ("child", "grandchild") for number in range(10)}
        assert texts - {None} == expected | {"parent"}

    def test_a_multiprocessing_worker(self, master: Master, tmp_path: Path) -> None:
        program = tmp_path / "program.py"
        program.write_text(
            "import multiprocessing\n"
            "from pypm import agent\n"
            "def work(number):\n"
            "    agent.status(f'work {number}')\n"
            "    return number * 2\n"
            "if __name__ == '__main__':\n"
            "    agent.ready()\n"
            "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
            "        assert pool.map(work, range(6), chunksize=1) == [0, 2, 4, 6, 8, 10]\n"
            "        input()\n"  # the pool kills its workers at its end, with what they have not sent
        )
        with subprocess.Popen(
            [sys.executable, str(program)], env=master.environment(), stdin=subprocess.PIPE
        ) as process:
            assert master.receive()["type"] == "ready"
            assert str(master.receive()["text"]).startswith("work ")
            process.communicate(b"\n", timeout=DEADLINE)
        assert process.returncode == 0

    def test_nobody_waits_for_another_thread_that_imports_pyzmq(self, master: Master) -> None:
        """A signal handler could wait for ever, as the interrupted code may hold a lock of that import."""
        done = master.run(
            "import builtins, threading\n"
            "from pypm import agent\n"
            "inside, gate, real = threading.Event(), threading.Event(), builtins.__import__\n"
            "def slow(name, *rest, **named):\n"
            "    if name == 'zmq':\n"
            "        inside.set(); gate.wait()\n"
            "    return real(name, *rest, **named)\n"
            "builtins.__import__ = slow\n"
            "thread = threading.Thread(target=agent.ready)\n"
            "thread.start()\n"
            "inside.wait()\n"
            "agent.status('meanwhile'); agent.stopping()\n"
            "gate.set()\n"
            "thread.join()\n"
        )
        assert (done.returncode, done.stderr) == (0, "")
        types = [master.receive()["type"] for _ in range(3)]
        assert types.index("status") < types.index("stopping")
        assert sorted(str(each) for each in types) == ["ready", "status", "stopping"]

    @pytest.mark.parametrize("listens", [True, False])
    def test_all_at_once(self, master: Master, listens: bool) -> None:
        """Threads, a loop, a signal handler each millisecond and forks: nothing hangs, nothing raises."""
        if not listens:
            master.stop()
        done = master.run(
            "import asyncio, os, signal, sys, threading\n"
            "from pypm import agent\n"
            "def speak(number):\n"
            "    with agent.waiting(number % 7, 'a'), agent.task(f'task {number % 5}'):\n"
            "        agent.heartbeat(); agent.progress(number); agent.status(str(number))\n"
            "        agent.metric('m', number); agent.extend_deadline(1); agent.reset_deadline()\n"
            "signal.signal(signal.SIGALRM, lambda *_: speak(1))\n"
            "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\n"
            "end = threading.Event()\n"
            "def work():\n"
            "    while not end.is_set(): speak(2)\n"
            "threads = [threading.Thread(target=work) for _ in range(3)]\n"
            "for thread in threads: thread.start()\n"
            "async def turn():\n"
            "    async with agent.heartbeats(0.05), agent.waiting(5, 'loop'):\n"
            "        for number in range(50): speak(number); await asyncio.sleep(0)\n"
            "for number in range(8):\n"
            "    asyncio.run(turn(), debug=False)\n"
            "    child = os.fork()\n"
            "    if child == 0:\n"
            "        signal.setitimer(signal.ITIMER_REAL, 0)\n"
            "        speak(3); agent._close_at_exit(); os._exit(0)\n"
            "    assert os.waitpid(child, 0)[1] == 0\n"
            "signal.setitimer(signal.ITIMER_REAL, 0)\n"
            "end.set()\n"
            "for thread in threads: thread.join()\n"
            "agent.status('the end')\n"
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
