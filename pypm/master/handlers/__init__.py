"""One file a method of the socket protocol (docs/protocol.md): its parameters, and what it does."""

from __future__ import annotations

from types import ModuleType

from pypm.master.handlers import (
    apply,
    cleardump,
    delete,
    describe,
    doctor,
    env,
    flush,
    kill,
    list,  # noqa: A004 - the method's name
    ping,
    reset,
    restart,
    resurrect,
    scale,
    signal,
    snapshot_list,
    snapshot_save,
    start,
    stop,
    update,
    wait,
)

__all__ = ["HANDLERS"]

HANDLERS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        apply,
        cleardump,
        delete,
        describe,
        doctor,
        env,
        flush,
        kill,
        list,
        ping,
        reset,
        restart,
        resurrect,
        scale,
        signal,
        snapshot_list,
        snapshot_save,
        start,
        stop,
        update,
        wait,
    )
}
"""Each has ``Params`` and ``handle(master, params)``, which returns or awaits the result."""
