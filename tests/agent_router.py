"""The master's end of the agent channel for tests of agents: a ROUTER that can be taken away and replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import zmq

__all__ = ["DEADLINE", "TOKEN", "Master"]

DEADLINE = 20.0
TOKEN = "0123456789abcdef"


@dataclass
class Master:
    """The master's end of the agent channel, reduced to a ROUTER that can be taken away and replaced."""

    endpoint: str
    context: zmq.Context[zmq.Socket[bytes]] | None = None
    router: zmq.Socket[bytes] | None = None

    def start(self) -> None:
        self.context = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.router.bind(self.endpoint)

    def stop(self) -> None:
        """End as a killed process does: when this returns, nothing accepts or reads any more."""
        if self.context is not None and self.router is not None:
            self.router.close(linger=0)
            self.context.term()
        self.context = self.router = None

    def receive(self, timeout: float = DEADLINE) -> dict[str, object]:
        assert self.router is not None
        assert self.router.poll(int(timeout * 1000)), "no message came"
        parts = self.router.recv_multipart()
        assert len(parts) == 2, "an identity and one frame"
        message = json.loads(parts[1].decode("utf-8"))
        assert isinstance(message, dict)
        return message

    def receive_until(self, condition: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            message = self.receive(deadline - time.monotonic())
            if condition(message):
                return message
        raise AssertionError("the awaited message did not come")

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYPM_AGENT_ENDPOINT": self.endpoint, "PYPM_AGENT_TOKEN": TOKEN}

    def run(self, program: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a program as an agent, with every warning but that about fork and threads made visible."""
        return subprocess.run(
            [
                sys.executable,
                "-X",
                "dev",
                "-W",
                "ignore:This process:DeprecationWarning",
                *options,
                "-c",
                program,
            ],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
