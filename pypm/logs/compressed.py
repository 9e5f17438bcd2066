"""Reading a file of a log as plain bytes, compressed or not."""

from __future__ import annotations

import errno
import io
import os
from typing import Any, BinaryIO

from pypm.logs.index import read_index
from pypm.logs.rotation import Generation

__all__ = ["open_generation", "open_plain", "zstd_module"]

SKIP = 1024 * 1024


class PlainReader(io.RawIOBase):
    """What a decompressing stream gives, with the file below it as its own; damage is an ``OSError``."""

    def __init__(self, stream: Any, file: BinaryIO, path: str) -> None:
        super().__init__()
        self._stream = stream
        self._file = file
        self._path = path

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read plain bytes into ``buffer``; 0 at the end. Raises ``OSError`` where the file is damaged."""
        view = memoryview(buffer)
        try:
            data: bytes = self._stream.read(len(view))
        except OSError as error:
            if error.errno is not None:
                raise
            raise OSError(errno.EIO, f"damaged: {error}", self._path) from error
        except Exception as error:  # each library has errors of its own for damaged data
            raise OSError(errno.EIO, f"damaged: {error}", self._path) from error
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the stream and the file."""
        if not self.closed:
            self._stream.close()
            self._file.close()
        super().close()


def open_generation(generation: Generation) -> int:
    """A descriptor for reading one file of a log.

    Raises ``FileNotFoundError`` when its name is another file's by now, and other ``OSError`` as they come.
    """
    descriptor = os.open(generation.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) != generation.identity:
        os.close(descriptor)
        raise FileNotFoundError(generation.path)
    return descriptor


def open_plain(generation: Generation, offset: int = 0) -> BinaryIO:
    """A file of a log for reading, from ``offset`` of its plain bytes on; at its end if it is shorter.

    In a compressed file with an index about 1 MiB at most is decompressed in vain. The stream is read
    forwards only.

    Raises ``FileNotFoundError`` when its name is another file's by now; ``OSError`` for what cannot be
    read, also when nothing here can decompress it.
    """
    file = os.fdopen(open_generation(generation), "rb")
    if generation.compression == "none":
        file.seek(offset)
        return file
    try:
        plain, compressed = 0, 0
        for member in read_index(generation).members() if offset else ():
            if member[0] > offset:
                break
            plain, compressed = member
        file.seek(compressed)
        stream = decompressing(file, generation)
    except BaseException:
        file.close()
        raise
    reader = io.BufferedReader(PlainReader(stream, file, generation.path))
    while plain < offset and (skipped := reader.read(min(SKIP, offset - plain))):
        plain += len(skipped)
    return reader


def decompressing(file: BinaryIO, generation: Generation) -> Any:
    """A stream of plain bytes from one of compressed ones."""
    if generation.compression == "gzip":
        import gzip

        return gzip.GzipFile(fileobj=file, mode="rb")
    module = zstd_module()
    if module is None:
        reason = "compressed with zstd: reading it needs Python 3.14 or pypm[zstd]"
        raise OSError(errno.ENOTSUP, reason, generation.path)
    if hasattr(module, "ZstdFile"):
        return module.ZstdFile(file, "rb")
    return module.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)


def zstd_module() -> Any:
    """``compression.zstd`` (Python 3.14), else the package ``zstandard``; ``None`` where neither is there."""
    import importlib

    for name in ("compression.zstd", "zstandard"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None
