"""A worker that has its work done by tools: child processes, a few at a time, none left behind.

    python examples/tool_worker.py --parallel 2

Round by round it goes through the texts of a folder (the questions of the research agent) and has tools look
at each: ``wc`` counts words, a shell pipeline finds the most frequent word, a Python one-liner measures the
longest line, and ``sleep`` stands for a tool that waits for somebody else. Results are logged, and the last
ones are kept in work/tools/results-INSTANCE.jsonl.

What it teaches:

- With ``instances = 2`` each copy finds its index in PYPM_INSTANCE (0, 1, …): it begins with another text,
  and has a results file of its own.
- A tool is part of the agent: ``pypm list`` counts its memory, and a stop means the whole group. Tools stay
  in our process group for that, and on SIGTERM this worker ends them itself, waits for them, and reports
  what was not finished.
- The same in asyncio: SIGTERM arrives as a callback of the loop; pypm.agent is as cheap there as anywhere.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from pypm import agent

HERE = Path(__file__).resolve().parent
TOOL_TIMEOUT = 20.0
END_TIMEOUT = 3.0
KEPT_RESULTS = 200

LONGEST_LINE = "import sys; print(max(len(line.rstrip()) for line in open(sys.argv[1], encoding='utf-8')))"
TOOLS = {
    "words": ("sh", "-c", 'exec wc -w < "$1"', "sh"),
    "favourite": (
        "sh",
        "-c",
        "tr -cs '[:alpha:]' '\\n' < \"$1\" | sort | uniq -c | sort -rn | head -n 1",
        "sh",
    ),
    "longest": (sys.executable, "-I", "-S", "-c", LONGEST_LINE),
    "patience": ("sh", "-c", 'exec sleep "${TOOL_SLEEP:-1}"', "sh"),
}
"""Each tool's command; the file it looks at is added."""


@dataclass
class Result:
    """What became of one tool: its output, or why there is none."""

    tool: str
    file: str
    seconds: float
    ok: bool
    output: str


class Worker:
    """Runs tools, at most ``parallel`` at a time, until it is told to stop."""

    def __init__(self, parallel: int, timeout: float) -> None:
        self._slots = asyncio.Semaphore(parallel)
        self._timeout = timeout
        self._running: set[asyncio.subprocess.Process] = set()
        self.stopping = asyncio.Event()

    async def run(self, tool: str, file: Path) -> Result | None:
        """Run one tool on one file; None if it was not begun because we stop."""
        async with self._slots:
            if self.stopping.is_set():
                return None
            begin = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *TOOLS[tool],
                str(file),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            self._running.add(process)
            try:
                output, problem = await self._outcome(process)
            finally:
                self._running.discard(process)
            return Result(tool, file.name, time.monotonic() - begin, not problem, problem or output)

    async def _outcome(self, process: asyncio.subprocess.Process) -> tuple[str, str]:
        """Wait for a tool: its output, and what was wrong with it (empty if nothing was)."""
        if self.stopping.is_set():  # told to stop while it was being started: nobody has ended this one yet
            process.terminate()
        try:
            raw, _ = await asyncio.wait_for(process.communicate(), self._timeout)
        except TimeoutError:
            process.kill()
            await process.wait()
            return "", f"took longer than {self._timeout:g} s"
        output = " ".join(raw.decode("utf-8", "replace").split())
        assert process.returncode is not None
        if process.returncode < 0:
            return output, f"ended by {signal.Signals(-process.returncode).name}"
        return output, f"exit code {process.returncode}: {output}" if process.returncode else ""

    def stop(self) -> None:
        """Begin no more tools and end those that run; who does not go within some seconds is killed."""
        self.stopping.set()
        self._send(signal.SIGTERM)
        asyncio.get_running_loop().call_later(END_TIMEOUT, self._send, signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for process in self._running:
            if process.returncode is None:
                process.send_signal(number)


async def work(worker: Worker, options: argparse.Namespace) -> None:
    """Go through the texts, round after round, until told to stop."""
    kept: deque[Result] = deque(maxlen=KEPT_RESULTS)
    path = options.work / "tools" / f"results-{options.instance}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    while not worker.stopping.is_set():
        files = sorted(options.texts.glob("*.txt"))
        if not files:
            sys.exit(f"tool_worker: there is no text (*.txt) in {options.texts}")
        first = options.instance % len(files)
        for file in files[first:] + files[:first]:
            results = await asyncio.gather(*(worker.run(tool, file) for tool in TOOLS))
            for result in filter(None, results):
                kept.append(result)
                done += result.ok
                log(f"{result.tool} of {result.file}: {result.output or 'done'} ({result.seconds:.2f} s)")
            save(path, kept)
            agent.heartbeat()
            agent.status(f"{done} results, last of {file.stem}")
            if await stopped_within(options.pause, worker.stopping):
                break


async def stopped_within(seconds: float, stopping: asyncio.Event) -> bool:
    """Sleep; True, and sooner, if we are told to stop."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return False
    return True


def save(path: Path, results: deque[Result]) -> None:
    """Replace the file by the last results, a JSON object a line."""
    new = path.with_suffix(".new")
    new.write_text("".join(json.dumps(vars(result)) + "\n" for result in results), encoding="utf-8")
    os.replace(new, path)


def log(text: str) -> None:
    """Print a line at once: a supervisor reads it from a pipe."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def parse_options() -> argparse.Namespace:
    """Read the command line, whose defaults come from the environment."""
    env = os.environ.get
    parser = argparse.ArgumentParser(description="A worker that has tools do its work.")
    parser.add_argument("--parallel", type=int, default=int(env("PARALLEL", "2")), help="tools at a time")
    parser.add_argument("--pause", type=float, default=float(env("PAUSE", "3")), help="seconds between texts")
    parser.add_argument("--tool-timeout", type=float, default=TOOL_TIMEOUT, help="seconds")
    parser.add_argument("--texts", type=Path, default=Path(env("TEXTS", str(HERE / "questions"))))
    parser.add_argument("--work", type=Path, default=Path(env("WORK", str(HERE / "work"))))
    parser.add_argument("--instance", type=int, default=int(env("PYPM_INSTANCE", "0")))
    return parser.parse_args()


async def run(options: argparse.Namespace) -> None:
    """Work until SIGTERM or Ctrl-C."""
    worker = Worker(options.parallel, options.tool_timeout)

    def end() -> None:
        agent.stopping()
        log("ending the tools")
        worker.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    log(f"worker {options.instance}: at most {options.parallel} tools at a time")
    agent.ready()
    await work(worker, options)
    log("ended, as asked")


if __name__ == "__main__":
    asyncio.run(run(parse_options()))
