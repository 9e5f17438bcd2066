"""The programs in examples/, run for real, without a master."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import zmq

from pypm.testing import wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
DEADLINE = 30.0


class Program:
    """An example that runs: its output so far, its end."""

    def __init__(self, name: str, *arguments: object, env: dict[str, str] | None = None) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYPM_", "MODEL_"))}
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)],
            env={**clean, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches."""
        with self._changed:
            self._changed.wait_for(lambda: re.search(pattern, self.output) or self._ended, DEADLINE)
            found = re.search(pattern, self.output)
        assert found, f"no {pattern!r} in:\n{self.output}"
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end: the exit code, negative for a death by signal."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            return [int(pid) for pid in path.read_text().split()]
        except FileNotFoundError:
            return []

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


Run = Callable[..., Program]


@pytest.fixture
def run() -> Iterator[Run]:
    programs: list[Program] = []

    def start(name: str, *arguments: object, env: dict[str, str] | None = None) -> Program:
        programs.append(Program(name, *arguments, env=env))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


class TestModelServer:
    @staticmethod
    def start(run: Run, *arguments: object, latency: float = 0.0) -> tuple[Program, int]:
        program = run("model_server", "--port", 0, "--latency", latency, *arguments)
        return program, int(program.expect(r"listening on http://127\.0\.0\.1:(\d+)/v1")[1])

    @staticmethod
    def call(
        port: int, body: object, path: str = "/v1/chat/completions"
    ) -> tuple[int, str, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        try:
            if body is None:
                connection.request("GET", path)
            else:
                text = body if isinstance(body, str) else json.dumps(body)
                connection.request("POST", path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode(), response.headers
        finally:
            connection.close()

    @staticmethod
    def question(**more: object) -> dict[str, object]:
        return {"model": "m", "messages": [{"role": "user", "content": "Why do tides rise?"}], **more}

    def test_an_answer_in_one_piece(self, run: Run) -> None:
        _, port = self.start(run)
        status, text, headers = self.call(port, self.question())
        answer = json.loads(text)
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert (answer["object"], answer["model"]) == ("chat.completion", "m")
        (choice,) = answer["choices"]
        assert (choice["index"], choice["finish_reason"]) == (0, "stop")
        assert choice["message"]["role"] == "assistant"
        assert "tides" in choice["message"]["content"]
        usage = answer["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 20

    def test_a_streamed_answer_is_the_same_one(self, run: Run) -> None:
        _, port = self.start(run)
        whole = json.loads(self.call(port, self.question())[1])
        body = self.question(stream=True, stream_options={"include_usage": True})
        status, text, headers = self.call(port, body)
        assert (status, headers["Content-Type"]) == (200, "text/event-stream")
        events = text.split("\n\n")
        assert events[-2:] == ["data: [DONE]", ""]
        chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        assert len({chunk["id"] for chunk in chunks}) == 1
        *pieces, last = chunks
        assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
        content = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in pieces)
        assert content == whole["choices"][0]["message"]["content"]
        reasons = [chunk["choices"][0]["finish_reason"] for chunk in pieces]
        assert reasons == [None] * (len(pieces) - 1) + ["stop"]
        assert {chunk["usage"] for chunk in pieces} == {None}
        assert (last["choices"], last["usage"]) == ([], whole["usage"])

    def test_a_stream_has_no_usage_unless_asked(self, run: Run) -> None:
        _, port = self.start(run)
        assert "usage" not in self.call(port, self.question(stream=True))[1]

    def test_max_tokens_cuts(self, run: Run) -> None:
        _, port = self.start(run)
        (choice,) = json.loads(self.call(port, self.question(max_tokens=3))[1])["choices"]
        assert (len(choice["message"]["content"].split()), choice["finish_reason"]) == (3, "length")

    def test_health_and_models(self, run: Run) -> None:
        _, port = self.start(run)
        assert json.loads(self.call(port, None, "/health")[1]) == {"status": "ok"}
        models = json.loads(self.call(port, None, "/v1/models")[1])
        assert (models["object"], models["data"][0]["object"]) == ("list", "model")

    @pytest.mark.parametrize(
        "body",
        [
            "not json",
            "[]",
            "{}",
            '{"messages": []}',
            '{"messages": ["x"]}',
            '{"messages": [{}], "max_tokens": 0}',
        ],
    )
    def test_a_wrong_request_is_refused_in_the_usual_shape(self, run: Run, body: str) -> None:
        _, port = self.start(run)
        status, text, _ = self.call(port, body)
        error = json.loads(text)["error"]
        assert (status, error["type"]) == (400, "invalid_request_error")
        assert error["message"]

    def test_an_unknown_path(self, run: Run) -> None:
        _, port = self.start(run)
        assert self.call(port, None, "/nothing")[0] == self.call(port, {}, "/nothing")[0] == 404

    def test_busy_and_failing(self, run: Run) -> None:
        _, port = self.start(run, "--busy-rate", 1, "--retry-after", 1.5)
        status, text, headers = self.call(port, self.question())
        assert (status, headers["Retry-After"]) == (429, "1.5")
        assert json.loads(text)["error"]["type"] == "rate_limit_error"
        _, port = self.start(run, "--error-rate", 1)
        status, text, _ = self.call(port, self.question(stream=True))
        assert (status, json.loads(text)["error"]["type"]) == (500, "server_error")

    def test_chance_follows_from_the_seed(self, run: Run) -> None:
        def fates() -> list[int]:
            _, port = self.start(run, "--busy-rate", 0.3, "--error-rate", 0.3, "--seed", 11)
            return [self.call(port, self.question())[0] for _ in range(12)]

        first = fates()
        assert set(first) == {200, 429, 500}
        assert fates() == first

    def test_a_port_in_use(self, run: Run) -> None:
        _, port = self.start(run)
        second = run("model_server", "--port", port)
        assert second.wait() == 1
        assert f"port {port} is in use by another program" in second.output
        assert "Traceback" not in second.output

    def test_sigterm_lets_a_begun_answer_finish(self, run: Run) -> None:
        program, port = self.start(run, latency=1.0)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        connection.request("POST", "/v1/chat/completions", json.dumps(self.question(stream=True)))
        response = connection.getresponse()
        assert response.readline().startswith(b"data: ")
        program.process.send_signal(signal.SIGTERM)
        assert response.read().endswith(b"data: [DONE]\n\n")
        connection.close()
        assert program.wait() == 0
        assert program.lines[-1].endswith("ended")


class ScriptedModel:
    """A model that does what a test says: each request waits for its fate."""

    def __init__(self) -> None:
        self.asked: queue.Queue[dict[str, Any]] = queue.Queue()
        self.fates: queue.Queue[tuple[int, dict[str, str], bytes]] = queue.Queue()
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                model.asked.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                status, headers, body = model.fates.get()
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:  # the agent has been killed: as meant
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def next_question(self) -> str:
        """Wait until the agent asks; it now waits for its answer."""
        return str(self.asked.get(timeout=DEADLINE)["messages"][0]["content"])

    def answer(self, text: str, tokens: int = 10) -> None:
        chunks: list[dict[str, Any]] = [
            {"choices": [{"delta": {"content": text}}], "usage": None},
            {"choices": [], "usage": {"total_tokens": tokens}},
        ]
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
        self.fates.put((200, {}, "".join([*lines, "data: [DONE]\n\n"]).encode()))

    def refuse(self, status: int, **headers: str) -> None:
        self.fates.put((status, {name.replace("_", "-"): value for name, value in headers.items()}, b""))

    def break_off(self) -> None:
        self.fates.put((200, {}, b'data: {"choices": [{"delta": {"content": "half an ans"}}]}\n\n'))

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    model = ScriptedModel()
    yield model
    model.close()


class TestResearchAgent:
    @pytest.fixture
    def work(self, tmp_path: Path) -> Path:
        questions = tmp_path / "questions"
        questions.mkdir()
        for name in ("1-tides", "2-bees"):
            (questions / f"{name}.txt").write_text(f"What about {name[2:]}?\n")
        return tmp_path

    @staticmethod
    def start(run: Run, work: Path, url: str, env: dict[str, str] | None = None) -> Program:
        options = ("--work", work, "--questions", work / "questions", "--model-url", url, "--pause", 0)
        return run("research_agent", *options, env=env)

    @staticmethod
    def checkpoint(work: Path) -> dict[str, Any]:
        data = json.loads((work / "research" / "checkpoint.json").read_text())
        assert isinstance(data, dict)
        return data

    def test_killed_in_mid_step_it_resumes_that_step(
        self, run: Run, work: Path, model: ScriptedModel
    ) -> None:
        agent = self.start(run, work, model.url)
        agent.expect("a new beginning: 4 steps")
        for text in ("I am here", "the first answer", "the first review"):
            model.next_question()
            model.answer(text)
        assert "bees" in model.next_question()  # step 3 has been begun
        assert agent.end(signal.SIGKILL) == -signal.SIGKILL
        model.answer("an answer that nobody hears")

        agent = self.start(run, work, model.url)
        agent.expect(r"resumed at step 3 of 4 \(round 1, 20 tokens so far\)")
        assert model.next_question() == "Are you there?"
        model.answer("I am here")
        assert "bees" in model.next_question()
        model.answer("the answer about bees")
        question = model.next_question()
        assert "the answer about bees" in question, "the review is about the answer"
        model.answer("the review about bees")
        agent.expect("step 4 of 4, round 1 done")
        notes = {path.name: path.read_text() for path in (work / "research" / "notes").iterdir()}
        assert notes.keys() == {"1-tides.md", "2-bees.md"}
        assert "the first answer" in notes["1-tides.md"]
        assert "the first review" in notes["1-tides.md"]
        assert notes["2-bees.md"].index("the answer about bees") < notes["2-bees.md"].index(
            "the review about"
        )
        assert "nobody hears" not in notes["2-bees.md"]
        assert "bees" not in model.next_question(), "the second round begins with the first question"
        assert self.checkpoint(work)["tokens"] == 40
        assert (self.checkpoint(work)["round"], self.checkpoint(work)["step"]) == (2, 1)
        model.answer("so that nothing waits")

    def test_killed_between_answer_and_review_it_still_knows_the_answer(
        self, run: Run, work: Path, model: ScriptedModel
    ) -> None:
        agent = self.start(run, work, model.url)
        for text in ("I am here", "the first answer"):
            model.next_question()
            model.answer(text)
        model.next_question()
        agent.end(signal.SIGKILL)
        model.answer("unheard")
        agent = self.start(run, work, model.url)
        agent.expect("resumed at step 2 of 4")
        model.next_question()
        model.answer("I am here")
        assert "the first answer" in model.next_question()
        model.answer("a review")
        agent.expect("step 2 of 4, round 1 done")
        note = (work / "research" / "notes" / "1-tides.md").read_text()
        assert "the first answer" in note
        assert "a review" in note

    def test_sigterm_finishes_the_step(self, run: Run, work: Path, model: ScriptedModel) -> None:
        agent = self.start(run, work, model.url)
        model.next_question()
        model.answer("I am here")
        model.next_question()
        agent.process.send_signal(signal.SIGTERM)
        model.answer("an answer that is worth waiting for")
        assert agent.wait() == 0
        assert agent.lines[-2].endswith("step 1 of 4, round 1 done: 1-tides, 10 tokens so far")
        assert agent.lines[-1].endswith("ended at step 2 of 4, as asked")
        assert self.checkpoint(work)["draft"] == ["an answer that is worth waiting for"]

    def test_sigterm_while_it_waits_for_a_model(self, run: Run, work: Path) -> None:
        agent = self.start(run, work, "http://127.0.0.1:9/v1")
        agent.expect("the model cannot answer")
        assert agent.end() == 0
        assert agent.lines[-1].endswith("ended at step 1 of 4, as asked")

    def test_it_waits_as_long_as_it_is_told_and_survives_all_that_passes(
        self, run: Run, work: Path, model: ScriptedModel
    ) -> None:
        agent = self.start(run, work, model.url)
        for fate in (
            lambda: model.refuse(429, Retry_After="0.07"),
            lambda: model.refuse(503),
            model.break_off,
            lambda: model.answer("here at last"),
        ):
            model.next_question()
            fate()
        agent.expect(r"HTTP 429\); next try in 0\.07 s")
        agent.expect(r"HTTP 503\); next try in 1 s")
        agent.expect(r"the answer broke off\); next try in 2 s")
        agent.expect("the model answers; ready")

    def test_a_refusal_that_no_retry_cures_ends_it(self, run: Run, work: Path, model: ScriptedModel) -> None:
        agent = self.start(run, work, model.url)
        model.next_question()
        model.refuse(401)
        assert agent.wait() == 1
        assert "the model refuses: HTTP 401" in agent.output

    @pytest.mark.parametrize("damage", ["", '{"questions": ["1-tides", "2-be', "[]", "\0" * 100])
    def test_a_damaged_checkpoint_costs_one_step(
        self, run: Run, work: Path, model: ScriptedModel, damage: str
    ) -> None:
        agent = self.start(run, work, model.url)
        for text in ("I am here", "one", "two"):
            model.next_question()
            model.answer(text)
        model.next_question()
        agent.end(signal.SIGKILL)
        model.answer("unheard")
        (work / "research" / "checkpoint.json").write_text(damage)
        agent = self.start(run, work, model.url)
        agent.expect("checkpoint.json cannot be used")
        agent.expect("resumed at step 2 of 4")

    def test_other_questions_are_a_new_beginning(self, run: Run, work: Path, model: ScriptedModel) -> None:
        agent = self.start(run, work, model.url)
        for text in ("I am here", "one"):
            model.next_question()
            model.answer(text)
        agent.expect("step 1 of 4, round 1 done")
        model.next_question()
        agent.end(signal.SIGKILL)
        model.answer("unheard")
        (work / "questions" / "3-bread.txt").write_text("What about bread?")
        self.start(run, work, model.url).expect("a new beginning: 6 steps")

    def test_ready_only_when_the_model_has_answered(self, run: Run, work: Path, model: ScriptedModel) -> None:
        with (
            tempfile.TemporaryDirectory(prefix="px", dir="/tmp") as folder,
            zmq.Context() as context,
            context.socket(zmq.ROUTER) as router,
        ):
            endpoint = f"ipc://{folder}/a.sock"
            router.bind(endpoint)
            env = {"PYPM_AGENT_ENDPOINT": endpoint, "PYPM_AGENT_TOKEN": "t"}
            agent = self.start(run, work, model.url, env)
            model.next_question()
            first = json.loads(self.receive(router))
            assert (first["type"], first["text"]) == ("status", "waiting for the model")
            assert not router.poll(0), "it has said more than it knows"
            model.answer("I am here")
            types = [first["type"]]
            while types[-1] != "ready":
                types.append(json.loads(self.receive(router))["type"])
            assert set(types) <= {"status", "heartbeat", "ready"}
            model.next_question()
            model.answer("one")
            agent.process.send_signal(signal.SIGTERM)
            model.answer("two")  # if it had begun the next step already
            while types[-1] != "stopping":
                types.append(json.loads(self.receive(router))["type"])
            assert agent.wait() == 0

    @staticmethod
    def receive(router: zmq.Socket[bytes]) -> bytes:
        assert router.poll(int(DEADLINE * 1000)), "no message came"
        return router.recv_multipart()[1]

    def test_rounds_with_a_model_that_is_often_busy(self, run: Run, tmp_path: Path) -> None:
        server, port = TestModelServer.start(run, "--busy-rate", 0.2, "--retry-after", 0.01, "--seed", 3)
        url = f"http://127.0.0.1:{port}/v1"
        agent = run("research_agent", "--work", tmp_path, "--model-url", url, "--pause", 0)
        agent.expect("step 12 of 12, round 3 done")
        assert "HTTP 429" in agent.output
        assert agent.end() == 0
        assert server.end() == 0
        steps = re.findall(r"step (\d+) of 12, round (\d+) done", agent.output)
        expected = [(str(step), str(number)) for number in range(1, 50) for step in range(1, 13)]
        assert steps == expected[: len(steps)], "every step once, in order"
        files = sorted(path.name for path in (tmp_path / "research").rglob("*") if path.is_file())
        names = [path.stem for path in sorted((EXAMPLES / "questions").glob("*.txt"))]
        assert files == sorted(["checkpoint.json", "checkpoint.previous.json", *(f"{n}.md" for n in names)])


class TestLeakyAgent:
    def test_it_really_grows_and_knows_that_it_was_restarted(self, run: Run, tmp_path: Path) -> None:
        first = run("leaky_agent", "--rate", 40, "--work", tmp_path)
        first.expect("life 1 begins")

        def resident() -> int:
            statm = Path(f"/proc/{first.process.pid}/statm").read_text().split()
            return int(statm[1]) * os.sysconf("SC_PAGESIZE")

        begin = resident()
        wait_until(lambda: resident() > begin + 50 * 1024 * 1024, DEADLINE, "50 MB more")
        assert first.end() == 0
        size = int(first.expect(r"life 1 ends at (\d+) MB, as asked")[1])
        assert size >= 50
        second = run("leaky_agent", "--rate", 1, "--work", tmp_path, env={"PYPM_RUN_ID": "run-17"})
        second.expect(r"life 2 begins at \d+ MB \(run id: run-17\)")
        second.expect(rf"I have been restarted: life 1 was last seen at {size} MB")


class TestFlakyAgent:
    def test_it_crashes_with_a_traceback(self, run: Run, tmp_path: Path) -> None:
        program = run("flaky_agent", "--crash-rate", 1, "--turn", 0.001, "--work", tmp_path)
        assert program.wait() == 1
        program.expect(r"Traceback \(most recent call last\)")
        assert re.search(r"(JSONDecodeError|KeyError|ZeroDivisionError)", program.lines[-1])

    def test_every_life_is_another_one_and_can_be_had_again(self, run: Run, tmp_path: Path) -> None:
        def lives(folder: str) -> list[str]:
            ends = []
            for _ in range(4):
                options = ("--crash-rate", 0.05, "--turn", 0.001, "--work", tmp_path / folder, "--seed", 5)
                program = run("flaky_agent", *options)
                assert program.wait() == 1
                ends.append(re.sub(r"\d\d:\d\d:\d\d", "", program.output))
            return ends

        first = lives("one")
        assert len(set(first)) == 4
        assert lives("two") == first

    def test_without_bad_luck_it_ends_when_asked(self, run: Run, tmp_path: Path) -> None:
        program = run("flaky_agent", "--crash-rate", 0, "--turn", 0.001, "--work", tmp_path)
        program.expect("50 answers")
        assert program.end() == 0
        assert re.search(r"life 1 ends after \d+ answers, as asked", program.lines[-1])


class TestToolWorker:
    def test_its_tools_work(self, run: Run, tmp_path: Path) -> None:
        texts = tmp_path / "texts"
        texts.mkdir()
        (texts / "a.txt").write_text("to be or not to be\nto\n")
        options = ("--texts", texts, "--work", tmp_path, "--pause", 0, "--instance", 1)
        program = run("tool_worker", *options, env={"TOOL_SLEEP": "0.1"})
        program.expect(r"words of a\.txt: 7 ")
        program.expect(r"favourite of a\.txt: 3 to ")
        program.expect(r"longest of a\.txt: 18 ")
        program.expect(r"patience of a\.txt: done ")
        assert program.end() == 0
        results = [
            json.loads(line) for line in (tmp_path / "tools" / "results-1.jsonl").read_text().splitlines()
        ]
        assert results[0] == {**results[0], "tool": "words", "file": "a.txt", "ok": True, "output": "7"}
        assert len(results) <= 200

    def test_it_ends_its_tools(self, run: Run, tmp_path: Path) -> None:
        program = run("tool_worker", "--work", tmp_path, "--parallel", 4, env={"TOOL_SLEEP": "600"})

        def sleepers() -> list[int]:
            titles = {pid: Path(f"/proc/{pid}/cmdline") for pid in program.children()}
            return [pid for pid, path in titles.items() if path.exists() and b"600" in path.read_bytes()]

        wait_until(lambda: bool(sleepers()), DEADLINE, "a tool that runs")
        (tool,) = sleepers()
        assert program.end() == 0
        assert not Path(f"/proc/{tool}").exists()
        program.expect("patience of .* ended by SIGTERM")

    def test_a_tool_that_ignores_sigterm_is_killed(self, run: Run, tmp_path: Path) -> None:
        stubborn = tmp_path / "bin" / "sleep"
        stubborn.parent.mkdir()
        stubborn.write_text(
            f"#!{sys.executable}\n"
            "import os, signal\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "open(os.environ['TOOL_MARK'], 'w').close()\n"
            "while True: signal.pause()\n"
        )
        stubborn.chmod(0o755)
        mark = tmp_path / "mark"
        env = {"PATH": f"{stubborn.parent}:{os.environ['PATH']}", "TOOL_MARK": str(mark)}
        program = run("tool_worker", "--work", tmp_path, env=env)
        wait_until(mark.exists, DEADLINE, "the stubborn tool")
        assert program.end() == 0
        program.expect("patience of .* ended by SIGKILL")

    def test_a_tool_that_takes_too_long_is_given_up(self, run: Run, tmp_path: Path) -> None:
        options = ("--work", tmp_path, "--tool-timeout", 1.5, "--pause", 0)
        program = run("tool_worker", *options, env={"TOOL_SLEEP": "600"})
        program.expect(r"patience of \S+: took longer than 1\.5 s")
        program.expect("words of 02-lighthouses")  # and goes on
        assert program.end() == 0

    def test_at_most_so_many_at_a_time(self, run: Run, tmp_path: Path) -> None:
        options = ("--work", tmp_path, "--parallel", 1, "--pause", 0)
        program = run("tool_worker", *options, env={"TOOL_SLEEP": "0.2"})
        most = [0]

        def watched() -> bool:
            most[0] = max(most[0], len(program.children()))
            return program.process.poll() is not None or program.output.count("patience") >= 2

        wait_until(watched)
        assert most == [1]


def test_the_example_ecosystem_file_is_valid_and_names_them_all() -> None:
    from pypm.config import load

    specs = load(str(ROOT / "ecosystem.example.toml"))
    assert {spec.name for spec in specs} == {"model", "research", "tools", "leaky", "flaky"}
    scripts = {Path(argument).name for spec in specs for argument in spec.command if argument.endswith(".py")}
    assert scripts == {path.name for path in EXAMPLES.glob("*.py")}
