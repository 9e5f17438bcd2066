"""Load msgspec without typing_extensions: it takes from there only what ``typing`` has had since 3.11.

That module brings ``inspect``, ``ast`` and ``dis``: a tenth of the time that ``pypm start`` takes.
"""

from __future__ import annotations

import sys

__all__ = ["load_msgspec"]


def load_msgspec() -> None:
    """Import msgspec; to be called before anything else does.

    Whoever imports typing_extensions later gets it as ever.
    """
    name = "typing_extensions"
    if name in sys.modules:
        return
    sys.modules[name] = None  # type: ignore[assignment]  # the import system's way to say: not there
    try:
        import msgspec  # noqa: F401
    finally:
        del sys.modules[name]
