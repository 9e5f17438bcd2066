"""What a master leaves to the next one: the state as values, encoded and decoded, with a version."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pypm.core.instance import NO_SPEC, Instance, shift
from pypm.core.spec import AppSpec, Origin

__all__ = [
    "STATE_VERSION",
    "App",
    "State",
    "StateError",
    "after_reboot",
    "assemble",
    "decode",
    "encode_app",
    "encode_instance",
]

STATE_VERSION = 1


class StateError(Exception):
    """The bytes are no state of this version; the message says what they are."""


class App(msgspec.Struct, frozen=True, omit_defaults=True):
    """A declared app, with what it inherited from the shell it was first started in."""

    spec: AppSpec
    created: float
    origin: Origin = Origin()


class State(msgspec.Struct, frozen=True):
    """All that a master knows, at one moment."""

    version: int
    boot_id: str
    boot_time: float
    """The boot clock, in seconds, when this was written."""
    wall_time: float
    """The wall clock, as a Unix time, at the same moment."""
    next_id: int
    apps: list[App]
    instances: list[Instance]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(State)


class _Header(msgspec.Struct):
    version: int


def encode_app(app: App) -> bytes:
    """One app as JSON."""
    return _encoder.encode(app)


def encode_instance(instance: Instance) -> bytes:
    """One instance as JSON, without its spec, which is stored with the app."""
    return _encoder.encode(msgspec.structs.replace(instance, spec=NO_SPEC))


def assemble(
    boot_id: str,
    boot_time: float,
    wall_time: float,
    next_id: int,
    apps: Iterable[bytes],
    instances: Iterable[bytes],
) -> bytes:
    """The state's bytes from its encoded parts, so that a commit encodes only what has changed."""
    head = msgspec.json.encode(
        {
            "version": STATE_VERSION,
            "boot_id": boot_id,
            "boot_time": boot_time,
            "wall_time": wall_time,
            "next_id": next_id,
        }
    )
    return b'%b,\n"apps":[\n%b\n],\n"instances":[\n%b\n]}\n' % (
        head[:-1],
        b",\n".join(apps),
        b",\n".join(instances),
    )


def decode(data: bytes) -> State:
    """Read a state; its instances have their apps' specs again.

    Raises StateError for anything that is not a whole state of this version.
    """
    try:
        version = msgspec.json.decode(data, type=_Header).version
    except msgspec.MsgspecError as error:
        raise StateError(f"it is torn or no state file: {error}") from error
    if version != STATE_VERSION:
        raise StateError(f"it has version {version}, and this pypm knows version {STATE_VERSION}")
    try:
        state = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise StateError(f"it does not fit version {STATE_VERSION}: {error}") from error
    specs = {app.spec.name: app.spec for app in state.apps}
    missing = {instance.app for instance in state.instances} - specs.keys()
    if missing:
        raise StateError(f"it has instances of apps that it does not have: {', '.join(sorted(missing))}")
    whole = [msgspec.structs.replace(instance, spec=specs[instance.app]) for instance in state.instances]
    return msgspec.structs.replace(state, instances=whole)


def after_reboot(state: State, boot_time: float, wall_time: float) -> State:
    """Move all boot-clock times of an earlier boot to the present boot's clock, by way of the wall clock."""
    passed = max(0.0, wall_time - state.wall_time)
    seconds = boot_time - passed - state.boot_time
    return msgspec.structs.replace(
        state,
        apps=[msgspec.structs.replace(app, created=app.created + seconds) for app in state.apps],
        instances=[shift(instance, seconds) for instance in state.instances],
    )
