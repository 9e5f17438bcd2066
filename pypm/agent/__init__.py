"""What a supervised program may say to pypm: functions that never disturb the program.

    from pypm import agent

    agent.ready()                                # I can work: ends "starting" of an app with wait_ready
    while not stopped:
        agent.heartbeat()                        # I am alive, my loop turns
        with agent.waiting(120, "model call"):   # this may take two minutes: that is no stall
            answer = ask()
        agent.progress(iteration=number)         # work was done
        agent.status("question 3 of 12")         # what `pypm list` shows beside my name
        agent.checkpoint.save(state)             # what the next run needs to know
    agent.stopping()                             # I have begun to end by myself

Every function returns at once (some microseconds; the first call imports pyzmq, tens of milliseconds), never
raises, may be called from any thread, from a signal handler, from asyncio and from a forked child: no program
needs an ``if`` around them. Only ``checkpoint`` waits for the disk, and may raise. To whom they speak depends
on who started the program:

- pypm: over ZeroMQ (or, where pyzmq is not installed, over ``NOTIFY_SOCKET``);
- systemd, or whoever else has set ``NOTIFY_SOCKET``: as messages of sd_notify;
- Kubernetes: ``serve_health(port)`` answers its probes from the same facts;
- nobody: they do nothing.

Messages are sent in the background. While there is no master (it is being restarted or upgraded) they wait,
up to a bound; beyond it the newest are dropped. Every heartbeat repeats whether ``ready`` was said, the last
status and what is waited for, so none of that is lost with a dropped message or a replaced master. The exit
of a program waits at most 0.2 s for unsent messages.

docs/agent.md has more of each of them, docs/agent-protocol.md is the protocol for other languages.
"""

from __future__ import annotations

import atexit
import math
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pypm.agent import checkpoint
from pypm.agent.actions import Actions
from pypm.agent.beats import Heartbeats, ThreadHeartbeats
from pypm.agent.channel import Channel
from pypm.agent.checkpoint import CheckpointError
from pypm.agent.facts import short_text
from pypm.agent.restart import LastExit, RestartInfo, read_restart_info
from pypm.agent.shutdown import Shutdown
from pypm.agent.tasks import Task
from pypm.agent.waits import BY_HAND, Wait

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pypm.agent.channel import Proof
    from pypm.agent.health import HealthServer

__all__ = [
    "CheckpointError",
    "Heartbeats",
    "LastExit",
    "RestartInfo",
    "Task",
    "ThreadHeartbeats",
    "Wait",
    "action",
    "checkpoint",
    "enabled",
    "extend_deadline",
    "heartbeat",
    "heartbeat_thread",
    "heartbeats",
    "metric",
    "on_memory_pressure",
    "on_shutdown",
    "progress",
    "ready",
    "reset_deadline",
    "restart_info",
    "serve_health",
    "start_heartbeats",
    "status",
    "stopping",
    "task",
    "waiting",
]

MEMORY_PRESSURE = "memory-pressure"
"""The name of the action that a master asks for by itself."""

NAME_LENGTH = 100
"""Characters of the name of a metric or task that are sent."""

LARGEST_WHOLE = 2**53
"""From here on whole numbers are sent as floats, as not every language can read them."""

restart_info = read_restart_info(os.environ)
"""What is known of the runs before this one: ``is_restart``, ``restarts``, ``cause``, ``reason``,
``last_exit`` (``code``, ``signal``), ``previous_run_id``."""

_channel = Channel()
_actions: Actions | None = None
_inherited: list[Channel | Actions] = []
"""Channels of the processes this one was forked from. They are kept, not closed: their sockets belong to
the parent, and to collect one would be to touch it."""

Function = TypeVar("Function", bound="Callable[..., object]")


# --- the three facts ---


def ready() -> None:
    """Say that this program can do its work: ends ``starting`` where the app has ``wait_ready``."""
    with suppress(Exception):  # whatever goes wrong here is less than the agent's work
        _own_channel().ready()


def heartbeat() -> None:
    """Say that this program is alive and its loop turns. At most ten a second are sent; the rest are free."""
    _beat("")


def progress(iteration: int | None = None, message: str = "") -> None:
    """Say that work was done: a step, a tool call, some tokens; not merely that time has passed.

    ``iteration`` counts them, ``message`` says in a few words what was done; both are shown. At most ten a
    second are sent, and the last one of a burst with what is said next.
    """
    with suppress(Exception):  # as in ready
        _own_channel().progress(None if iteration is None else int(iteration), message)


def heartbeats(interval: float | None = None) -> Heartbeats:
    """Heartbeats from asyncio's loop, which prove that it turns: ``async with agent.heartbeats():``.

    ``interval`` is in seconds; by default one, or less where systemd's watchdog asks for it.
    """
    return Heartbeats(_beat_of_loop, interval)


