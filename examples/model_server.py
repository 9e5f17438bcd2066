"""A language model to practise with: the OpenAI chat-completions wire format, without network or key.

    python examples/model_server.py --port 8089 --latency 0.8 --error-rate 0.02 --busy-rate 0.05

    POST /v1/chat/completions   with "stream": true as server-sent events, else as one JSON object
    GET  /v1/models             the models there are: one, called "local-stand-in"
    GET  /health                {"status": "ok"}

The answers are made from the words of the question, always the same ones for the same question. What is
left to chance (who gets an error, who is told to wait, how long it takes) follows from --seed. Each knob is
also an environment variable, so that an ecosystem file can set it: MODEL_PORT, MODEL_LATENCY,
MODEL_ERROR_RATE, MODEL_BUSY_RATE, MODEL_RETRY_AFTER, MODEL_SEED.

What it teaches about pypm: a server is ready when its socket listens, not when its process exists. It says
``agent.ready()`` at that moment, and an app with ``wait_ready = true`` is "starting" until then. On SIGTERM
it finishes the answers it has begun and exits with 0. Its status (see ``pypm list``) counts its answers.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import itertools
import json
import os
import random
import re
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pypm import agent

MODEL = "local-stand-in"
MAX_REQUEST = 4 * 1024 * 1024

OPENINGS = (
    "It helps to begin with what is certain about {0}.",
    "The short answer: {0} matters more than it seems.",
    "Three things are worth knowing about {0}.",
    "Whoever asks about {0} usually also wants to know about {1}.",
)
MIDDLES = (
    "First, {0} and {1} depend on each other, and the order in which they happen decides the outcome.",
    "Where {1} is scarce, {0} tends to be slow, and the cost shows up late.",
    "Most accounts treat {0} as a cause; the records suggest that it is a consequence of {1}.",
    "A simple measurement of {1} would settle most of the argument about {0}.",
    "The exceptions are instructive: without {0}, {1} still works, only less predictably.",
    "What is often overlooked is that {1} changes while one looks at {0}.",
)
CLOSINGS = (
    "So the next question should be how {1} behaves when {0} fails.",
    "In practice, write down what {0} was before {1} is changed.",
    "More evidence on {1} would change this answer; more opinion on {0} would not.",
)
COMMON_WORDS = re.compile(
    r"\b(about|answer|because|been|before|does|from|have|into|most|question|that|their|them|there|these|they"
    r"|this|what|when|where|which|while|will|with|would|your)\b"
)


class RefusedError(Exception):
    """A request that is answered with an error, in the shape that OpenAI's clients expect."""

    def __init__(self, status: int, kind: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": None}}


def compose(question: str) -> str:
    """Make a readable answer out of the question's own words; the same question gets the same answer."""
    words = re.findall(r"[a-z]{4,}", COMMON_WORDS.sub("", question.lower()))
    topics = [*dict.fromkeys(words), "this", "the rest"][: max(2, len(set(words)))]
    chance = random.Random(hashlib.sha256(question.encode("utf-8", "replace")).digest())
    templates = [chance.choice(OPENINGS), *chance.sample(MIDDLES, 3), chance.choice(CLOSINGS)]
    return " ".join(template.format(*chance.sample(topics, 2)) for template in templates)


def count_tokens(text: str) -> int:
    """Count roughly as a tokenizer does: words and signs."""
    return len(re.findall(r"\w+|[^\w\s]", text))


class Knobs:
    """How this model behaves: latency in seconds, rates from 0 to 1; chance is seeded."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.latency: float = options.latency
        self.error_rate: float = options.error_rate
        self.busy_rate: float = options.busy_rate
        self.retry_after: float = options.retry_after
        self._chance = random.Random(options.seed)
        self._lock = threading.Lock()

    def draw_latency(self) -> float:
        """Seconds that the next answer takes: between half and one and a half of the latency."""
        with self._lock:
            return self.latency * self._chance.uniform(0.5, 1.5)

    def refuse_some(self) -> None:
        """Raise RefusedError for the unlucky ones."""
        with self._lock:
            draw = self._chance.random()
        if draw < self.busy_rate:
            message = f"Rate limit reached. Please try again in {self.retry_after:g} s."
            raise RefusedError(429, "rate_limit_error", message, self.retry_after)
        if draw < self.busy_rate + self.error_rate:
            raise RefusedError(500, "server_error", "The server had an error while processing your request.")


class Answer:
    """One completion: the words, their counts, and the shapes in which they go out."""

    def __init__(self, request: dict[str, Any], number: int) -> None:
        messages = request.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
            raise RefusedError(400, "invalid_request_error", "'messages' must be a non-empty list of objects")
        texts = [str(message.get("content", "")) for message in messages]
        limit = request.get("max_completion_tokens", request.get("max_tokens"))
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise RefusedError(400, "invalid_request_error", "'max_tokens' must be a positive number")
        options = request.get("stream_options")
        self.include_usage = isinstance(options, dict) and options.get("include_usage") is True
        # Pieces of a word and the space before it, as a model streams them.
        pieces = re.findall(r"\s*\S+", compose(texts[-1]))
        self.pieces = pieces[:limit]
        self.finish_reason = "stop" if len(self.pieces) == len(pieces) else "length"
        self.head = {
            "id": f"chatcmpl-{number:08d}",
            "created": int(time.time()),
            "model": request.get("model") or MODEL,
        }
        prompt, completion = sum(map(count_tokens, texts)), count_tokens("".join(self.pieces))
        self.usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }

    def whole(self) -> dict[str, Any]:
        """Give the answer that is not streamed."""
        message = {"role": "assistant", "content": "".join(self.pieces)}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return {**self.head, "object": "chat.completion", "choices": [choice], "usage": self.usage}

    def chunks(self) -> Iterator[dict[str, Any]]:
        """Give the answer in pieces: the role, the words, the end, and the usage if it was asked for."""
        yield self._chunk({"role": "assistant", "content": ""})
        for piece in self.pieces:
            yield self._chunk({"content": piece})
        yield self._chunk({}, self.finish_reason)
        if self.include_usage:
            yield {**self.head, "object": "chat.completion.chunk", "choices": [], "usage": self.usage}

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = {**self.head, "object": "chat.completion.chunk", "choices": [choice]}
        return {**chunk, "usage": None} if self.include_usage else chunk


class Server(ThreadingHTTPServer):
    """A thread a request; closing waits for the answers that have been begun."""

    daemon_threads = False

    def __init__(self, host: str, port: int, knobs: Knobs) -> None:
        self.knobs = knobs
        self._numbers = itertools.count(1)
        self._answers = self._tokens = 0
        self._lock = threading.Lock()
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Bind without asking the name service who we are, which can take seconds where there is none."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def service_actions(self) -> None:
        """Say at each turn of the serving loop that it turns."""
        agent.heartbeat()

    def next_number(self) -> int:
        """Number the answers."""
        return next(self._numbers)

    def count(self, tokens: int) -> None:
        """Count an answer that has been given, and say so (from any thread: pypm.agent does not mind)."""
        with self._lock:
            self._answers += 1
            self._tokens += tokens
            agent.status(f"port {self.server_port}: {self._answers:,} answers, {self._tokens:,} tokens")


class Handler(BaseHTTPRequestHandler):
    """One connection, one request: each answer ends its connection, which makes a clean end simple."""

    protocol_version = "HTTP/1.1"
    server: Server
    timeout = 5  # seconds for a request to arrive, so that a silent client cannot delay our end

    def do_GET(self) -> None:
        """Answer /health and /v1/models."""
        if self.path == "/health":
            self._send_json(200, {"status": "ok"})
        elif self.path == "/v1/models":
            model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "pypm"}
            self._send_json(200, {"object": "list", "data": [model]})
        else:
            self._send_refusal(RefusedError(404, "invalid_request_error", f"Unknown URL: GET {self.path}"))

    def do_POST(self) -> None:
        """Answer /v1/chat/completions."""
        begin = time.monotonic()
        try:
            request = self._read_request()
            answer = Answer(request, self.server.next_number())
            self.server.knobs.refuse_some()
            if request.get("stream"):
                self._stream(answer)
            else:
                time.sleep(self.server.knobs.draw_latency())
                self._send_json(200, answer.whole())
            self.server.count(answer.usage["total_tokens"])
            log(f"200 {answer.usage['total_tokens']} tokens in {time.monotonic() - begin:.2f} s")
        except RefusedError as refusal:
            self._send_refusal(refusal)
        except OSError as error:  # the client has left: its business, not ours
            log(f"the client left: {error}")
            self.close_connection = True

    def _read_request(self) -> dict[str, Any]:
        if self.path != "/v1/chat/completions":
            raise RefusedError(404, "invalid_request_error", f"Unknown URL: POST {self.path}")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_REQUEST:
            raise RefusedError(400, "invalid_request_error", "a Content-Length of at most 4 MiB is needed")
        try:
            request = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise RefusedError(400, "invalid_request_error", f"the body is not JSON: {error}") from None
        if not isinstance(request, dict):
            raise RefusedError(400, "invalid_request_error", "the body must be a JSON object")
        return request

    def _stream(self, answer: Answer) -> None:
        chunks = list(answer.chunks())
        pause = self.server.knobs.draw_latency() / len(chunks)
        self._send_head(200, {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        for chunk in chunks:
            time.sleep(pause)
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")

    def _send_refusal(self, refusal: RefusedError) -> None:
        log(f"{refusal.status} {refusal}")
        headers = {} if refusal.retry_after is None else {"Retry-After": f"{refusal.retry_after:g}"}
        self._send_json(refusal.status, refusal.body, headers)

    def _send_json(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        length = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        self._send_head(status, {**length, **(headers or {})})
        self.wfile.write(data)

    def _send_head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing for each request line; the answers are logged."""


def log(text: str) -> None:
    """Print a line at once: a supervisor reads it from a pipe."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def environment_number(name: str, default: float) -> float:
    """Read a number from the environment; exits with a sentence where it is none."""
    text = os.environ.get(name, "")
    try:
        return float(text) if text else default
    except ValueError:
        sys.exit(f"model_server: {name}={text!r} is not a number")


def parse_options() -> argparse.Namespace:
    """Read the command line, whose defaults come from the environment."""
    parser = argparse.ArgumentParser(description="A stand-in for a language model's HTTP interface.")
    number = environment_number
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=int(number("MODEL_PORT", 8089)), help="0: any free one")
    parser.add_argument("--latency", type=float, default=number("MODEL_LATENCY", 0.8), help="seconds")
    parser.add_argument("--error-rate", type=float, default=number("MODEL_ERROR_RATE", 0), help="0 to 1: 500")
    parser.add_argument("--busy-rate", type=float, default=number("MODEL_BUSY_RATE", 0), help="0 to 1: 429")
    parser.add_argument("--retry-after", type=float, default=number("MODEL_RETRY_AFTER", 1), help="seconds")
    parser.add_argument("--seed", type=int, default=int(number("MODEL_SEED", 7)))
    return parser.parse_args()


def main() -> int:
    """Serve until SIGTERM or Ctrl-C; 1 if the port cannot be had."""
    options = parse_options()
    try:
        server = Server(options.host, options.port, Knobs(options))
    except (OSError, OverflowError) as error:
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "is in use by another program" if in_use else f"cannot be had: {error}"
        hint = "; choose another one with --port or MODEL_PORT" if in_use else ""
        print(f"model_server: port {options.port} {reason}{hint}", file=sys.stderr)
        return 1

    def end(signal_number: int, _frame: object) -> None:
        agent.stopping()
        log(f"{signal.Signals(signal_number).name}: finishing what is begun")
        # shutdown() waits for the loop that this very thread runs, so another thread has to ask for it.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    log(f"listening on http://{options.host}:{server.server_port}/v1")
    agent.ready()
    agent.status(f"port {server.server_port}: no question yet")
    server.serve_forever(poll_interval=0.5)
    server.server_close()
    log("ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
