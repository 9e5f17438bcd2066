"""``[namespaces.NAME.limits]``: what all apps of a namespace may use together."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pypm.config.faults import Faults, Place, nearest
from pypm.config.keys import NAMESPACE_LIMITS, read_table
from pypm.config.units import shown
from pypm.config.values import kind
from pypm.core.spec import NamespaceLimits

__all__ = ["read_namespaces"]


def read_namespaces(
    table: object, names: Collection[str], faults: Faults
) -> dict[str, NamespaceLimits | None]:
    """The limits that a file gives to namespaces; ``names`` are those in which it has apps."""
    if not isinstance(table, Mapping):
        faults.add("namespaces", f"{shown(table)} is {kind(table)}: expected [namespaces.NAME.limits]")
        return {}
    for name in table:
        if name not in names:
            faults.add(f"namespaces.{name}", f"no app of the file is in this namespace{nearest(name, names)}")
    return {name: _limits(name, content, faults) for name, content in table.items()}


def _limits(name: str, content: object, faults: Faults) -> NamespaceLimits | None:
    place = Place(faults, f"namespaces.{name}")
    if not isinstance(content, Mapping):
        place.fault("", f"{shown(content)} is {kind(content)}: expected [namespaces.{name}.limits]")
        return None
    for key in content:
        if key != "limits":
            place.fault(key, f"unknown key{nearest(key, ('limits',))}")
    settings = read_table("limits", content.get("limits", {}), place, NAMESPACE_LIMITS)
    for key in sorted(settings.keys() - set(NAMESPACE_LIMITS)):
        possible = f"a namespace can have {', '.join(NAMESPACE_LIMITS)}"
        place.fault(f"limits.{key}", f"{possible}{nearest(key, NAMESPACE_LIMITS)}")
    return NamespaceLimits(**settings) if settings.keys() - {"enforce"} and not place.count else None
