"""An ecosystem file to the specs of its apps."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pypm.config.dependencies import Declared, check_dependencies, with_dependencies
from pypm.config.documents import STDIN, Document, read_document
from pypm.config.faults import Faults, Place, nearest
from pypm.config.keys import read_app
from pypm.config.resolve import Base, duplicates, merge, resolve
from pypm.core.spec import AppSpec

__all__ = ["load"]


def load(
    path: str,
    *,
    env_name: str | None = None,
    only: Sequence[str] | None = None,
    known: Collection[str] | None = (),
) -> list[AppSpec]:
    """The apps that the file declares, in its order.

    ``env_name``: lay each app's ``env_<name>`` over its ``env``. ``only``: the names of the apps that are
    wanted, beside what they depend on; what other named apps run is not looked for. ``known``: the names of
    apps that are there already, on which those of the file may depend; None: on any. ``-`` in place of a
    path is JSON on stdin, whose relative paths begin at the current folder.

    Raises ConfigError with all that is wrong with the file, a line a fault: file, place, what is wrong.
    """
    path = os.path.expanduser(path)
    faults = Faults("stdin" if path == STDIN else path)
    document = read_document(path, faults)
    base = Base(
        folder=os.path.dirname(os.path.abspath(path)),
        instance_var="NODE_APP_INSTANCE" if document.pm2 else "PYPM_INSTANCE",
        source=None if path == STDIN else os.path.abspath(path),
    )
    tables: Iterable[tuple[Place, dict[str, Any]]] = _declared(document, env_name, faults)
    wanted = only
    if only is not None:
        tables = list(tables)
        named = {settings["name"]: settings for _, settings in tables if "name" in settings}
        wanted = with_dependencies(only, named)
    apps = []
    for place, settings in tables:
        unwanted = wanted is not None and settings.get("name", "") not in ("", *wanted)
        spec = None if unwanted else resolve(settings, base, place)
        apps.append(Declared(spec.name if spec else settings.get("name", ""), place, settings, spec))
    apps = [app for app in apps if app.name]
    duplicates([(app.name, app.place) for app in apps])
    check_dependencies(apps, known)
    _check_sockets([app for app in apps if app.spec and app.spec.sockets])
    if document.namespaces is not None:
        apps = _with_namespaces(document.namespaces, apps, faults)
    _check_only(only, [app.name for app in apps], faults)
    faults.check()
    return [app.spec for app in apps if app.spec and (wanted is None or app.name in wanted)]


def _check_sockets(apps: Sequence[Declared]) -> None:
    """Note a fault for an address at which two apps would listen at a time, as both are started."""
    before: dict[str, AppSpec] = {}
    for app in apps:
        spec = app.spec
        if spec is None or not spec.autostart or spec.schedule is not None:
            continue
        from pypm.core.addresses import common_address

        for other in before.values():
            if address := common_address(spec.sockets, other.sockets):
                app.place.fault("sockets", f'"{other.name}" listens at {address} too')
        before[spec.name] = spec


def _with_namespaces(table: object, apps: list[Declared], faults: Faults) -> list[Declared]:
    """The apps, each with what the file says of its namespace."""
    from pypm.config.namespaces import read_namespaces

    names = {app.settings.get("namespace", "default") for app in apps}
    limits = read_namespaces(table, names, faults)
    return [
        app._replace(spec=replace(app.spec, namespace_limits=limits.get(app.spec.namespace)))
        if app.spec is not None
        else app
        for app in apps
    ]


def _declared(
    document: Document, env_name: str | None, faults: Faults
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Each app's place, and its settings over the defaults."""
    defaults_place = Place(faults, "defaults")
    defaults = read_app(document.defaults, defaults_place)
    if "name" in defaults:
        defaults_place.fault("name", "belongs to one app, not to the defaults")
        del defaults["name"]
    keys = set(defaults)
    for path, table in document.apps:
        place = Place(faults, path)
        name = table.get("name")
        place.name = name if isinstance(name, str) else ""
        settings = read_app(table, place)
        place.failed |= defaults_place.failed - settings.keys()
        keys |= settings.keys()
        yield place, merge(defaults, settings, env_name)
    _check_env_name(env_name, keys, faults)


def _check_env_name(env_name: str | None, keys: set[str], faults: Faults) -> None:
    known = sorted(key[4:] for key in keys if key.startswith("env_") and key != "env_file")
    if env_name is not None and env_name not in known:
        faults.add(f"env_{env_name}", f"no app declares this environment{nearest(env_name, known)}")


def _check_only(only: Sequence[str] | None, names: list[str], faults: Faults) -> None:
    for name in dict.fromkeys(only or ()):
        if name not in names and not faults.lines:
            faults.add("", f'declares no app "{name}"{nearest(name, names)}')
