"""A research agent: reads questions, asks a language model, writes notes, and never does a step twice.

    python examples/research_agent.py --model-url http://127.0.0.1:8089/v1

A round has two steps for each question: a first answer, then a critical look at it; the note of the question
(work/research/notes/NAME.md) is written after each. When a round is done the next one asks follow-ups, and
replaces the notes, so that what is on disk stays small. MODEL_URL may be any server that speaks the OpenAI
chat-completions format; MODEL_API_KEY is sent where there is one.

What it teaches about long-running agents:

- *State.* After each step ``agent.checkpoint.save(...)`` puts what it knows on the disk, whole or not at all.
  Killed at any moment, the agent resumes at the step where it was.
- *Readiness.* It says ``agent.ready()`` when the model has answered, so an app with ``wait_ready = true`` is
  "starting" until then.
- *Alive.* It says ``agent.heartbeat()`` with every piece of a streamed answer, and ``agent.status(...)`` what
  it is doing, which ``pypm list`` shows.
- *Working.* It says ``agent.progress(...)`` after each step, which is another thing than to be alive, and
  ``agent.waiting(...)`` around all that may take long without being a stall.
- *A clean end.* SIGTERM does not interrupt: it is looked at between steps. The step is finished, the
  checkpoint written, the exit code is 0. Give such an agent a ``kill_timeout`` longer than its longest step.
- *Trouble outside.* Timeouts on everything; 429 waits as long as Retry-After says, 5xx and broken
  connections wait longer each time. None of that is a reason to crash.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import sys
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pypm import agent

HERE = Path(__file__).resolve().parent
STEPS = ("answer", "review")
CONNECT_AND_READ_TIMEOUT = 5.0
LONGEST_RETRY_AFTER = 60.0
LONGEST_WAIT = 15.0
LONGEST_ANSWER = 60.0
CHECKPOINTS = "checkpoints"
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether this program has been asked to end. The signals are blocked, and fetched when we look."""

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        self._asked = False

    def asked(self, within: float = 0.0) -> bool:
        """Tell whether to end; waits up to ``within`` seconds for it, which makes it the sleep of a loop."""
        if not self._asked:
            self._asked = signal.sigtimedwait(STOP_SIGNALS, within) is not None
        return self._asked


@dataclass
class Checkpoint:
    """All that a new life has to know. ``draft`` is what has been said about the present question."""

    questions: list[str]
    round: int = 1
    step: int = 1
    tokens: int = 0
    draft: list[str] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """Count the steps of a round."""
        return len(self.questions) * len(STEPS)

    @property
    def done(self) -> int:
        """Count the steps that have been done in all rounds."""
        return (self.round - 1) * self.steps + self.step - 1

    def advance(self, answer: str, tokens: int) -> None:
        """Record that the present step is done."""
        self.tokens += tokens
        self.draft = [*self.draft, answer] if self.step % len(STEPS) else []
        self.step += 1
        if self.step > self.steps:
            self.round, self.step = self.round + 1, 1


def load_checkpoint(folder: Path, questions: list[str]) -> Checkpoint | None:
    """Give the newest checkpoint, or None where there is none that fits the questions."""
    saved = agent.checkpoint.load(folder=folder)
    if saved is None:
        return None
    checkpoint = Checkpoint(**saved)
    if checkpoint.questions != questions:
        log("the checkpoint is about other questions; leaving it aside")
        return None
    return checkpoint


