"""The form in which an instance's lines go into its logs: what its spec asks for, for the present run."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Protocol

import msgspec

from pypm.core.instance import Instance
from pypm.core.redaction import LEAST_SECRET, VARIABLE, variables_of
from pypm.core.spec import LogSpec
from pypm.logs.carry import Carry, CarryError, MemoryCarry
from pypm.logs.pump import LONGEST_HELD
from pypm.logs.record_pump import Settings
from pypm.logs.records import Framing
from pypm.logs.redact import secrets_of

__all__ = [
    "NO_RUN",
    "by_lines",
    "carry_name",
    "make_settings",
    "new_carry",
    "raw_form",
    "read_settings",
    "taken_carry",
    "warn_of_unmasked",
    "with_known",
]

log = logging.getLogger(__name__)

NO_RUN = "0" * 12
"""The id of a run that is not known."""


class Holder(Protocol):
    """Holds descriptors by name for the next master."""

    def holds(self, name: str) -> bool:
        """Whether the last master has left something under this name."""

    def take(self, name: str) -> int | None:
        """What the last master has left under this name."""

    def hold(self, descriptors: dict[str, int]) -> None:
        """Keep these, from now on."""


def carry_name(stream: str) -> str:
    """The name under which the bytes of a stream are kept that are between pipe and log."""
    return f"carry:{stream}"


def new_carry(keeper: Holder, stream: str) -> MemoryCarry:
    """Where a stream's bytes are between pipe and log; where the kernel has no such thing, in our memory."""
    try:
        carry = Carry()
    except (OSError, AttributeError) as error:  # Python may be built for a system without memory files
        log.warning("%s: lines on their way into the log would die with this master: %s", stream, error)
        return MemoryCarry()
    keeper.hold({carry_name(stream): carry.descriptor})
    return carry


def taken_carry(keeper: Holder, stream: str) -> Carry | None:
    """What the last master has left of a stream between pipe and log."""
    descriptor = keeper.take(carry_name(stream))
    if descriptor is None:
        return None
    try:
        return Carry(descriptor)
    except (OSError, CarryError) as error:
        log.error("%s: lines on their way into the log are lost: %s", stream, error)
        os.close(descriptor)
        return None


def read_settings(carry: Carry) -> Settings:
    """What is kept beside the bytes; the raw form if that was never written or is another version's."""
    if carry.settings is not None:
        try:
            return msgspec.msgpack.decode(carry.settings, type=Settings)
        except msgspec.MsgspecError as error:
            log.error("how lines were framed is not known any more: %s", error)
    return Settings(Framing("raw", "out", 0, "", NO_RUN, LogSpec().max_line))


def make_settings(
    instance: Instance, stream: str, run_id: str, variables: Mapping[str, str]
) -> Settings | None:
    """What the records of a stream depend on; None where its bytes go into the logs as they are.

    ``variables`` are those of the run's environment.
    """
    logs = instance.spec.logs
    if logs.form == "raw":
        return None
    names = variables_of(logs.redact)
    framing = Framing(
        form=logs.form,
        stream="out" if stream == "out" else "err",
        instance_id=instance.shown_id,
        name=instance.name,
        run_id=run_id,
        max_line=logs.max_line,
        date_format=logs.date_format,
        patterns=tuple(entry for entry in logs.redact if not entry.startswith(VARIABLE)),
        secrets=secrets_of([variables.get(name, "") for name in names]),
    )
    return Settings(framing, logs.redact)


def by_lines() -> Settings:
    """For a stream whose bytes go as they are, but by whole lines, since others write into its files."""
    return Settings(Framing("lines", "out", 0, "", NO_RUN, LONGEST_HELD))


def raw_form(settings: Settings) -> Settings:
    """For a stream whose bytes are to go into the logs as they are from now on."""
    return Settings(msgspec.structs.replace(settings.framing, form="raw", patterns=(), secrets=()))


def warn_of_unmasked(instance: Instance, variables: Mapping[str, str]) -> None:
    """Tell which variables are to be masked in the logs and cannot be, in the run that begins."""
    for name in variables_of(instance.spec.logs.redact):
        if not secrets_of([variables.get(name, "")]):
            trouble = f"has less than {LEAST_SECRET} bytes" if name in variables else "is not set"
            log.warning("%s: %s%s masks nothing: the variable %s", instance.name, VARIABLE, name, trouble)


def with_known(settings: Settings, known: Settings) -> Settings:
    """Settings for a run that another master has started, with what that one knew of it.

    A program that sets its title writes over its environment: the secrets in it are not found again.
    """
    framing, before = settings.framing, known.framing
    if framing.run_id == NO_RUN:
        framing = msgspec.structs.replace(framing, run_id=before.run_id)
    if framing.run_id == before.run_id and variables_of(settings.redact):
        secrets = tuple(dict.fromkeys((*before.secrets, *framing.secrets)))
        framing = msgspec.structs.replace(framing, secrets=secrets)
    return msgspec.structs.replace(settings, framing=framing)
