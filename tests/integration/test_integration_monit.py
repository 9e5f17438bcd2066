"""``pypm monit`` on a terminal of its own, with a real master."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios

import pytest
from real_pypm import COMMAND, RealPypm, shell, sleeper

from pypm.testing import wait_until

ESCAPES = re.compile(rb"\x1b\[[0-9;?>]*[a-zA-Z$]|\x1b\][^\x07]*\x07")
LINES, COLUMNS = 24, 100


class Terminal:
    """A program on a terminal; ``seen`` is all that it has printed, without colours and moves."""

    def __init__(self, pypm: RealPypm, *words: str, term: str = "xterm-256color") -> None:
        self.seen = b""
        self.raw = b""
        self.status: int | None = None
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(pypm.folder)
            os.environ["TERM"] = term
            os.environ.pop("NO_COLOR", None)
            os.execv(COMMAND[0], [*COMMAND, *words])
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))

    def sees(self, *texts: str) -> None:
        """Wait until all of these have been printed since the last look, and forget what was before."""
        wanted = [text.encode() for text in texts]
        wait_until(
            lambda: self._read() and all(each in self.seen for each in wanted), 40.0, f"to see {texts}"
        )
        self.seen = b""

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def ends(self) -> int:
        """Wait for the end; gives the exit status."""
        wait_until(lambda: self._read() and self._is_ended(), 40.0, "the end of the screen")
        assert self.status is not None
        return self.status

    def close(self) -> None:
        os.close(self._terminal)
        if self.status is None:
            os.kill(self._pid, 9)
            os.waitpid(self._pid, 0)

    def _read(self) -> bool:
        while select.select([self._terminal], [], [], 0)[0]:
            try:
                block = os.read(self._terminal, 65536)
            except OSError:  # EIO: the other side has gone
                break
            if not block:
                break
            self.raw += block
            self.seen += ESCAPES.sub(b"", block)
        return True

    def _is_ended(self) -> bool:
        done, status = os.waitpid(self._pid, os.WNOHANG)
        if done:
            self.status = os.waitstatus_to_exitcode(status)
        return bool(done)


def test_one_watches_orders_and_outlives_a_master(pypm: RealPypm) -> None:
    pypm.start(shell("talker", "echo I am [b]here[/b]; exec sleep 86417"), sleeper("other"))
    first = pypm.pid("talker")
    terminal = Terminal(pypm, "monit")
    try:
        terminal.sees("2 instances: 2 online", "talker", "I am [b]here[/b]")
        terminal.press("r")
        pypm.wait_row("talker", lambda row: row["pid"] not in (None, first))
        terminal.sees("restarted: talker")
        pypm.kill_master()
        pypm.ok("scale", "other", "2")
        terminal.sees("3 instances: 3 online")
        terminal.press("q")
        assert terminal.ends() == 0
        assert b"\x1b[?1049l" in terminal.raw  # the screen that was there before is there again
    finally:
        terminal.close()
    assert pypm.row("talker")["status"] == "online"


def test_a_master_that_ends_and_comes_back_is_told_of(pypm: RealPypm) -> None:
    pypm.start(sleeper("worker"))
    terminal = Terminal(pypm, "monit")
    try:
        terminal.sees("1 instance: 1 online")
        pypm.ok("kill")
        terminal.sees("no master")
        pypm.start(sleeper("newcomer"))
        terminal.sees("newcomer")
        terminal.press("q")
        assert terminal.ends() == 0
    finally:
        terminal.close()


def test_one_frame_is_plain_text(pypm: RealPypm) -> None:
    pypm.start(sleeper("worker"))
    text = pypm.ok("monit", "--once", env={**os.environ, "COLUMNS": "60"})
    assert text.startswith("1 instance: 1 online")
    assert "worker" in text
    assert all(len(line) <= 60 for line in text.splitlines())
    assert [row["name"] for row in pypm.json("monit")] == ["worker"]
    assert "worker" in pypm.fails(3, "monit", "--once", "wroker")


def test_without_a_terminal_it_names_what_works(pypm: RealPypm) -> None:
    assert "--once" in pypm.fails(2, "monit")
    assert "--once" in pypm.fails(2, "monit", "worker")


def test_without_a_master_the_exit_status_is_four(pypm: RealPypm) -> None:
    assert "no master is running" in pypm.fails(4, "monit", "--once")


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_dumb_terminal_is_refused(pypm: RealPypm, term: str) -> None:
    terminal = Terminal(pypm, "monit", term=term)
    try:
        terminal.sees("--once")
        assert terminal.ends() == 2
    finally:
        terminal.close()