class TryLaterError(Exception):
    """The model cannot answer now. ``wait`` is what it asks for in seconds, or None if it does not say."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Model:
    """A client of the chat-completions interface, with the standard library only."""

    def __init__(self, url: str, name: str, api_key: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            sys.exit(f"research_agent: {url!r} is not an http or https address")
        secure = parts.scheme == "https"
        self._connection = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path.rstrip("/")
        self._name = name
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    def ask(self, question: str, max_tokens: int = 400) -> tuple[str, int]:
        """Ask once: the answer and the tokens it took. Raises TryLaterError for whatever may pass."""
        body = {
            "model": self._name,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        connection = self._connection(self._host, self._port, timeout=CONNECT_AND_READ_TIMEOUT)
        try:
            connection.request("POST", f"{self._path}/chat/completions", json.dumps(body), self._headers)
            return self._read(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            raise TryLaterError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()

    def _read(self, response: http.client.HTTPResponse) -> tuple[str, int]:
        if response.status == 429 or response.status >= 500:
            raise TryLaterError(f"HTTP {response.status}", retry_after(response))
        if response.status != 200:
            # Our own mistake: no retry cures it, so let it end the process and be seen.
            raise RuntimeError(f"the model refuses: HTTP {response.status} {response.read(500)!r}")
        answer, tokens = "", 0
        for event in events(response):
            for choice in event.get("choices", []):
                answer += choice.get("delta", {}).get("content") or ""
            tokens = (event.get("usage") or {}).get("total_tokens", tokens)
            agent.heartbeat()
        return answer, tokens


def retry_after(response: http.client.HTTPResponse) -> float | None:
    """Read how many seconds the server asks us to wait, if it does (and asks it in seconds)."""
    try:
        return min(max(float(response.headers.get("Retry-After", "")), 0.0), LONGEST_RETRY_AFTER)
    except ValueError:
        return None


def events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Read server-sent events up to [DONE]; raises TryLaterError if the stream breaks off before."""
    for line in response:
        name, _, data = line.decode("utf-8", "replace").strip().partition(":")
        if name != "data":
            continue
        if data.strip() == "[DONE]":
            return
        try:
            yield json.loads(data)
        except ValueError as error:
            raise TryLaterError(f"an event that is not JSON: {error}") from error
    raise TryLaterError("the answer broke off")


def patiently(model: Model, question: str, stop: Stop, max_tokens: int = 400) -> tuple[str, int] | None:
    """Ask until there is an answer, waiting longer each time; None if we are asked to end while waiting."""
    wait = 0.5
    while True:
        try:
            with agent.waiting(LONGEST_ANSWER, "model call"):
                return model.ask(question, max_tokens)
        except TryLaterError as error:
            pause = wait if error.wait is None else error.wait
            log(f"the model cannot answer ({error}); next try in {pause:g} s")
            agent.status(f"waiting for the model ({error})")
            with agent.waiting(pause + 1.0, "the model to be less busy"):
                if sleep(pause, stop):
                    return None
            wait = min(wait * 2, LONGEST_WAIT)


def sleep(seconds: float, stop: Stop) -> bool:
    """Sleep with a heartbeat each second; True, and sooner, if we are asked to end."""
    end = time.monotonic() + seconds
    while not stop.asked(within=max(0.0, min(1.0, end - time.monotonic()))):
        agent.heartbeat()
        if time.monotonic() >= end:
            return False
    return True


def prompt(checkpoint: Checkpoint, question: str) -> str:
    """Word the present step's question to the model."""
    if checkpoint.draft:
        return f"{question}\n\nOne answer was: {checkpoint.draft[-1]}\n\nWhat is missing or doubtful in it?"
    if checkpoint.round > 1:
        return f"Follow-up {checkpoint.round - 1}: {question} What else should be asked?"
    return question


def write_note(folder: Path, name: str, question: str, checkpoint: Checkpoint, answer: str) -> None:
    """Write the note of a question anew, whole, with all that this round has said about it."""
    parts = [f"# {question}", f"Round {checkpoint.round}."]
    for step, text in zip(STEPS, [*checkpoint.draft, answer], strict=False):
        parts.append(f"## {step.capitalize()}\n\n{text}")
    new = folder / f"{name}.new"
    write_durably(new, "\n\n".join(parts) + "\n")
    os.replace(new, folder / f"{name}.md")


