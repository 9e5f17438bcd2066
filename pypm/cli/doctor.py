"""``pypm doctor``."""

from __future__ import annotations

from typing import Any

import click

from pypm.cli.checks import Check, check_home, check_machine, check_master
from pypm.cli.enforcement import limit_lines, limits_from_here
from pypm.cli.options import json_option
from pypm.cli.output import plain, print_json, say
from pypm.cli.session import existing_master
from pypm.client.home import home_folder
from pypm.core.errors import NoMasterError, PypmError

__all__ = ["command", "gathered", "table"]


@click.command("doctor")
@json_option
def command(as_json: bool) -> int:
    """Check the home, the master and the machine; say what to do about what is not as it should be.

    Exits 1 if something fails; a warning is no failure. Never starts a master.

    \b
    Examples:
      pypm doctor
      pypm doctor --json | jq '.checks[] | select(.level != "ok")'
    """
    facts, asked = _ask()
    checks = _checks(facts, asked)
    # A master that is older tells none.
    limits = limits_from_here(home_folder()) if facts is None else facts.get("limits", [])
    failed = any(check.level == "fail" for check in checks)
    if as_json:
        told = [check._asdict() for check in checks]
        print_json({"ok": not failed, "checks": told, "limits": limits}, told)
    else:
        say(table(checks))
        if limits:
            say("\n" + "\n".join(limit_lines(limits)))
        if limits and facts is None:
            say("(no master runs: this is as for one that is started from here)")
    return 1 if failed else 0


def gathered() -> list[Check]:
    """All checks: of the home, the master and the machine."""
    return _checks(*_ask())


def _checks(facts: dict[str, Any] | None, asked: Check | None) -> list[Check]:
    return [
        *check_home(home_folder(), running=facts is not None),
        *(check_master(facts) if asked is None else [asked]),
        *check_machine(),
    ]


def _ask() -> tuple[dict[str, Any] | None, Check | None]:
    """What the master says, None if none runs; and a check instead where it has no sensible answer."""
    try:
        with existing_master() as connection:
            facts: dict[str, Any] = connection.call("doctor")
    except NoMasterError:
        return None, None
    except PypmError as error:
        remedy = error.hint or "see master.log; pypm update replaces a master of another version"
        return None, Check("master", "fail", f"it does not answer: {error.message}", remedy)
    return facts, None


def table(checks: list[Check]) -> str:
    """One line a check, and what to do below it."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.level:4}  {check.name:{width}}  {plain(check.text)}")
        if check.remedy:
            lines.append(f"{'':4}  {'':{width}}  → {plain(check.remedy)}")
    return "\n".join(lines)
