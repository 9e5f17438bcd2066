"""What runs have as stdin: nothing, or a pipe into which lines are written for them.

A pipe belongs to one run. The guardian holds our end by name, so that a run which outlives this master does
not see its stdin end.
"""

from __future__ import annotations

import os

from pypm.core.errors import RequestError
from pypm.core.instance import Instance
from pypm.master.run_channels import Keeper

__all__ = ["Inputs"]


class Inputs:
    """Our ends of these pipes, by instance id."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._writers: dict[int, int] = {}

    def open(self, instance: Instance) -> int | None:
        """Give the stdin of a new run, for the caller to close; None: its app has not asked for one.

        Raises OSError where no descriptor is left.
        """
        self.forget(instance.id)
        if not instance.spec.stdin:
            return None
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(writer, False)
        self._keeper.hold({_name(instance.id): writer})
        self._writers[instance.id] = writer
        return reader

    def adopt(self, instance: Instance) -> None:
        """Take over the pipe of a run that another master has started."""
        writer = self._keeper.take(_name(instance.id))
        if writer is not None:
            self._writers[instance.id] = writer

    def check(self, instance: Instance) -> None:
        """Raise RequestError where nothing can be written to an instance."""
        if instance.run is None:
            raise RequestError(f"{instance.name} does not run")
        if instance.id not in self._writers:
            hint = f"stdin = true in the file that declares {instance.app}; then restart it"
            raise RequestError(f"{instance.name} has no stdin to write to", hint=hint)

    def write(self, instance: Instance, data: bytes) -> None:
        """Write all of ``data``, at most 4096 bytes, or nothing; raises RequestError where that cannot be."""
        self.check(instance)
        try:
            os.write(self._writers[instance.id], data)
        except BlockingIOError:
            raise RequestError(f"{instance.name} does not read its stdin, which is full") from None
        except BrokenPipeError:
            raise RequestError(f"{instance.name} has closed its stdin") from None

    def forget(self, instance_id: int) -> None:
        """The run of an instance is over."""
        writer = self._writers.pop(instance_id, None)
        if writer is not None:
            self._keeper.drop([_name(instance_id)])
            os.close(writer)


def _name(instance_id: int) -> str:
    return f"in:{instance_id}"