def write_durably(path: Path, text: str) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_questions(folder: Path) -> dict[str, str]:
    """Read name -> question from a folder's .txt files, in the order of their names."""
    questions = {path.stem: path.read_text(encoding="utf-8").strip() for path in sorted(folder.glob("*.txt"))}
    if not questions:
        sys.exit(f"research_agent: there is no question (*.txt) in {folder}")
    return questions


def work(
    model: Model,
    questions: dict[str, str],
    checkpoint: Checkpoint,
    folder: Path,
    stop: Stop,
    pause: float,
) -> None:
    """Do step after step until asked to end."""
    notes = folder / "notes"
    notes.mkdir(exist_ok=True)
    while not stop.asked():
        name = checkpoint.questions[(checkpoint.step - 1) // len(STEPS)]
        what = f"step {checkpoint.step} of {checkpoint.steps}, round {checkpoint.round}"
        agent.status(f"{what}: {STEPS[(checkpoint.step - 1) % len(STEPS)]} {name}")
        answered = patiently(model, prompt(checkpoint, questions[name]), stop)
        if answered is None:
            return
        answer, tokens = answered
        # First the note, then the checkpoint: killed between the two, the step is done again and writes
        # the same note. The other way round, a note could be missing for ever.
        write_note(notes, name, questions[name], checkpoint, answer)
        checkpoint.advance(answer, tokens)
        agent.checkpoint.save(asdict(checkpoint), folder=folder / CHECKPOINTS)
        agent.progress(iteration=checkpoint.done, message=f"{what} done")
        agent.metric("tokens", checkpoint.tokens)
        log(f"{what} done: {name}, {checkpoint.tokens:,} tokens so far")
        sleep(pause, stop)


def log(text: str) -> None:
    """Print a line at once: a supervisor reads it from a pipe."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def parse_options() -> argparse.Namespace:
    """Read the command line, whose defaults come from the environment."""
    env = os.environ.get
    parser = argparse.ArgumentParser(description="A research agent that resumes where it was.")
    parser.add_argument("--model-url", default=env("MODEL_URL", "http://127.0.0.1:8089/v1"))
    parser.add_argument("--model", default=env("MODEL_NAME", "local-stand-in"))
    parser.add_argument("--questions", type=Path, default=Path(env("QUESTIONS", str(HERE / "questions"))))
    parser.add_argument("--work", type=Path, default=Path(env("WORK", str(HERE / "work"))))
    parser.add_argument("--pause", type=float, default=float(env("PAUSE", "1")), help="seconds between steps")
    return parser.parse_args()


def main() -> int:
    """Research until SIGTERM or Ctrl-C."""
    stop = Stop()
    options = parse_options()
    folder = options.work / "research"
    folder.mkdir(parents=True, exist_ok=True)
    questions = read_questions(options.questions)
    checkpoint = load_checkpoint(folder / CHECKPOINTS, list(questions))
    if agent.restart_info.is_restart:
        log(f"the run before has ended: {agent.restart_info.reason}")
    if checkpoint is None:
        checkpoint = Checkpoint(list(questions))
        log(f"a new beginning: {checkpoint.steps} steps")
    else:
        where = f"step {checkpoint.step} of {checkpoint.steps}"
        log(f"resumed at {where} (round {checkpoint.round}, {checkpoint.tokens:,} tokens so far)")

    model = Model(options.model_url, options.model, os.environ.get("MODEL_API_KEY", ""))
    agent.status("waiting for the model")
    if patiently(model, "Are you there?", stop, max_tokens=5) is not None:
        log("the model answers; ready")
        agent.ready()
        work(model, questions, checkpoint, folder, stop, options.pause)

    agent.stopping()
    agent.checkpoint.save(asdict(checkpoint), folder=folder / CHECKPOINTS)
    log(f"ended at step {checkpoint.step} of {checkpoint.steps}, as asked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
