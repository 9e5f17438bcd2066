"""What a supervised program may say to pypm: four functions that never disturb the program.

    from pypm import agent

    agent.ready()                        # I can work (an app with wait_ready is "starting" until then)
    while not stopped:
        agent.heartbeat()                # I am alive; cheap enough for every turn of a loop
        agent.status("question 3 of 12") # what `pypm list` shows beside my name
        ...
    agent.stopping()                     # I have begun to end by myself

Every function returns at once (some microseconds; the first call imports pyzmq, tens of milliseconds), never
raises, may be called from any thread, from a signal handler, and from a forked child, and does nothing where
the program does not run under pypm or pyzmq is not installed: no program needs an ``if`` around them.
``enabled()`` tells which of the two it is.

Messages are sent in the background. While there is no master (it is being restarted or upgraded) they wait,
up to a bound; beyond it the newest are dropped. Every heartbeat repeats whether ``ready`` was said, and the
last status, so neither is lost with a dropped message or a replaced master. A program's exit waits at most
0.2 s for unsent messages.

The protocol for other languages is in ``docs/agent-protocol.md``.
"""

from __future__ import annotations

import atexit
import os
from contextlib import suppress

from pypm.agent.channel import Channel

__all__ = ["enabled", "heartbeat", "ready", "status", "stopping"]

_channel = Channel()
_inherited: list[Channel] = []
"""Channels of the processes this one was forked from. They are kept, not closed: their sockets belong to
the parent, and to collect one would be to touch it."""


def ready() -> None:
    """Say that this program can do its work: ends ``starting`` where the app has ``wait_ready``."""
    with suppress(Exception):  # whatever goes wrong here is less than the agent's work
        _own_channel().say("ready")


def heartbeat() -> None:
    """Say that this program is alive and its loop turns. At most ten a second are sent; the rest are free."""
    with suppress(Exception):  # as in ready
        _own_channel().say("heartbeat")


def status(text: str) -> None:
    """Say in a few words what this program is doing; shown by ``pypm list``, cut at 200 characters."""
    with suppress(Exception):  # as in ready
        _own_channel().say("status", text)


def stopping() -> None:
    """Say that this program has begun to end by itself, so that its exit is no surprise."""
    with suppress(Exception):  # as in ready
        _own_channel().say("stopping")


def enabled() -> bool:
    """Tell whether what is said here is sent anywhere.

    True if this process was started by pypm (``PYPM_AGENT_ENDPOINT`` and ``PYPM_AGENT_TOKEN`` are set),
    pyzmq can be imported, and the endpoint is a valid one. It does not tell whether a master is listening at
    this moment.
    """
    with suppress(Exception):  # as in ready
        return _own_channel().usable()
    return False


def _own_channel() -> Channel:
    """Give this process's channel; a forked child begins its own (and must say ``ready`` for itself)."""
    global _channel
    if _channel.pid != os.getpid():
        _inherited.append(_channel)
        _channel = Channel()
    return _channel


def _lock_before_fork() -> None:
    """Let no other thread be inside the channel, or in the middle of importing pyzmq, when we fork."""
    _channel.lock.acquire()


def _unlock_in_parent() -> None:
    _channel.lock.release()


def _close_at_exit() -> None:
    with suppress(Exception):  # as in ready
        _own_channel().close()


os.register_at_fork(before=_lock_before_fork, after_in_parent=_unlock_in_parent, after_in_child=_own_channel)
atexit.register(_close_at_exit)
