"""A master's end of the agent channel, and a channel of this process to it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest
from agent_router import TOKEN, Master

from pypm import agent
from pypm.agent.channel import Channel


@pytest.fixture
def master() -> Iterator[Master]:
    with tempfile.TemporaryDirectory(prefix="pa", dir="/tmp") as folder:
        master = Master(f"ipc://{folder}/agents.sock")
        master.start()
        try:
            yield master
        finally:
            master.stop()


@pytest.fixture
def channel(master: Master, monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    """A new channel behind the module's functions, in a process that looks like an agent."""
    monkeypatch.setenv("PYPM_AGENT_ENDPOINT", master.endpoint)
    monkeypatch.setenv("PYPM_AGENT_TOKEN", TOKEN)
    channel = Channel()
    monkeypatch.setattr(agent, "_channel", channel)
    yield channel
    channel.close()
