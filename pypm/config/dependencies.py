"""What apps depend on: the key's forms, and what only all apps of a file together can tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from pypm.config import values
from pypm.config.faults import Place, nearest
from pypm.config.units import shown
from pypm.core.errors import ConfigError
from pypm.core.spec import AppSpec, Condition

__all__ = ["Declared", "check_dependencies", "depends_on", "with_dependencies"]

ALWAYS = 'is restarted whenever it ends, so it never completes; autorestart = "on-failure" lets it'
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


class Declared(NamedTuple):
    """One app of the file: its name, its place, its settings, and its spec where that could be made."""

    name: str
    place: Place
    settings: Mapping[str, Any]
    spec: AppSpec | None

    @property
    def depends_on(self) -> Mapping[str, Condition]:
        """What it depends on."""
        found: Mapping[str, Condition] = self.settings.get("depends_on", {})
        return found


def depends_on(value: object) -> dict[str, Condition]:
    """A name or a list of names, which are to be ready; or a table of names and conditions."""
    if isinstance(value, Mapping):
        return {values.name(name): _condition(name, condition) for name, condition in value.items()}
    return {values.name(name): "ready" for name in (value if isinstance(value, list) else [value])}


def _condition(name: object, value: object) -> Condition:
    if value not in CONDITIONS:
        hint = nearest(value, CONDITIONS) if isinstance(value, str) else ""
        raise ConfigError(f"{name}: {shown(value)} is no condition: expected {', '.join(CONDITIONS)}{hint}")
    return value


def with_dependencies(only: Sequence[str], declared: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The names that are wanted, and those of all that these depend on, as far as the file declares it."""
    wanted = dict.fromkeys(only)
    rest = list(only)
    while rest:
        for name in declared.get(rest.pop(), {}).get("depends_on", {}):
            if name in declared and name not in wanted:
                wanted[name] = None
                rest.append(name)
    return list(wanted)


def check_dependencies(apps: Sequence[Declared], known: Collection[str] | None) -> None:
    """Note a fault for each dependency on what there is not, and for a circle.

    ``known`` are the names of apps that are not in the file; None: any may be.
    """
    if not any(app.depends_on for app in apps):
        return
    from pypm.core.order import find_cycle, never_completes

    by_name = {app.name: app for app in apps}
    for app in apps:
        for name, condition in app.depends_on.items():
            other = by_name.get(name)
            if other is None and known is not None and name not in known:
                hint = nearest(name, sorted({*by_name, *known} - {app.name}))
                app.place.fault("depends_on", f'there is no app "{name}"{hint}')
            elif condition == "completed" and other and other.spec and never_completes(other.spec):
                app.place.fault("depends_on", f'"{name}" {ALWAYS}')
    cycle = find_cycle({app.name: app.depends_on for app in apps})
    if cycle:
        place = by_name[cycle[0]].place
        place.fault("depends_on", f"apps depend on each other in a circle: {' -> '.join(cycle)}")
