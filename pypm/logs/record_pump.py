"""From a pipe into log files line by line, as records; what a killed process was about is gone on with."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Sequence

import msgspec

from pypm.logs.carry import Intent, MemoryCarry
from pypm.logs.pump import DRAIN, FULL, PIPE, TURN
from pypm.logs.records import FRAMED, Framer, Framing, LineState
from pypm.logs.rotation import Identity, generations
from pypm.logs.writer import LogFile

__all__ = ["RecordPump", "Settings"]

SHARE = 256 * 1024
"""Bytes that are framed at once."""
LARGEST_BLOCK = 8 * 1024 * 1024
"""The C library takes larger blocks of memory from the kernel, and gives them back: for every read, page by
page, that takes longer than all the rest. From how many bytes on, it learns from what has been freed."""


class Settings(msgspec.Struct, frozen=True):
    """What is kept beside the bytes, so that another process frames them in the same way."""

    framing: Framing
    redact: tuple[str, ...] = ()
    """What was declared; the framing has what it has become for the present run."""
    paths: tuple[str, ...] = ()
    """The files that get the records."""


class Batch(msgspec.Struct):
    """Records on their way into the files."""

    records: bytes
    intent: Intent
    rest: bytes
    """What the file that is written now lacks of them."""


class RecordPump:
    """Moves what comes out of ``fd``, the non-blocking read end of a pipe, into ``files``, as records.

    All lines of one read have the time of that read (``clock`` gives Unix seconds). A line that was begun
    waits for its end, at most ``max_line`` bytes of it, and goes as it is with ``drain``. Where ``carry``
    outlives this process, the next pump on it goes on at the very byte, after ``recover``.

    Neither the descriptor, nor the carry, nor the files are closed here.
    """

    def __init__(
        self,
        fd: int,
        files: Sequence[LogFile],
        settings: Settings,
        carry: MemoryCarry,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.fd = fd
        self.capacity = PIPE
        """As with ``Pump``, and so are the next ones."""
        self.full_turns = 0
        self.moved = 0
        self.ended = False
        self.settings = settings
        self._files = list(dict.fromkeys(files))
        self._carry = carry
        self._clock = clock
        self._framer = Framer(settings.framing)
        self._coming: Settings | None = None
        self._batch: Batch | None = None
        self._flushing = False
        """A line that was begun does not wait for its end, as soon as it can be written."""
        self._looked = 0
        """How many of the waiting bytes are known to have no newline."""
        self._keep_settings()
        bytes(LARGEST_BLOCK)

    @property
    def files(self) -> list[LogFile]:
        """The files that get this stream."""
        return self._files

    @property
    def blocked(self) -> bool:
        """A file takes nothing now, so nothing is read: ``retry`` has to be called now and then."""
        return any(file.blocked for file in self._files)

    @property
    def is_done(self) -> bool:
        """The stream is to have no records any more, and nothing of it waits here: any pump may go on."""
        return self.settings.framing.form == "raw" and not self._carry.waiting and self._batch is None

    def turn(self, limit: int = TURN) -> int:
        """Move at most ``limit`` bytes, without waiting; gives how many were moved, as ``Pump.turn``."""
        moved = 0
        full = int(self.capacity * FULL)
        while moved < limit:
            count = self._move(limit - moved)
            moved += count
            if count < min(full, SHARE):
                break
        self.full_turns = self.full_turns + 1 if moved >= full else 0
        return moved

    def retry(self) -> int:
        """Try again to write what a blocked file holds, then take a turn; gives what ``turn`` gives."""
        for file in self._files:
            if file.blocked:
                file.retry()
        if self._batch is not None and not self.blocked:
            self._go_on(self._batch.intent.file + 1)
            self._change()
            self._write()
        return self.turn()

    def settle(self, limit: int = DRAIN) -> int:
        """Move all that is in the pipe, at most ``limit`` bytes; a line that was begun goes on waiting."""
        moved = 0
        while moved < limit and (count := self._move(limit - moved)):
            moved += count
        return moved

    def drain(self, limit: int = DRAIN) -> int:
        """As ``settle``, but nothing waits afterwards: for a process that has died."""
        moved = self.settle(limit)
        self._flushing = True
        self._write()
        return moved

    def begin_run(self, settings: Settings) -> None:
        """What comes from now on is another run's: what waits goes as it is, and a new line begins."""
        self.drain()
        if self._batch is not None:
            self._batch.intent = self._batch.intent._replace(state=LineState.NEW)
        elif self._carry.state != LineState.NEW:
            self._carry.consume(0, LineState.NEW)
        if settings.framing.form in FRAMED:
            for file in self._files:
                if not file.is_at_line_end():  # the end of a run whose output was not in lines
                    file.write(b"\n")
        self.reframe(settings)

    def reframe(self, settings: Settings) -> None:
        """Frame the lines that begin from now on differently; one written in part ends as it began."""
        self._coming = settings
        self._change()
        self._write()

    def go_on_verbatim(self) -> None:
        """The line that is in the files without a frame goes on; for a pump that has written nothing yet."""
        if not all(file.is_at_line_end() for file in self._files):
            self._carry.consume(0, LineState.VERBATIM)

    def replace_files(self, files: Sequence[LogFile]) -> None:
        """Go on into other files."""
        self._let_go()
        self._files = list(dict.fromkeys(files))
        self._keep_settings()

    def close(self) -> None:
        """Write what waits."""
        self._let_go()
        self._flushing = True
        self._write()
        self._let_go()

    def resume(self) -> None:
        """Go on where another process has left off, which had the carry meanwhile and is gone."""
        self._carry.refresh()
        self._batch, self._looked = None, 0
        self.recover()

    def recover(self) -> None:
        """Finish what another process was writing when it was killed; before anybody writes to the files."""
        intent = self._carry.intent
        if intent is None:
            return
        data = self._carry.read()[: intent.size]
        records = self._framer.frame(data, self._carry.state, intent.milliseconds)
        rest = records
        if intent.file < len(self._files):
            missing = intent.missing - present(self._files[intent.file].path, intent)
            rest = records if missing >= intent.length else records[len(records) - missing :]
        self._batch = Batch(records, intent, rest)
        self._go_on(intent.file)

    def _move(self, limit: int) -> int:
        """One read and its records; 0 when there is nothing now, a file is blocked, or the pipe has ended."""
        if self.blocked or self._batch is not None:
            return 0
        try:
            count = self._carry.fill(self.fd, min(limit, SHARE))
        except BlockingIOError:
            return 0
        self.moved += count
        if not count:
            self.ended = self._flushing = True
        self._write()
        return count

    def _write(self) -> None:
        """Write all that is ready."""
        again = not self.blocked
        while again and self._batch is None and self._carry.waiting:
            data = self._unwritten()
            if not data:
                return
            state = self._carry.state
            if self._coming is not None:
                data = data[: data.find(b"\n") + 1 or len(data)]
            measure = self._framer.measure(data, state, flush=self._flushing)
            self._looked = 0 if self._coming else len(data) - measure.size
            if not measure.size:
                return
            milliseconds = int(self._clock() * 1000)
            records = self._framer.frame(data[: measure.size], state, milliseconds)
            intent = Intent(measure.size, measure.state, milliseconds, len(records), 0)
            self._batch = Batch(records, intent, records)
            self._go_on(0)
            again = self._coming is not None or self._flushing
            self._change()
        if not self._carry.waiting:
            self._flushing = False

    def _unwritten(self) -> bytes:
        """What waits; nothing where it is known that no line has ended and none is too long."""
        fresh = self._carry.read(self._looked)
        if not self._looked:
            return fresh
        if self._flushing or b"\n" in fresh or self._carry.waiting > self._framer.longest_wait:
            return self._carry.read()
        self._looked += len(fresh)
        return b""

    def _go_on(self, first: int) -> None:
        """Write the batch into the files from number ``first`` on, up to one that blocks."""
        batch = self._batch
        assert batch is not None
        for number in range(first, len(self._files)):
            if number != batch.intent.file:
                batch.intent = batch.intent._replace(file=number)
            rest, batch.rest = batch.rest, batch.records
            self._files[number].write(rest, functools.partial(self._intend, batch))
            if self._files[number].blocked:
                return
        self._carry.consume(batch.intent.size, batch.intent.state)
        self._batch = None

    def _intend(self, batch: Batch, identity: Identity, before: int, missing: int) -> None:
        """Say what is about to be written, in a place that outlives us."""
        if self._batch is not batch:
            return  # a file that blocked has got it after all, and nobody waits for that any more
        batch.intent = Intent(*batch.intent[:5], *identity, before, missing)
        self._carry.intend(batch.intent)

    def _let_go(self) -> None:
        """Give all files their batch, also those that hold it because their disk takes nothing."""
        while self._batch is not None:
            self._go_on(self._batch.intent.file + 1)

    def _change(self) -> None:
        """Frame as it was asked for, if that can be now."""
        if self._coming is None or self._batch is not None or self._carry.state != LineState.NEW:
            return
        self.settings, self._coming = self._coming, None
        self._framer = Framer(self.settings.framing)
        self._looked = 0
        self._keep_settings()

    def _keep_settings(self) -> None:
        paths = tuple(file.path for file in self._files)
        self.settings = msgspec.structs.replace(self.settings, paths=paths)
        encoded = msgspec.msgpack.encode(self.settings)
        if encoded != self._carry.settings:
            self._carry.keep_settings(encoded)


def present(path: str, intent: Intent) -> int:
    """How much of what was intended is in a file of the log that ``path`` names, whatever its name is now.

    Nothing where nobody may look: then it is better there twice than not at all.
    """
    with contextlib.suppress(OSError):
        for generation in generations(path) or ():
            if generation.identity == (intent.device, intent.inode):
                return min(max(generation.size - intent.before, 0), intent.missing)
    return 0
