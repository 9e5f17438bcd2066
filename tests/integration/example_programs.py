"""The programs in examples/ as tests run them, and a model that does what a test says."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

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


def start_model_server(run: Run, *arguments: object, latency: float = 0.0) -> tuple[Program, int]:
    """Start the model server of the examples; gives it and its port."""
    program = run("model_server", "--port", 0, "--latency", latency, *arguments)
    return program, int(program.expect(r"listening on http://127\.0\.0\.1:(\d+)/v1")[1])


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
