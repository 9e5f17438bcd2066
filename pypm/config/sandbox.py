"""What an ecosystem file says of an app's sandbox: raw values to typed ones, paths to absolute ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from pypm.config.faults import Place
from pypm.config.units import shown
from pypm.config.values import texts
from pypm.core.errors import ConfigError
from pypm.core.probe_spec import ProbeSpec
from pypm.core.sandbox_spec import MAY_BE_MISSING, PATH_KEYS, SandboxSpec, fault_of_sandbox
from pypm.core.spec import AppSpec

__all__ = ["NOT_BY_BUBBLEWRAP", "not_by_bubblewrap", "paths", "protection", "sandbox_spec"]

TOOLS = "/usr/bin:/bin:/usr/local/bin:/usr/sbin:/sbin:/run/current-system/sw/bin"
"""Where the master looks for it."""
NO_BUBBLEWRAP = (
    "it needs bubblewrap: the program bwrap is not there (on Debian and Ubuntu: apt install bubblewrap)"
)

NOT_BY_BUBBLEWRAP = {
    "bind_paths": "list the path in read_write_paths",
    "bind_read_only_paths": "list the path in read_only_paths",
    "private_users": "user says who it is",
    "proc_subset": "private_pids hides the processes of others",
    "protect_proc": "private_pids hides the processes of others",
    "restrict_address_families": "private_network leaves it no network but its own",
    "system_call_filter": "it filters no system calls",
    "temporary_file_system": 'private_tmp and protect_home = "tmpfs" make such folders',
}
"""Words of systemd with which bubblewrap cannot help, and what comes near."""


def protection(*words: str) -> Callable[[object], str]:
    """A converter for ``true``, ``false`` or one of a few words."""

    def convert(value: object) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if value not in words:
            raise ConfigError(f"{shown(value)}: expected true, false, {' or '.join(map(shown, words))}")
        return str(value)

    return convert


def paths(value: object) -> tuple[str, ...]:
    """Paths, as they are written."""
    found = tuple(texts(value))
    for word in found:
        if word.startswith("+"):
            raise ConfigError(f"{shown(word)}: there is no RootDirectory to which that could be relative")
        if word == MAY_BE_MISSING:
            raise ConfigError(f"{shown(word)}: the path is missing")
    return found


def not_by_bubblewrap(name: str) -> Callable[[object], NoReturn]:
    """A converter for a word of systemd that is refused."""

    def convert(_: object) -> NoReturn:
        raise ConfigError(f"bubblewrap cannot do this; {NOT_BY_BUBBLEWRAP[name]}")

    return convert


def sandbox_spec(settings: Mapping[str, Any], cwd: str, place: Place) -> SandboxSpec | None:
    """The sandbox that the table ``sandbox`` makes; what is missing for it is a fault."""
    table = dict(settings.get("sandbox", {}))
    if not table:
        return None
    for key in PATH_KEYS:
        if key in table:
            table[key] = tuple(_absolute(key, word, cwd, place) for word in table[key])
    spec = SandboxSpec(**table)
    if spec == SandboxSpec():
        return None
    if not any(os.access(f"{folder}/bwrap", os.X_OK) for folder in TOOLS.split(":")):
        place.fault("sandbox", NO_BUBBLEWRAP)
    treekill = settings.get("treekill", True)
    if fault := fault_of_sandbox(AppSpec("", (), "", sandbox=spec, treekill=treekill)):
        key, _, words = fault.partition(": ")
        place.fault(key, words)
    if spec.private_network:
        _check_probes(settings.get("health", {}), place)
    return spec


def _absolute(key: str, written: str, cwd: str, place: Place) -> str:
    mark = MAY_BE_MISSING if written.startswith(MAY_BE_MISSING) else ""
    path = os.path.normpath(os.path.join(cwd, os.path.expanduser(written.removeprefix(mark))))
    if not mark and not os.path.exists(path):
        place.fault(f"sandbox.{key}", f'{path} is not there; "-{path}" would be one that may be missing')
    return mark + path


def _check_probes(health: Mapping[str, Any], place: Place) -> None:
    for kind in ("startup", "liveness", "readiness"):
        probe: ProbeSpec | None = health.get(kind)
        tcp = None if probe is None else probe.tcp
        is_inside = probe is not None and (probe.http or (tcp and not tcp.startswith("unix:")))
        if is_inside:
            place.fault(f"health.{kind}", "sandbox.private_network: nobody outside can reach its network")
