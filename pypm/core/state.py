"""What a master leaves to the next one: the state as values, encoded and decoded, with a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from pypm.core.instance import NO_SPEC, Instance, shift
from pypm.core.receipt import Receipt
from pypm.core.spec import AppSpec, Origin

__all__ = [
    "STATE_VERSION",
    "App",
    "NewerStateError",
    "State",
    "StateError",
    "after_reboot",
    "assemble",
    "decode",
    "encode_app",
    "encode_instance",
    "encode_origin",
]

STATE_VERSION = 1


class StateError(Exception):
    """The bytes are no state of this version; the message says what they are."""


class NewerStateError(StateError):
    """The state is of a newer pypm: it is no damage, and nobody may put it aside."""


class App(msgspec.Struct, frozen=True):
    """A declared app, with what it inherited from the shell it was first started in."""

    spec: AppSpec
    created: float
    origin: Origin = Origin()


class StoredApp(msgspec.Struct, frozen=True, omit_defaults=True):
    """An app in the state file: what it inherited is stored once for all apps that inherited the same."""

    spec: AppSpec
    created: float
    origin: str = ""


class _StoredState(msgspec.Struct):
    """The state file, as it is written."""

    version: int
    boot_id: str
    boot_time: float
    wall_time: float
    next_id: int
    origins: dict[str, Origin]
    apps: list[StoredApp]
    instances: list[Instance]
    receipts: list[Receipt] = []


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
    receipts: list[Receipt] = []
    """Of the latest requests, oldest first."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_StoredState)


class _Header(msgspec.Struct):
    version: int


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are damaged: no JSON, no UTF-8, or nested without end."""


def encode_app(app: App, origin: str) -> bytes:
    """One app as JSON; ``origin`` is the key under which what it inherited is stored."""
    return _encoder.encode(StoredApp(app.spec, app.created, origin))


def encode_origin(origin: Origin) -> bytes:
    """What apps inherited, as JSON."""
    return _encoder.encode(origin)


def encode_instance(instance: Instance) -> bytes:
    """One instance as JSON, without its spec, which is stored with the app."""
    return _encoder.encode(msgspec.structs.replace(instance, spec=NO_SPEC))


def assemble(
    boot_id: str,
    boot_time: float,
    wall_time: float,
    next_id: int,
    origins: Mapping[str, bytes],
    apps: Iterable[bytes],
    instances: Iterable[bytes],
    receipts: Iterable[bytes] = (),
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
    parts = b'%b,\n"origins":{\n%b\n},\n"apps":[\n%b\n],\n"instances":[\n%b\n],\n"receipts":[\n%b\n]}\n'
    return parts % (
        head[:-1],
        b",\n".join(b'"%b":%b' % (key.encode(), origin) for key, origin in origins.items()),
        b",\n".join(apps),
        b",\n".join(instances),
        b",\n".join(receipts),
    )


def decode(data: bytes) -> State:
    """Read a state; its instances have their apps' specs again.

    Raises StateError for anything that is not a whole state of this version, NewerStateError for a later one.
    """
    try:
        version = msgspec.json.decode(data, type=_Header).version
    except _UNREADABLE as error:
        raise StateError(f"it is torn or no state file: {error}") from error
    if version != STATE_VERSION:
        kind = NewerStateError if version > STATE_VERSION else StateError
        raise kind(f"it has version {version}, and this pypm knows version {STATE_VERSION}")
    try:
        stored = _decoder.decode(data)
    except _UNREADABLE as error:
        raise StateError(f"it does not fit version {STATE_VERSION}: {error}") from error
    specs = {app.spec.name: app.spec for app in stored.apps}
    missing = {instance.app for instance in stored.instances} - specs.keys()
    missing |= {app.origin for app in stored.apps if app.origin} - stored.origins.keys()
    if missing:
        raise StateError(f"it refers to what it does not have: {', '.join(sorted(missing))}")
    return State(
        version=stored.version,
        boot_id=stored.boot_id,
        boot_time=stored.boot_time,
        wall_time=stored.wall_time,
        next_id=stored.next_id,
        apps=[_whole_app(app, stored.origins) for app in stored.apps],
        instances=[msgspec.structs.replace(each, spec=specs[each.app]) for each in stored.instances],
        receipts=stored.receipts,
    )


def _whole_app(app: StoredApp, origins: Mapping[str, Origin]) -> App:
    return App(app.spec, app.created, origins[app.origin] if app.origin else Origin())


def after_reboot(state: State, boot_time: float, wall_time: float) -> State:
    """Move all boot-clock times of an earlier boot to the present boot's clock, by way of the wall clock."""
    passed = max(0.0, wall_time - state.wall_time)
    seconds = boot_time - passed - state.boot_time
    return msgspec.structs.replace(
        state,
        apps=[msgspec.structs.replace(app, created=app.created + seconds) for app in state.apps],
        instances=[shift(instance, seconds) for instance in state.instances],
        receipts=[],  # whoever asked is gone
    )
