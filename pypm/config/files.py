"""Which files are configurations, told by their names."""

from __future__ import annotations

import os

__all__ = ["DEFAULT_NAMES", "find_default", "is_config_file", "shape"]

SHAPES = {
    ".toml": "toml",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".config.js": "javascript",
    ".config.cjs": "javascript",
    ".config.mjs": "javascript",
}

DEFAULT_NAMES = (
    "ecosystem.toml",
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.mjs",
    "ecosystem.json",
    "ecosystem.config.json",
    "ecosystem.yaml",
    "ecosystem.yml",
    "pm2.config.js",
    "process.json",
    "process.yml",
)
"""What ``pypm start`` without words looks for, first match wins."""


def shape(path: str) -> str | None:
    """``toml``, ``json``, ``yaml`` or ``javascript``, told by the end of the name; ``None`` for others."""
    name = os.path.basename(path).lower()
    return next((shape for end, shape in SHAPES.items() if name.endswith(end)), None)


def is_config_file(word: str) -> bool:
    """Whether the word names an existing file that ``load`` reads (a plain ``.js`` is a script)."""
    return shape(word) is not None and os.path.isfile(os.path.expanduser(word))


def find_default(folder: str) -> str | None:
    """The path of the configuration in the folder, or ``None`` if there is none."""
    paths = (os.path.join(folder, name) for name in DEFAULT_NAMES)
    return next((path for path in paths if os.path.isfile(path)), None)
