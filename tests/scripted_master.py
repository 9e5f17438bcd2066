"""A master that answers as a test tells it to, over a real Unix socket."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from pypm import __version__
from pypm.core.errors import PypmError

RAW = "__raw__"
"""Answer that begins with this: the text behind it is sent as it is, and nothing else."""
CLOSE = "__close__"
"""Answer: the connection is closed instead."""
SILENCE = "__silence__"
"""Answer: there is none."""


class ScriptedMaster:
    """Answers each method with ``answers[method]``: a value, an error to report, or a function of the params.

    ``calls`` has what was asked, in order.
    """

    def __init__(self, home: Path, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.requests: list[dict[str, Any]] = []
        """Each request whole."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(home / "pypm.sock"))
        self._listener.listen(16)
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> ScriptedMaster:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client or the script has closed it already
        for thread in self._threads:
            thread.join(20)
        self._listener.close()

    def asked(self, method: str) -> list[dict[str, Any]]:
        """Give the params of each call of ``method``."""
        return [params for name, params in self.calls if name == method]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                for line in lines:
                    answer = self._answer(json.loads(line))
                    if answer == CLOSE.encode():
                        connection.shutdown(socket.SHUT_RDWR)
                        return
                    connection.sendall(answer)
            except OSError:
                return  # the client has gone

    def _answer(self, request: dict[str, Any]) -> bytes:
        method, params = request["method"], request["params"]
        self.calls.append((method, params))
        self.requests.append(request)
        answer: Any = self.answers[method]
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(params)
        if answer == SILENCE:
            return b""
        if isinstance(answer, str) and answer.startswith((RAW, CLOSE)):
            return answer.removeprefix(RAW).encode()
        if isinstance(answer, PypmError):
            data = {"kind": answer.code, "hint": answer.hint, "exit_status": answer.exit_status}
            error = {"code": -32000, "message": answer.message, "data": data}
            return json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}).encode() + b"\n"
        return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": answer}).encode() + b"\n"


def make_row(instance_id: int = 0, name: str = "worker", **fields: Any) -> dict[str, Any]:
    """Give a row of the protocol: an online instance, but for ``fields``."""
    row = {
        "id": instance_id,
        "name": name,
        "app": name.split(":")[0],
        "namespace": "default",
        "instance": int(name.split(":")[1]) if ":" in name else 0,
        "status": "online",
        "desired": "up",
        "pid": 1000 + instance_id,
        "restarts": 0,
        "uptime_seconds": 65.0,
        "last_run": 1_700_000_000.0,
        "next_run": None,
        "cpu_percent": 1.5,
        "memory_bytes": 12 * 1024 * 1024,
        "ready": True,
        "health": "unknown",
        "reason": "",
        "awaited": "",
        "last_exit": None,
        "status_text": "",
        "heartbeat_age_seconds": None,
        "progress_age_seconds": None,
        "progress_text": "",
        "iteration": None,
        "waiting_for": "",
        "waiting_seconds": None,
        "evidence": "",
        "trouble": "",
        "retry_in_seconds": None,
        "log_trouble": "",
        "held_until": None,
        "out_file": f"/nowhere/{name}-out.log",
        "error_file": f"/nowhere/{name}-error.log",
    }
    if fields.get("status", "online") not in ("online", "starting", "stopping"):
        row |= {
            "pid": None,
            "uptime_seconds": None,
            "cpu_percent": None,
            "memory_bytes": None,
            "ready": False,
        }
    return row | fields


def make_ping(home: Path, **fields: Any) -> dict[str, Any]:
    """Give the answer of ``ping``, but for ``fields``: of a master whose process is gone."""
    gone = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(gone, 0)
    facts = {"master_pid": gone, "guardian_pid": None, "version": "9", "protocol": 1, "uptime_seconds": 65.0}
    return {**facts, "home": str(home), **fields}


def make_doctor(home: Path, **fields: Any) -> dict[str, Any]:
    """Give the answer of ``doctor``, but for ``fields``: of a master with which all is well."""
    facts = {
        "master_pid": 11,
        "guardian_pid": 10,
        "version": __version__,
        "guarded": True,
        "instances": 3,
        "running": 2,
        "open_files": 40,
        "open_files_limit": 1024,
        "subreaper": True,
        "children_listed": True,
        "state_trouble": None,
        "log_troubles": [],
        "tree_control": {"level": "cgroup-kill", "cgroups": "unified", "folder": "/g", "trouble": ""},
    }
    return {**facts, "protocol": 1, "uptime_seconds": 65.0, "home": str(home), **fields}


def make_exit(code: int | None = None, signal: str | None = None, reason: str = "") -> dict[str, Any]:
    """Give a ``last_exit`` of the protocol."""
    cause = "signal" if signal else "exit"
    facts = {"code": code, "signal": signal, "reason": reason, "cause": cause, "report": "", "rule": ""}
    return {**facts, "run_id": "0123456789ab", "at": 1_700_000_000.0, "uptime_seconds": 0.5}


def make_change(
    *rows: dict[str, Any], action: str = "started", warnings: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Give a *change* of the protocol that did ``action`` to ``rows``."""
    instances = [{"id": row["id"], "name": row["name"], "action": action} for row in rows]
    return {"instances": instances, "warnings": list(warnings)}


def make_settled(*rows: dict[str, Any], timed_out: bool = False) -> dict[str, Any]:
    """Give the answer of ``wait`` that all of ``rows`` are there, or that the time is over."""
    return {"done": not timed_out, "timed_out": timed_out, "revision": 1, "rows": list(rows)}
