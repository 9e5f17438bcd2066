"""What an ecosystem file says of the limits of an app, and of as whom it runs: raw values to typed ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pypm.config.faults import Place
from pypm.config.units import parse_size, shown
from pypm.config.usage_limits import levels_in_bytes
from pypm.config.values import checked, integer
from pypm.core.errors import ConfigError
from pypm.core.limit_validity import IO_PRIORITY, LEAST_CPU_MAX, MOST_CPU, MOST_CPU_MAX
from pypm.core.spec import UNLIMITED, LimitSpec

__all__ = [
    "cpu_affinity",
    "identity_fields",
    "io_priority",
    "limit_fields",
    "share_of_core",
    "size",
    "umask",
    "user",
]

DEFAULT_LEVEL = {"best-effort": ":4", "realtime": ":4"}
NO_WAY_TO_BE_READY = (
    "as another user it cannot reach pypm's sockets; it can say that it is ready by ready_fd, or a probe can"
)


def size(value: object) -> int:
    """Bytes; ``"unlimited"``: no limit."""
    try:
        return UNLIMITED if value == "unlimited" else parse_size(value)
    except ConfigError as error:
        raise ConfigError(f'{error.message}, or "unlimited"') from None


def io_priority(value: object) -> str:
    """``idle``, ``best-effort`` or ``realtime``, the latter two with a level from 0 (first) to 7."""
    word = value + DEFAULT_LEVEL.get(value, "") if isinstance(value, str) else ""
    if not IO_PRIORITY.fullmatch(word):
        raise ConfigError(f'{shown(value)}: expected "idle", or such as "best-effort:4" or "realtime:0"')
    return word


def cpu_affinity(value: object) -> tuple[int, ...]:
    """Numbers of CPUs: one, a list, or text such as ``"0-3,6"``."""
    words = value if isinstance(value, list) else value.split(",") if isinstance(value, str) else [value]
    cpus: set[int] = set()
    for word in words:
        first, dash, last = word.partition("-") if isinstance(word, str) else (word, "", "")
        ends = integer(first), integer(last if dash else first)
        if ends[0] is None or ends[1] is None or not 0 <= ends[0] <= ends[1] <= MOST_CPU:
            raise ConfigError(f'{shown(value)}: expected numbers of CPUs such as [0, 2] or "0-3"')
        cpus.update(range(ends[0], ends[1] + 1))
    if not cpus:
        raise ConfigError("the list is empty: it could run nowhere")
    possible = range(os.cpu_count() or 1)
    if missing := sorted(cpus - set(possible)):
        raise ConfigError(f"{shown(value)}: this machine has no CPU {missing[0]}, only 0 to {possible[-1]}")
    return tuple(sorted(cpus))


def share_of_core(value: object) -> float:
    """Parts of one core from percent, as ``50``, ``"50%"`` or ``150`` (one and a half)."""
    text = value.removesuffix("%").strip() if isinstance(value, str) else value
    try:
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise ValueError
        percent = float(text)
    except ValueError:
        raise ConfigError(f'{shown(value)}: expected percent of one core, such as 50 or "150%"') from None
    if not LEAST_CPU_MAX <= percent / 100 <= MOST_CPU_MAX:
        raise ConfigError(f"{shown(value)}: expected percent of one core, from 1 on; 200 is two cores")
    return percent / 100


def user(value: object) -> str:
    """The name or the number of a user, or of a group."""
    number = integer(value)
    if number is not None and number >= 0:
        return str(number)
    if not isinstance(value, str) or not value.strip() or value.startswith("-"):
        raise ConfigError(f'{shown(value)}: expected a name such as "www-data", or a number')
    return checked(value)


def umask(value: object) -> int:
    """Permissions that new files do not get, as octal digits in text."""
    digits = value if isinstance(value, str) else ""
    digits = digits.removeprefix("0o")
    if not 1 <= len(digits) <= 4 or set(digits) - set("01234567") or int(digits, 8) > 0o777:
        raise ConfigError(f'{shown(value)}: expected octal digits in quotes, such as "027"')
    return int(digits, 8)


def limit_fields(settings: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The fields of an AppSpec that the table ``limits`` makes."""
    limits = dict(settings.get("limits", {}))
    memory = limits.pop("memory", None)
    levels_in_bytes(limits, settings.get("max_memory_restart") if memory is None else memory, place)
    fields: dict[str, Any] = {"limits": LimitSpec(**limits)} if limits else {}
    if memory is not None:
        if "max_memory_restart" in settings:
            place.fault("limits.memory", 'says the same as "max_memory_restart"; keep one of them')
        fields["max_memory"] = memory
    return fields


def identity_fields(settings: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The fields of an AppSpec for as whom it runs; what there is not, or may not be, is a fault."""
    fields = {name: settings[name] for name in ("user", "group") if name in settings}
    ids = {name: _id_of(name, word, place) for name, word in fields.items()}
    own = {"user": os.geteuid(), "group": os.getegid()}
    others = [name for name, number in ids.items() if number not in (None, own[name])]
    if others and os.geteuid() != 0:
        place.fault(others[0], "only root can start agents as somebody else")
    is_other = ids.get("user") not in (None, own["user"])
    if is_other and settings.get("wait_ready") and "ready_fd" not in settings:
        place.fault("wait_ready", NO_WAY_TO_BE_READY)
    return fields


def _id_of(key: str, word: str, place: Place) -> int | None:
    import grp
    import pwd

    try:
        if key == "user":
            return (pwd.getpwuid(int(word)) if word.isdecimal() else pwd.getpwnam(word)).pw_uid
        return (grp.getgrgid(int(word)) if word.isdecimal() else grp.getgrnam(word)).gr_gid
    except (KeyError, OverflowError):
        place.fault(key, f"there is no {key} {shown(word)}")
        return None
