"""Looking into a pipe; and a rotation for which nothing is taken out of it."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypm.logs import writer
from pypm.logs.peek import peek
from pypm.logs.pump import Pump
from pypm.logs.writer import LogFile


class Killed(BaseException):
    """The process ends here."""


def test_what_is_looked_at_stays() -> None:
    read, write = os.pipe2(os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        peek(read)
    os.write(write, b"abc\n")
    os.write(write, b"def")
    assert peek(read) == peek(read) == b"abc\ndef"
    assert os.read(read, 100) == b"abc\ndef"
    os.close(write)
    assert peek(read) == b""
    os.close(read)


def test_what_is_no_pipe_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("abc")
    with open(path, "rb") as file, pytest.raises(OSError, match="Invalid argument"):
        peek(file.fileno())


@given(st.lists(st.text("ab\n", min_size=1, max_size=30), max_size=20), st.integers(1, 40), st.integers(1, 9))
def test_a_kill_in_the_middle_of_a_rotation_finds_no_byte_in_memory(
    chunks: list[str], max_size: int, kill: int
) -> None:
    """The files and then the pipe are what was printed, at whichever rotation it happens."""
    rotations, shift = 0, writer.shift

    def deadly(path: str, retain: int) -> None:
        nonlocal rotations
        rotations += 1
        if rotations == kill:
            raise Killed
        shift(path, retain)

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "shift", deadly)
        read, write = os.pipe2(os.O_NONBLOCK)
        file = LogFile(f"{folder}/x.log", max_size=max_size, retain=1000)
        try:
            for chunk in chunks:
                os.write(write, chunk.encode())
            Pump(read, [file]).drain()
        except Killed:
            pass
        file.close()
        names = [Path(folder, f"x.log.{number}") for number in range(rotations, 0, -1)]
        found = b"".join(path.read_bytes() for path in [*names, Path(folder, "x.log")] if path.exists())
        os.close(write)
        assert found + os.read(read, 65536) == "".join(chunks).encode()
        os.close(read)
