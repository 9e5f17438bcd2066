"""The baseline: ``native/bare.c``, a loop of posix_spawn and waitpid."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

from benchmarks.commands import Order
from benchmarks.peers.base import ForegroundPeer, PeerError

__all__ = ["Bare"]


class _Letter:
    """An order given to the loop by one letter, which it answers with a newline."""

    def __init__(self, process: subprocess.Popen[bytes] | None, letter: bytes) -> None:
        assert process is not None
        assert process.stdin is not None
        self._process = process
        self._done: int | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.begun = time.monotonic_ns()
        process.stdin.write(letter)
        self._thread.start()

    def _watch(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.read(1):
            self._done = time.monotonic_ns()

    def wait(self, timeout: float) -> int:
        self._thread.join(timeout)
        if self._done is None:
            raise TimeoutError("the bare loop did not answer")
        return self._done


class Bare(ForegroundPeer):
    name = "bare"

    @classmethod
    def install(cls, cache: Path) -> tuple[Path, str]:
        return cache, "posix_spawn"

    def boot(self) -> None:
        arguments = [self.log_folder, self.workload.count, self.workload.agent, self.workload.stamps]
        keep = "keep" if self.workload.at_once else "once"
        self._process = subprocess.Popen(
            [self.installation.bare_program, keep, *map(str, arguments), *self.workload.mode],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def recover(self) -> None:
        raise PeerError("the loop has no memory of what it has started")

    def start(self) -> Order:
        return _Letter(self._process, b"s")

    def stop(self) -> Order:
        return _Letter(self._process, b"t")

    def restart(self) -> Order:
        return _Letter(self._process, b"r")