def start_heartbeats(
    loop: asyncio.AbstractEventLoop | None = None, interval: float | None = None
) -> Heartbeats:
    """Begin heartbeats in ``loop`` (by default the running one), until the ``stop()`` of what is returned."""
    return heartbeats(interval).start(loop)


def heartbeat_thread(interval: float | None = None) -> ThreadHeartbeats:
    """Begin heartbeats in a thread, until the ``stop()`` of what is returned.

    They prove that the process lives and is scheduled, and nothing of its work: a deadlock elsewhere is not
    seen. They say so, and say nothing any more once this process sends a better heartbeat.
    """
    return ThreadHeartbeats(_beat_of_process, interval).start()


# --- what it is about ---


def status(text: str) -> None:
    """Say in a few words what this program is doing; shown by ``pypm list``, cut at 200 characters."""
    with suppress(Exception):  # as in ready
        _own_channel().status(text)


def task(name: str) -> Task:
    """A piece of work: ``with agent.task("summary"):`` says that it has begun, and is done or has failed.

    One that is done is progress; one that an exception ends has failed. ``async with`` works as well.
    """
    return Task(_short_name(name), _tell_task)


def metric(name: str, value: float) -> None:
    """Say the present value of something that is counted or measured; ``pypm describe`` shows the latest.

    ``value`` is a finite number, ``name`` has at most 100 characters. At most 100 names, and ten values a
    second of each, are sent.
    """
    with suppress(Exception):  # as in ready
        number = float(value)
        if -math.inf < number < math.inf:
            whole = isinstance(value, int) and abs(value) < LARGEST_WHOLE
            _own_channel().metric(_short_name(name), int(value) if whole else number)


# --- what may be asked of it ---


def action(name: str, *, loop: asyncio.AbstractEventLoop | None = None) -> Callable[[Function], Function]:
    """Let ``pypm trigger`` call a function: ``@agent.action("cache")``, or ``action("cache")(function)``.

    It is called without arguments, or with the text that came along, and gives what ``json.dumps`` takes, of
    at most 32 KiB; what it raises is told. Plain functions are called one after another in a thread that is
    theirs only. What a coroutine function gives is awaited in ``loop``, or else in the loop that ran when
    this, or any other function of this module, was called.
    At most 100 names of 100 characters; the same name again replaces the function. Needs pypm and pyzmq.
    """

    def register(function: Function) -> Function:
        with suppress(Exception):  # as in ready
            _register(name, function, loop)
        return function

    return register


def on_memory_pressure(
    callback: Callable[[], object], *, loop: asyncio.AbstractEventLoop | None = None
) -> None:
    """Call ``callback`` when this program and its children use as much memory as its app's ``memory_high``.

    It is for the callback to give memory back (drop a cache, end a browser), before the limit on memory has
    the program restarted. It is called again when memory has been clearly below that meanwhile; in a thread,
    or as a coroutine function in a loop, as an ``action``: it is the one of the name ``memory-pressure``.
    """
    with suppress(Exception):  # as in ready
        _register(MEMORY_PRESSURE, callback, loop)


# --- deadlines ---


def waiting(seconds: float, text: str = "") -> Wait:
    """Announce an honest wait: ``with agent.waiting(120, "model call"):``, or ``async with``.

    For so many seconds silence is no stall; what is waited for is shown. Waits may be nested and be several
    at a time, in threads and tasks: the one with the longest time left holds. After the last one the
    ordinary limits are back.
    """
    return Wait(seconds, text, _enter_wait, _leave_wait)


def extend_deadline(seconds: float, text: str = "") -> None:
    """Announce that for so many seconds from now silence is no stall; never shortens what was announced.

    As systemd's ``EXTEND_TIMEOUT_USEC`` it holds for the start, the heartbeat, progress and the stop.
    """
    _enter_wait(BY_HAND, seconds, text)


def reset_deadline() -> None:
    """Take back what ``extend_deadline`` has announced."""
    _leave_wait(BY_HAND)


# --- the end ---


def stopping() -> None:
    """Say that this program has begun to end by itself, so that its exit is no surprise."""
    with suppress(Exception):  # as in ready
        _own_channel().stopping()


def on_shutdown(callback: Callable[[], object], loop: asyncio.AbstractEventLoop | None = None) -> bool:
    """Call ``callback`` once when SIGTERM or SIGINT comes, after ``stopping`` has been said.

    It is for the callback to bring the program to its end: the signal itself no longer does. A handler that
    was there before is called afterwards; Python's own for Ctrl-C is not. Where an asyncio loop runs, or is
    given, the callback is called by the loop, and may be a coroutine function; else by the signal's handler.
    A signal that comes a second or more after the first does what it would have done without this.

    True if a signal will call it: the first one has to be registered by the main thread.
    """
    with suppress(Exception):  # as in ready
        return _own_shutdown().add(callback, loop or _running_loop())
    return False


# --- around it ---


