"""Every known instance and its log files, from the state file: no master is asked."""

from __future__ import annotations

import os
from typing import Literal

import msgspec

from pypm.core.errors import ConfigError
from pypm.core.spec import AppSpec, instance_name
from pypm.logs.paths import LogFiles, log_files

__all__ = ["CatalogEntry", "catalog_file", "read_catalog"]


class CatalogEntry(msgspec.Struct, frozen=True):
    """An instance as far as its logs are concerned."""

    id: int
    name: str
    app: str
    namespace: str
    index: int
    merged: bool
    """Several instances write into the same files."""
    files: LogFiles
    form: Literal["raw", "text", "json"] = "raw"
    date_format: str | None = None
    runs: tuple[str, ...] = ()
    """The ids of its runs that are known, the present or latest one first."""
    running: bool = False
    """The first of them has not ended."""


class StoredApp(msgspec.Struct):
    """What is read of an app in the state file."""

    spec: AppSpec


class StoredRun(msgspec.Struct):
    """What is read of a run in the state file, present or ended."""

    run_id: str = ""
    """Empty: it never began."""


class StoredInstance(msgspec.Struct):
    """What is read of an instance in the state file."""

    id: int
    app: str
    index: int
    run: StoredRun | None = None
    runs: list[StoredRun] = []
    number: int | None = None


class StoredState(msgspec.Struct):
    """What is read of the state file."""

    apps: list[StoredApp]
    instances: list[StoredInstance]


def catalog_file(home: str) -> str:
    """The file whose change means a change of the catalog."""
    return os.path.join(home, "state", "state.json")


def read_catalog(home: str) -> list[CatalogEntry]:
    """All instances that the master of ``home`` has saved, by id; empty if it never saved any.

    Raises ``ConfigError`` when the state file cannot be read or understood, and its backup neither.
    """
    path = catalog_file(home)
    try:
        state = read_state(path)
    except ConfigError as error:
        try:
            state = read_state(f"{path}.bak")
        except ConfigError:
            state = None
        if state is None:
            raise error from None
    return [] if state is None else entries(home, state)


def read_state(path: str) -> StoredState | None:
    """What a state file says; ``None`` if there is no such file. Raises ``ConfigError``."""
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=StoredState)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a state file of pypm: {error}") from error


def entries(home: str, state: StoredState) -> list[CatalogEntry]:
    """The instances of a state, by id."""
    specs = {app.spec.name: app.spec for app in state.apps}
    logs_folder = os.path.join(home, "logs")
    return [
        CatalogEntry(
            id=shown_id(instance),
            name=instance_name(instance.app, instance.index, spec.instances),
            app=instance.app,
            namespace=spec.namespace,
            index=instance.index,
            merged=spec.instances > 1 and spec.logs.merge,
            files=log_files(logs_folder, spec, instance.index),
            form=spec.logs.form,
            date_format=spec.logs.date_format,
            runs=tuple(run.run_id for run in [instance.run, *instance.runs] if run and run.run_id),
            running=instance.run is not None,
        )
        for instance in sorted(state.instances, key=shown_id)
        if (spec := specs.get(instance.app)) is not None
    ]


def shown_id(instance: StoredInstance) -> int:
    """The id that people know an instance by."""
    return instance.id if instance.number is None else instance.number
