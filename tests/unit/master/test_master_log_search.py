"""Looking through the last lines of a run: only of that run, in every form, and never without end."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from pypm.core.events import Event, LogRead
from pypm.core.instance import Instance, Run
from pypm.core.rules import LogMatch
from pypm.core.spec import AppSpec, LogSpec
from pypm.logs.index import IndexWriter
from pypm.master.log_search import MOST_THREADS, LogSearch

RUN = Run("00000000000b", "token", 10, 1, 0.0)
SPEC = AppSpec("worker", ("/bin/worker",), "/")
INSTANCE = Instance(id=3, app="worker", index=0, created=0.0, since=0.0, spec=SPEC, run=RUN)


def written(folder: Path, name: str, *runs: tuple[int, str]) -> None:
    """A raw log with an index that tells which run wrote what."""
    path = folder / name
    path.touch()
    index = IndexWriter()
    index.begin(str(path), os.stat(path).st_ino, 0)
    for run, text in runs:
        index.note(1000, path.stat().st_size, run)
        with path.open("a") as file:
            file.write(text)


def found(folder: Path, instance: Instance, *patterns: str) -> tuple[LogMatch, ...]:
    heard: list[Event] = []

    async def search() -> None:
        done = asyncio.Event()

        def handle(instance_id: int, event: Event) -> None:
            assert instance_id == 3
            heard.append(event)
            done.set()

        search = LogSearch(asyncio.get_running_loop(), handle, str(folder))
        search.read(instance, patterns)
        await asyncio.wait_for(done.wait(), 20.0)

    asyncio.run(search())
    (event,) = heard
    assert isinstance(event, LogRead)
    assert event.run_id == RUN.run_id
    return event.matches


def test_both_streams_of_that_run_only(tmp_path: Path) -> None:
    written(tmp_path, "worker-out.log", (10, "old one\n"), (11, "new one\nmore\n"))
    written(tmp_path, "worker-error.log", (11, "failed\nretry after 30"))
    matches = found(tmp_path, INSTANCE, "one", "old", r"after (\d+)")
    assert matches == (LogMatch("one", "new one"), LogMatch(r"after (\d+)", "retry after 30", ("30",)))


JSON = '{"timestamp":"2026-11-22T20:00:00.000Z","type":"err","process_id":3,"app_name":"worker",'
RECORDS = {
    "text": "2026-11-22T20:00:00.000Z err RUN retry after 30\n",
    "json": JSON + '"run_id":"RUN","message":"retry after 30"}\n',
}


@pytest.mark.parametrize("form", RECORDS)
def test_records_are_taken_apart(tmp_path: Path, form: str) -> None:
    line = RECORDS[form]
    text = line.replace("RUN", "00000000000a").replace("after 30", "after 10") + line.replace(
        "RUN", RUN.run_id
    )
    (tmp_path / "worker-error.log").write_text(text)
    spec = replace(SPEC, logs=LogSpec(form=form))  # type: ignore[arg-type]
    assert found(tmp_path, replace(INSTANCE, spec=spec), r"^retry after (\d+)$") == (
        LogMatch(r"^retry after (\d+)$", "retry after 30", ("30",)),
    )


def test_without_logs_nothing_matches(tmp_path: Path) -> None:
    assert found(tmp_path, INSTANCE, ".") == ()
    silent = replace(INSTANCE, spec=replace(SPEC, logs=LogSpec(disabled=True)))
    assert found(tmp_path, silent, ".") == ()


def test_a_pattern_that_never_ends_is_given_up_and_the_others_count(tmp_path: Path) -> None:
    written(tmp_path, "worker-error.log", (11, "a" * 60 + "b\n"))
    assert [match.pattern for match in found(tmp_path, INSTANCE, "(a+)+$", "b")] == ["b"]


def test_many_at_once_are_all_answered(tmp_path: Path) -> None:
    written(tmp_path, "worker-error.log", (11, "here\n"))
    answers = 0

    async def search() -> None:
        done = asyncio.Event()

        def handle(instance_id: int, event: Event) -> None:
            nonlocal answers
            answers += 1
            if answers == 100:
                done.set()

        search = LogSearch(asyncio.get_running_loop(), handle, str(tmp_path))
        for _ in range(100):
            search.read(INSTANCE, ("here",))
        await asyncio.wait_for(done.wait(), 20.0)

    asyncio.run(search())
    assert answers == 100


def test_where_no_thread_is_to_be_had_it_is_decided_without_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "worker-out.log", (11, "rate limit\n"))

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    heard: list[Event] = []

    async def search() -> None:
        search = LogSearch(asyncio.get_running_loop(), lambda _id, event: heard.append(event), str(tmp_path))
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            for _ in range(MOST_THREADS + 1):
                search.read(INSTANCE, ("rate",))
        async with asyncio.timeout(20.0):
            while len(heard) < MOST_THREADS + 1:
                await asyncio.sleep(0)
            search.read(INSTANCE, ("rate",))
            while len(heard) < MOST_THREADS + 2:
                await asyncio.sleep(0)

    asyncio.run(search())
    assert heard[:-1] == [LogRead(RUN.run_id, ())] * (MOST_THREADS + 1)
    assert heard[-1] == LogRead(RUN.run_id, (LogMatch("rate", "rate limit"),)), "it can be read later"
