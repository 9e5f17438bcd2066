"""The program that compresses a rotated file: what is left when it fails."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Callable
from pathlib import Path

from pypm.logs.inventory import partial_path
from pypm.logs.rotation import Generation, list_generations
from pypm.master.compressor import Compressor


def at_once(_: Generation, work: Callable[[], None]) -> None:
    work()


def test_what_a_failed_compression_has_left_is_deleted_and_the_next_one_succeeds(tmp_path: Path) -> None:
    (tmp_path / "x.log.1").write_bytes(b"one\n")
    file = list_generations(str(tmp_path / "x.log"))[0]
    partial = Path(partial_path(file, ".gz"))
    partial.write_bytes(b"half")

    async def compress() -> None:
        done = asyncio.Event()
        compressor = Compressor(asyncio.get_running_loop(), done.set, at_once)
        compressor.start(file, "gzip")
        async with asyncio.timeout(20):
            await done.wait()
        os.waitpid(-1, 0)

    asyncio.run(compress())
    assert not partial.exists()
    assert Path(file.path).read_bytes() == b"one\n"
    asyncio.run(compress())
    assert gzip.decompress((tmp_path / "x.log.1.gz").read_bytes()) == b"one\n"
    assert not Path(file.path).exists()
