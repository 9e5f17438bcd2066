"""A program with a memory leak, as many a library has one: it grows until its memory limit has it restarted.

    python examples/leaky_agent.py --rate 1.5

It keeps the transcript of every conversation "for later" and never lets one go. --rate (LEAK_RATE) is how
many megabytes it grows in a second; every page is touched, so the memory is really used.

What it teaches: ``max_memory_restart = "60M"`` has pypm watch the resident memory of the program and of all
it has started, and restart it gracefully, with the reason in ``pypm describe leaky``. A restart is no loss:
what the program has to know lies in its own state (work/leaky/state.json, here no more than a count of its
lives), and it saves that when it gets SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from pypm import agent

HERE = Path(__file__).resolve().parent
MEGABYTE = 1024 * 1024
TURN = 0.5
LOG_EVERY = 10
CEILING = 400 * MEGABYTE
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def resident_bytes() -> int:
    """Read how much memory this process has in RAM."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def leak(size: int) -> bytearray:
    """Allocate ``size`` bytes and write to every page of them: only then does the kernel count them."""
    block = bytearray(size)
    for offset in range(0, size, os.sysconf("SC_PAGESIZE")):
        block[offset] = 1
    return block


def load_state(path: Path) -> dict[str, int]:
    """Read what the last life left behind; nothing if it left nothing whole."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        return {"lives": int(state["lives"]), "resident": int(state["resident"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"lives": 0, "resident": 0}


def save_state(path: Path, lives: int) -> None:
    """Replace the state by the present one, whole or not at all."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"lives": lives, "resident": resident_bytes()}), encoding="utf-8")
    os.replace(new, path)


def log(text: str) -> None:
    """Print a line at once: a supervisor reads it from a pipe."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def parse_options() -> argparse.Namespace:
    """Read the command line, whose defaults come from the environment."""
    parser = argparse.ArgumentParser(description="A program that leaks memory.")
    rate = float(os.environ.get("LEAK_RATE", "1.5"))
    parser.add_argument("--rate", type=float, default=rate, help="megabytes a second")
    parser.add_argument("--work", type=Path, default=Path(os.environ.get("WORK", HERE / "work")))
    return parser.parse_args()


def main() -> int:
    """Leak until SIGTERM or Ctrl-C."""
    # Blocked, and fetched by sigtimedwait below: a signal then comes where we look for it, and only there.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    options = parse_options()
    path = options.work / "leaky" / "state.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    last = load_state(path)
    life = last["lives"] + 1
    save_state(path, life)

    run = os.environ.get("PYPM_RUN_ID", "none, as pypm did not start me")
    log(f"life {life} begins at {resident_bytes() / MEGABYTE:.0f} MB (run id: {run})")
    if last["lives"]:
        seen = f"{last['resident'] / MEGABYTE:.0f} MB"
        log(f"I have been restarted: life {last['lives']} was last seen at {seen}")
    agent.ready()

    transcripts: list[bytearray] = []
    turn = 0
    while signal.sigtimedwait(STOP_SIGNALS, TURN) is None:
        turn += 1
        if resident_bytes() < CEILING:  # run by hand, without a limit, we must not eat the machine
            transcripts.append(leak(int(options.rate * TURN * MEGABYTE)))
        agent.heartbeat()
        agent.status(f"life {life}: {len(transcripts)} transcripts, {resident_bytes() / MEGABYTE:.0f} MB")
        if turn % LOG_EVERY == 0:
            log(f"{len(transcripts)} transcripts in {resident_bytes() / MEGABYTE:.0f} MB")
            save_state(path, life)

    agent.stopping()
    save_state(path, life)
    log(f"life {life} ends at {resident_bytes() / MEGABYTE:.0f} MB, as asked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
