"""A file system in user space that stalls when it is told to: one flat folder, in the memory of the tests.

It speaks the kernel's FUSE protocol on /dev/fuse itself, so it needs root, and nothing that is not there.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import stat
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

REQUEST = struct.Struct("<IIQQIIII")
ANSWER = struct.Struct("<IiQ")
ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
WRITE = struct.Struct("<QQIIQII")
LONGEST = 1 << 20
ROOT = 1
SIZE_GIVEN = 1 << 3
SILENT = {2, 36, 42}
"""FORGET, INTERRUPT, BATCH_FORGET: nobody waits for an answer."""
NO_ANSWER = {18, 20, 28, 29, 34}
"""RELEASE, FSYNC, READDIR, RELEASEDIR, ACCESS: there is nothing to say."""
OF_FILES = {3, 4, 15, 16}
"""GETATTR, SETATTR, READ, WRITE."""


class StallingFiles:
    """Mounted on ``folder``, until ``close``. While it is ``stalled``, whoever uses it waits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[bytes, int] = {}
        self._contents: dict[int, bytearray] = {}
        self._go = threading.Event()
        self._go.set()
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"stalling", os.fsencode(folder), b"fuse", ctypes.c_ulong(6), options):
            code = ctypes.get_errno()
            os.close(self._device)
            raise OSError(code, os.strerror(code))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stall(self) -> None:
        """Answer nobody, and do not even read what is asked, as a server that was stopped.

        Who waits for that can be killed. Nobody can who waits for the answer to a request that was read, or
        to a FLUSH, for which reason there are none here.
        """
        self._go.clear()

    def go_on(self) -> None:
        """Answer again, also who has waited."""
        self._go.set()

    def content(self, name: str) -> bytes:
        """What a file holds, without asking the kernel; nothing if there is none."""
        return bytes(self._contents.get(self._names.get(name.encode(), 0), b""))

    def close(self) -> None:
        """Unmount it."""
        self._go.set()
        subprocess.run(["umount", "-l", self.folder], check=True)
        self._thread.join(10.0)
        os.close(self._device)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # ENODEV: it was unmounted
            while True:
                select.select([self._device], [], [])
                self._go.wait()
                self._answer(os.read(self._device, LONGEST + 65536))

    def _answer(self, request: bytes) -> None:
        _, operation, unique, node, *_ = REQUEST.unpack_from(request)
        if operation in SILENT:
            return
        try:
            answer, code = self._do(operation, node, request[REQUEST.size :]), 0
        except OSError as error:
            answer, code = b"", error.errno or errno.EIO
        with contextlib.suppress(FileNotFoundError):  # who asked was interrupted
            os.write(self._device, ANSWER.pack(ANSWER.size + len(answer), -code, unique) + answer)

    def _do(self, operation: int, node: int, body: bytes) -> bytes:
        if operation in NO_ANSWER:
            return b""
        if operation in OF_FILES:
            return self._do_with_file(operation, node, body)
        match operation:
            case 26:  # INIT
                return struct.pack("<IIIIHHIIHHI28x", 7, 31, 65536, 0, 16, 12, LONGEST, 1, 256, 0, 0)
            case 1:  # LOOKUP
                return self._entry(self._names.get(body.rstrip(b"\0")))
            case 10:  # UNLINK
                del self._names[body.rstrip(b"\0")]
            case 12 | 45:  # RENAME, RENAME2
                old, new = body[8 if operation == 12 else 16 :].split(b"\0")[:2]
                self._names[new] = self._names.pop(old)
            case 14 | 27:  # OPEN, OPENDIR
                return bytes(16)
            case 35:  # CREATE
                number = self._names[body[16:].rstrip(b"\0")] = max(self._contents, default=ROOT) + 1
                self._contents[number] = bytearray()
                return self._entry(number) + bytes(16)
            case _:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return b""

    def _do_with_file(self, operation: int, node: int, body: bytes) -> bytes:
        content = self._contents.get(node, bytearray())
        if operation == 15:  # READ
            offset, size = struct.unpack_from("<8xQI", body)
            return bytes(content[offset : offset + size])
        if operation == 16:  # WRITE
            _, offset, size, *_ = WRITE.unpack_from(body)
            content[offset : offset + size] = body[WRITE.size : WRITE.size + size]
            return struct.pack("<II", size, 0)
        if operation == 4:  # SETATTR
            valid, size = struct.unpack_from("<I12xQ", body)
            if valid & SIZE_GIVEN:
                content[size:] = bytes(max(0, size - len(content)))
        return struct.pack("<QII", 0, 0, 0) + self._attributes(node)

    def _entry(self, node: int | None) -> bytes:
        if node is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + self._attributes(node)

    def _attributes(self, node: int) -> bytes:
        mode = stat.S_IFDIR | 0o700 if node == ROOT else stat.S_IFREG | 0o600
        size = len(self._contents.get(node, b""))
        return ATTRIBUTES.pack(node, size, -(-size // 512), 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


@pytest.fixture
def stalling(home: Path) -> Iterator[StallingFiles]:
    """A folder whose files can be made to stall."""
    folder = home / "slow"
    folder.mkdir()
    try:
        files = StallingFiles(folder)
    except OSError as error:
        pytest.skip(f"a file system in user space cannot be mounted here: {error}")
    try:
        yield files
    finally:
        files.close()