def serve_health(
    port: int,
    host: str = "0.0.0.0",  # noqa: S104 - the prober is on the node, outside of the pod
    *,
    heartbeat_timeout: float | None = 30.0,
    progress_timeout: float | None = None,
) -> HealthServer | None:
    """Answer Kubernetes' probes ``/livez``, ``/readyz`` and ``/startupz`` on a port, in a daemon thread.

    The limits are seconds: ``/livez`` fails when a program that has sent heartbeats has sent none for longer,
    or when one that is ready has made no progress, and it waits for nothing that it has announced.
    ``/startupz`` and ``/readyz`` fail before ``ready``, ``/readyz`` also when ``/livez`` does or after
    ``stopping``.
    Returns the server (``port``, ``stop()``), or None, with a line in the log, where it cannot listen.
    """
    try:
        from pypm.agent.health import HealthServer, Limits

        server = HealthServer(host, port, _begin_anew(), Limits(heartbeat_timeout, progress_timeout))
        server.start()
    except Exception as error:  # as in ready; the prober will tell, but not why
        import logging

        logging.getLogger("pypm.agent").error("no health probes on %s:%s: %s", host, port, error)
        return None
    return server


def enabled() -> bool:
    """Tell whether what is said here is sent anywhere.

    True if this process was started by pypm (``PYPM_AGENT_ENDPOINT`` and ``PYPM_AGENT_TOKEN`` are set, the
    endpoint is valid, and pyzmq can be imported) or has a ``NOTIFY_SOCKET``. It does not tell whether anybody
    is listening at this moment.
    """
    with suppress(Exception):  # as in ready
        return _own_channel().usable()
    return False


# --- inner workings ---


def _own_channel() -> Channel:
    """Give this process's channel; a forked child begins its own (and must say ``ready`` for itself)."""
    channel = _channel if _channel.pid == os.getpid() else _begin_anew()
    if channel.is_new:
        channel.open()
    if _actions is not None and _actions.loop is None and "asyncio" in sys.modules:
        _actions.loop = _running_loop()
    return channel


def _begin_anew() -> Channel:
    global _channel, _actions
    if _channel.pid != os.getpid():
        _inherited.append(_channel)
        _channel = Channel()
        if _actions is not None:
            _inherited.append(_actions)
            _actions = None
    return _channel


def _register(name: str, function: Callable[..., Any], loop: asyncio.AbstractEventLoop | None) -> None:
    global _actions
    _own_channel()  # imports pyzmq here: nobody forks while the thread does
    endpoint, token = os.environ.get("PYPM_AGENT_ENDPOINT"), os.environ.get("PYPM_AGENT_TOKEN")
    if not endpoint or not token:
        return
    if _actions is None:
        _actions = Actions(endpoint, token)
    if loop is not None or _actions.loop is None:
        _actions.loop = loop or _running_loop()
    _actions.add(name, function)


def _beat(proves: Proof) -> None:
    with suppress(Exception):  # as in ready
        _own_channel().heartbeat(proves)


def _beat_of_loop() -> None:
    _beat("loop")


def _beat_of_process() -> None:
    _beat("process")


def _enter_wait(key: int, seconds: float, text: str) -> None:
    with suppress(Exception):  # as in ready
        _own_channel().wait(key, seconds, text)


def _leave_wait(key: int) -> None:
    with suppress(Exception):  # as in ready
        _own_channel().end_wait(key)


def _tell_task(name: str, state: str, identity: str) -> None:
    with suppress(Exception):  # as in ready
        _own_channel().task(name, state, identity)


def _short_name(name: object) -> str:
    try:
        return short_text(name, NAME_LENGTH)
    except Exception:  # an object that cannot be printed; as in ready
        return "?"


def _running_loop() -> asyncio.AbstractEventLoop | None:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


_shutdown: Shutdown | None = None


def _own_shutdown() -> Shutdown:
    global _shutdown
    if _shutdown is None:
        _shutdown = Shutdown(stopping)
    return _shutdown


def _lock_before_fork() -> None:
    """Let no other thread be inside the channel, or in the middle of importing pyzmq, when we fork."""
    _channel.opening.acquire()
    _channel.lock.acquire()


def _unlock_in_parent() -> None:
    _channel.lock.release()
    _channel.opening.release()


def _begin_in_child() -> None:
    """A new channel, and no handlers of our own: what ends a child is not the parent's callback."""
    global _shutdown
    _begin_anew()
    if _shutdown is not None:
        _shutdown.withdraw()
        _shutdown = None


def _close_at_exit() -> None:
    with suppress(Exception):  # as in ready
        channel = _begin_anew()
        if _actions is not None:
            _actions.close()
        channel.close()


os.register_at_fork(
    before=_lock_before_fork, after_in_parent=_unlock_in_parent, after_in_child=_begin_in_child
)
atexit.register(_close_at_exit)
