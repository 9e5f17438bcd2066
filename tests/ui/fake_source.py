"""A master as the screen sees it, without one: what there is, what it says, and what it was told."""

from __future__ import annotations

import threading
from typing import Any

from scripted_master import make_exit, make_row

from pypm.core.errors import NoMasterError
from pypm.tui.log_buffer import LogLine
from pypm.tui.source import Words

MEGABYTE = 1024 * 1024

WORDS = Words(
    why=lambda detail, width: (
        f"{detail['name']} is {detail['status']}\n  because  {detail['reason'] or 'it was started'}"
    ),
    describe=lambda detail, width: f"command\n  command  python {detail['app']}.py",
    event=lambda event: f"{event['time']}  {event['event']}",
)


class FakeLog:
    """A log that has some lines, and gets those that a test adds."""

    def __init__(self, lines: list[LogLine]) -> None:
        self._lines = lines
        self.came: list[LogLine] = []

    def begin(self) -> list[LogLine]:
        return list(self._lines)

    def poll(self) -> list[LogLine]:
        came, self.came = self.came, []
        return came

    def close(self) -> None:
        pass


class FakeSource:
    """What a test says there is."""

    home = "/nowhere"

    def __init__(self, rows: list[dict[str, Any]], logs: dict[int, list[LogLine]] | None = None) -> None:
        self.answer: list[dict[str, Any]] | Exception = rows
        self.logs = {row["id"]: FakeLog((logs or {}).get(row["id"], [])) for row in rows}
        self.orders: list[tuple[str, dict[str, Any]]] = []
        self.refusal: Exception | None = None
        self.metrics: dict[str, Any] = {"tokens": {"value": 1250.0, "at": 0.0}}
        self.asked = 0
        self._lock = threading.Lock()

    def rows(self) -> list[dict[str, Any]]:
        with self._lock:
            self.asked += 1
            if isinstance(self.answer, Exception):
                raise self.answer
            return [dict(row) for row in self.answer]

    def detail(self, number: int) -> dict[str, Any] | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        row = next((row for row in self.answer if row["id"] == number), None)
        if row is None:
            return None
        runs = [make_exit(code=1, reason="exit code 1"), make_exit(code=0, reason="told to stop")]
        return {**row, "run_id": "abc", "runs": runs, "metrics": self.metrics}

    def log(self, number: int) -> FakeLog:
        return self.logs[number]

    def events(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"time": "10:02", "event": "run.ended", "name": row["name"], "id": row["id"]},
            {"time": "10:01", "event": "run.began", "name": row["name"], "id": row["id"]},
        ]

    def order(self, method: str, params: dict[str, Any]) -> Any:
        if self.refusal is not None:
            raise self.refusal
        with self._lock:
            self.orders.append((method, params))
        if method == "flush":
            return {"files": ["/a"], "deleted": []}
        done = {"stop": "stopped", "restart": "restarted", "signal": "signalled", "scale": "scaled"}
        ids = [int(target) for target in params.get("targets", ())]
        entries = [{"id": each, "name": f"n{each}", "action": done.get(method, "started")} for each in ids]
        return {"instances": entries, "warnings": []}


def no_master() -> NoMasterError:
    return NoMasterError("no master is running", hint="`pypm start …` starts one")


def company() -> list[dict[str, Any]]:
    """Some agents of two namespaces, not all of them well."""
    return [
        make_row(
            0, "model", namespace="serving", cpu_percent=62.0, memory_bytes=900 * MEGABYTE, health="healthy"
        ),
        make_row(
            1,
            "research",
            cpu_percent=8.0,
            progress_age_seconds=4.0,
            health="healthy",
            status_text="reads 12 papers",
        ),
        make_row(2, "tools:0", cpu_percent=2.0, memory_bytes=30 * MEGABYTE),
        make_row(3, "tools:1", cpu_percent=3.0, memory_bytes=31 * MEGABYTE, restarts=2),
        make_row(4, "leaky", memory_bytes=480 * MEGABYTE, health="stalled", trouble="no progress for 31m"),
        make_row(5, "flaky", status="errored", restarts=15, reason="given up after 15 restarts within 1m"),
        make_row(6, "nightly", namespace="jobs", status="stopped", desired="down"),
        make_row(7, "planner", status="backoff", restarts=3, reason="exit code 1", retry_in_seconds=4.0),
    ]


def chatter() -> list[LogLine]:
    """A log with a failure in its middle."""
    lines = [LogLine(f"step {number}: asked the model, {100 + number} tokens") for number in range(1, 31)]
    failure = [
        "Traceback (most recent call last):",
        '  File "agent.py", line 7, in step',
        "TimeoutError: no answer",
    ]
    lines[20:20] = [LogLine(text, "error", is_failure=True) for text in failure]
    return lines
