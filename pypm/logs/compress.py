"""Compressing a rotated file: a short-lived program, which the master starts for one file at a time.

A program and not a thread of the master: a thread at the lowest priority that is put aside while it holds the
interpreter's lock would put the master aside with it, for as long as others keep the processors busy.

What it writes is under a name that nobody reads. The master gives it its own name, in its loop, where all
names of logs are changed; until then nothing has happened, whenever this program or the master is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import zlib
from collections.abc import Callable, Iterator

from pypm.logs.compressed import open_generation, zstd_module
from pypm.logs.index import index_path, read_index, write_index
from pypm.logs.rotation import Compression, Generation, find

__all__ = ["compress_file", "zstd_module"]

MEMBER = 1024 * 1024
"""Plain bytes of each piece that can be decompressed alone."""
TRIES = 20
"""How often a file is looked for that is renamed between looking and opening."""
GZIP_LEVEL = 6
ZSTD_LEVEL = 3
GZIP_WINDOW = 31
"""The largest window, in gzip's format."""
PR_SET_PDEATHSIG = 1
IOPRIO_IDLE = 3 << 13
IOPRIO_CALLS = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
"""Numbers of the system call ioprio_set, which the C library does not know."""


def compress_file(generation: Generation, target: str, kind: Compression) -> int:
    """Write ``target``, a new file, with the compressed content of a rotated file, and its index beside it.

    Both are on the disk when it returns, with mode and time of last change of the plain file. Gives the inode
    of ``target``.

    Raises ``FileNotFoundError`` when the name is another file's by now, and ``OSError``, also when ``target``
    is there already or the plain file changes meanwhile.
    """
    packer = packer_of(kind)
    with (
        open(open_generation(generation), "rb", buffering=0) as source,
        open(target, "xb", buffering=0, opener=owner_only) as file,
    ):
        index = read_index(generation)  # now: while this works, a rotation may take it elsewhere
        members = [(0, 0)]
        for plain, packed in pieces(source.fileno(), packer):
            write_all(file.fileno(), packed)
            members.append((members[-1][0] + plain, members[-1][1] + len(packed)))
        status = os.fstat(source.fileno())
        if members[-1][0] != generation.size or status.st_mtime_ns != generation.modified:
            raise OSError(f"{generation.path} was changed while it was compressed")
        os.fchmod(file.fileno(), status.st_mode & 0o7777)
        os.utime(file.fileno(), ns=(status.st_atime_ns, generation.modified))
        os.fsync(file.fileno())
        inode = os.fstat(file.fileno()).st_ino
        write_index(index_path(target), inode, index.records() if index.exact else (), members)
    return inode


def owner_only(path: str, flags: int) -> int:
    """Open a file that only its owner may read."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def pieces(source: int, packer: Callable[[bytes], bytes]) -> Iterator[tuple[int, bytes]]:
    """The pieces of a file: how many bytes each has, and what becomes of them."""
    while chunk := os.read(source, MEMBER):
        yield len(chunk), packer(chunk)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def packer_of(kind: Compression) -> Callable[[bytes], bytes]:
    """What makes of bytes a member or frame that is whole by itself."""
    if kind == "gzip":
        return gzip_member
    module = zstd_module()
    if module is None:
        raise OSError("zstd needs Python 3.14 or pypm[zstd]")
    if hasattr(module, "ZstdFile"):
        return lambda data: bytes(module.compress(data, ZSTD_LEVEL))
    return lambda data: bytes(module.ZstdCompressor(level=ZSTD_LEVEL).compress(data))


def gzip_member(data: bytes) -> bytes:
    """One member of a gzip file."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
    return packer.compress(data) + packer.flush()


def step_back() -> None:
    """Let everybody else go first, at the processor and at the disk, and end with the master."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    call = IOPRIO_CALLS.get(os.uname().machine)
    if call is not None:
        libc.syscall(call, 1, 0, IOPRIO_IDLE)


def compress_wherever(file: Generation, target: str, kind: Compression) -> int:
    """Like ``compress_file``, also when rotations rename the file again and again."""
    for _ in range(TRIES):
        found = find(file)
        if found is None:
            break
        with contextlib.suppress(FileNotFoundError):
            return compress_file(found, target, kind)
    raise OSError(f"{file.path} is gone or was changed")


def main() -> int:
    """Compress; print the inode of what was made, or say why it was not."""
    source, target, kind, *numbers = sys.argv[1:]
    number, size, modified, device, inode = map(int, numbers)
    file = Generation(source, number, (device, inode), size, modified)
    step_back()
    try:
        print(compress_wherever(file, target, "zstd" if kind == "zstd" else "gzip"), flush=True)
    except OSError as error:
        print(error, flush=True)
        return 1
    return 0
