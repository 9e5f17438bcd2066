"""A named snapshot: what was declared and what was wanted at one moment, to be brought back later.

It has what a person decided (specs, environments, up or down) and nothing of what only happened to be so
(pids, counters, reasons).
"""

from __future__ import annotations

import msgspec

from pypm.core.spec import AppSpec, Origin
from pypm.core.state import NewerStateError, StateError, encode_origin

__all__ = ["SNAPSHOT_VERSION", "SavedApp", "Snapshot", "decode_snapshot", "encode_snapshot"]

SNAPSHOT_VERSION = 1


class SavedApp(msgspec.Struct, frozen=True):
    """An app, and the indexes of its instances that were wanted up, and down."""

    spec: AppSpec
    origin: Origin
    up: tuple[int, ...]
    down: tuple[int, ...]


class Snapshot(msgspec.Struct, frozen=True):
    """All apps at ``saved_at``, a Unix time in seconds."""

    saved_at: float
    apps: tuple[SavedApp, ...]


class _StoredApp(msgspec.Struct, omit_defaults=True):
    """As in the state file, an environment is stored once for all apps that inherited the same."""

    spec: AppSpec
    origin: str
    up: tuple[int, ...] = ()
    down: tuple[int, ...] = ()


class _Header(msgspec.Struct):
    version: int


class _Stored(_Header):
    saved_at: float
    origins: dict[str, Origin]
    apps: list[_StoredApp]


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The snapshot's file, JSON."""
    keys: dict[bytes, str] = {}
    origins: dict[str, Origin] = {}
    apps = []
    for app in snapshot.apps:
        key = keys.setdefault(encode_origin(app.origin), str(len(keys)))
        origins[key] = app.origin
        apps.append(_StoredApp(app.spec, key, app.up, app.down))
    stored = _Stored(SNAPSHOT_VERSION, snapshot.saved_at, origins, apps)
    return msgspec.json.format(msgspec.json.encode(stored), indent=1) + b"\n"


def decode_snapshot(data: bytes) -> Snapshot:
    """Read a snapshot. Raises StateError for what is none, NewerStateError for one of a later version."""
    try:
        version = msgspec.json.decode(data, type=_Header).version
        if version != SNAPSHOT_VERSION:
            kind = NewerStateError if version > SNAPSHOT_VERSION else StateError
            raise kind(f"it has version {version}, and this pypm knows version {SNAPSHOT_VERSION}")
        stored = msgspec.json.decode(data, type=_Stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StateError(f"it is torn or no snapshot: {error}") from error
    _check(stored)
    apps = (SavedApp(app.spec, stored.origins[app.origin], app.up, app.down) for app in stored.apps)
    return Snapshot(stored.saved_at, tuple(apps))


def _check(stored: _Stored) -> None:
    """Raise StateError for what fits the form and still is no snapshot, such as one changed by hand."""
    if missing := {app.origin for app in stored.apps} - stored.origins.keys():
        raise StateError(f"it refers to what it does not have: {', '.join(sorted(missing))}")
    names = [app.spec.name for app in stored.apps]
    if len(set(names)) < len(names):
        raise StateError("it has an app twice")
    for app in stored.apps:
        indexes = [*app.up, *app.down]
        possible = set(indexes) <= set(range(app.spec.instances)) and len(set(indexes)) == len(indexes)
        if not indexes or not possible:
            raise StateError(f"{app.spec.name} cannot have the instances {indexes}")
