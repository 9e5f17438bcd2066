"""Real agents get stuck in three ways: how long after that are they acted on?"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench, Collected
from benchmarks.peers.base import PeerError
from benchmarks.peers.pypm import Pypm
from benchmarks.report import Report, Row, Target
from benchmarks.supervised import columns, supervised

__all__ = ["moments", "run"]

LIMIT = 3.0
"""Seconds of ``heartbeat_timeout``."""
PATIENCE_SECONDS = 40.0
WAYS = {
    "sleep": "a synchronous sleep in its loop",
    "deadlock": "a deadlock in its loop",
    "stopped": "SIGSTOP",
}
AGENT = """
import asyncio, sys, threading, time
from pypm import agent
way, note = sys.argv[1:]
async def main():
    agent.ready()
    async with agent.heartbeats():
        await asyncio.sleep(2)
        if way == "stopped":
            await asyncio.Event().wait()
        open(note, "w").write(str(time.time()))
        if way == "sleep":
            time.sleep(1000)
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
asyncio.run(main())
"""
APP = """
[[apps]]
name = "{name}"
command = {command}
[apps.health]
heartbeat_timeout = "{limit:g}s"
"""
STEPS = {"health.heartbeat": "told", "instance.stopping": "signalled", "run.ended": "gone"}


def run(bench: Bench) -> Report:
    """pypm only: no other manager hears heartbeats of what it has not been written for."""
    report = Report("stuck_agents", f"agents that get stuck, with a limit of {LIMIT:g} s", "")
    rounds = bench.rounds(normal=10, quick=2)
    bench.say(f"{rounds} agents for each of {len(WAYS)} ways")
    report.notes.append("from the moment at which it is stuck, its last heartbeat being up to 1 s older")
    collected = Collected()
    for column in columns(bench):
        with bench.tolerate(report, column), supervised(bench, column, 1) as (_, peer):
            for number in range(rounds):
                _measure(collected, column, peer, number)
    for way, words in WAYS.items():
        report.rows += [
            collected.fill(
                Row(
                    f"{words}: until it is acted on, worst",
                    "s",
                    statistic="worst",
                    targets=(Target(LIMIT + 1),),
                ),
                f"{way} told",
            ),
            collected.fill(
                Row(
                    f"{words}: until its report is written and it is told to end, worst",
                    "s",
                    statistic="worst",
                ),
                f"{way} signalled",
            ),
            collected.fill(Row(f"{words}: until it is gone, worst", "s", statistic="worst"), f"{way} gone"),
        ]
    return report


def _measure(collected: Collected, column: str, peer: Pypm, number: int) -> None:
    names = {way: f"{way}-{number}" for way in WAYS}
    notes = {way: peer.home / name for way, name in names.items()}
    file = peer.home / f"stuck-{number}.toml"
    argv = {way: [sys.executable, "-c", AGENT, way, str(note)] for way, note in notes.items()}
    file.write_text(
        "".join(APP.format(name=names[way], command=json.dumps(argv[way]), limit=LIMIT) for way in WAYS)
    )
    peer.command(*peer.words("start", str(file)))
    time.sleep(2.0)  # it beats
    pid = next(row["pid"] for row in peer.call("list") if row["name"] == names["stopped"])
    notes["stopped"].write_text(str(time.time()))
    os.kill(pid, signal.SIGSTOP)
    events = Path(peer.environment["PYPM_HOME"]) / "events.jsonl"
    for way, name in names.items():
        gone = partial(_is_gone, events, name)
        peer.wait_until(gone, f"the end of {name}", PATIENCE_SECONDS)
        found = moments(events.read_text(), name)
        if set(found) != set(STEPS.values()):
            raise PeerError(f"{name} has ended without {', '.join(set(STEPS.values()) - set(found))}")
        stuck = float(notes[way].read_text())
        for step, at in found.items():
            collected.add(f"{way} {step}", column, at - stuck)
    peer.command(*peer.words("delete", *names.values()))


def _is_gone(events: Path, name: str) -> bool:
    return "gone" in moments(events.read_text(), name)


def moments(text: str, name: str) -> dict[str, float]:
    """When (Unix time) each of ``STEPS`` first came about an agent, by what is in an events.jsonl."""
    found: dict[str, float] = {}
    for line in text.splitlines(keepends=True):
        event = json.loads(line) if line.endswith("\n") else {}
        if event.get("name") == name and event["event"] in STEPS:
            found.setdefault(STEPS[event["event"]], datetime.fromisoformat(event["time"]).timestamp())
    return found
