"""A program with a bug: most of what it is fed is well formed, and on the rest it crashes with a traceback.

    python examples/flaky_agent.py --crash-rate 0.06

Each second it takes an answer that a tool has given it (JSON text) and adds up what it says. Now and then an
answer is truncated, lacks a field, or counts zero results, and nobody has written the code for that. How
often is --crash-rate (CRASH_RATE), the probability from 0 to 1 of each second; what comes when follows from
--seed (CRASH_SEED) and the number of the life, so that every life is another one and each can be had again.

What it teaches: an uncaught exception ends the process with exit code 1, and the traceback is in the error
log (``pypm logs flaky --err``). pypm starts it again, later each time if it goes on like that (backoff), and
gives it up (``errored``) only after more than ``max_restarts`` restarts within ``restart_window``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pypm import agent

HERE = Path(__file__).resolve().parent
TURN = 1.0
LOG_EVERY = 5
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Tool:
    """A search tool whose answers are not always what its documentation says."""

    def __init__(self, chance: random.Random, bad_rate: float) -> None:
        self._chance = chance
        self._bad_rate = bad_rate

    def answer(self) -> str:
        """Give the next answer as JSON text; a bad one with the given probability."""
        results = self._chance.randint(1, 20)
        good = {"query": "tides", "results": results, "seconds": round(results * 0.04, 2)}
        if self._chance.random() >= self._bad_rate:
            return json.dumps(good)
        kind = self._chance.choice(("truncated", "field missing", "no results"))
        if kind == "truncated":
            return json.dumps(good)[:-9]
        if kind == "field missing":
            del good["seconds"]
        else:
            good["results"] = 0
        return json.dumps(good)


class Statistics:
    """Adds up what the tool says, and trusts it too much."""

    def __init__(self) -> None:
        self.answers = 0
        self.results = 0
        self.slowest = 0.0

    def take(self, text: str) -> None:
        """Add one answer; raises whatever the text provokes, which is the bug."""
        answer = json.loads(text)
        self.slowest = max(self.slowest, self._seconds_each(answer))
        self.answers += 1
        self.results += answer["results"]

    def _seconds_each(self, answer: dict[str, Any]) -> float:
        return float(answer["seconds"] / answer["results"])


def next_life(path: Path) -> int:
    """Count this life in a file, so that a new life is not the old one over again."""
    try:
        life = int(path.read_text(encoding="ascii")) + 1
    except (OSError, ValueError):
        life = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(str(life), encoding="ascii")
    os.replace(new, path)
    return life


def log(text: str) -> None:
    """Print a line at once: a supervisor reads it from a pipe."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def parse_options() -> argparse.Namespace:
    """Read the command line, whose defaults come from the environment."""
    env = os.environ.get
    parser = argparse.ArgumentParser(description="A program that crashes now and then.")
    parser.add_argument("--crash-rate", type=float, default=float(env("CRASH_RATE", "0.06")), help="0 to 1")
    parser.add_argument("--seed", type=int, default=int(env("CRASH_SEED", "1")))
    parser.add_argument("--turn", type=float, default=TURN, help="seconds between two answers")
    parser.add_argument("--work", type=Path, default=Path(env("WORK", str(HERE / "work"))))
    return parser.parse_args()


def main() -> int:
    """Add up until SIGTERM, Ctrl-C, or the first bad answer."""
    # Blocked, and fetched by sigtimedwait below: a signal then comes where we look for it, and only there.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    options = parse_options()
    life = next_life(options.work / "flaky" / "lives")
    tool = Tool(random.Random(f"{options.seed}/{life}"), options.crash_rate)
    statistics = Statistics()
    log(f"life {life} begins")
    agent.ready()
    while signal.sigtimedwait(STOP_SIGNALS, options.turn) is None:
        statistics.take(tool.answer())
        agent.heartbeat()
        agent.status(f"life {life}: {statistics.answers} answers, {statistics.results} results")
        if statistics.answers % LOG_EVERY == 0:
            log(f"{statistics.answers} answers, {statistics.results} results")
    agent.stopping()
    log(f"life {life} ends after {statistics.answers} answers, as asked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
