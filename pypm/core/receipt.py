"""What is kept of a request that changes something, so that asking again does nothing twice."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Receipt"]


class Receipt(msgspec.Struct, omit_defaults=True):
    """What was ordered for a request; saved in the commit that has the order's first effects."""

    changes: list[dict[str, Any]]
    """What was done to each instance, as the client is told."""
    warnings: list[str] = []
    carried_out: list[int] = []
    """Instances for which the order has been carried out, of a verb that does not do it all in one moment."""
    key: str = ""
    """The client's name for the request; empty where it has given none."""
    at: float = 0.0
    """When it was ordered, in seconds of the boot clock."""
