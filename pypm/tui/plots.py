"""Numbers over time as text: a line of blocks in a table, and a plot with its axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["plot", "resampled", "sparkline"]

LEVELS = "▁▂▃▄▅▆▇█"
Values = Sequence[float | None]


def sparkline(values: Values, width: int, *, least: float = 0.0, from_zero: bool = True) -> str:
    """The last ``width`` values as blocks, the newest to the right; a blank where there was none.

    The highest block stands for the largest of them, or for ``least`` where all are smaller. Without
    ``from_zero`` the lowest stands for the smallest, so that a slow growth is seen; then ``least`` is what
    lies between the two at least.
    """
    shown = list(values)[-width:] if width > 0 else []
    known = [value for value in shown if value is not None]
    if not known:
        return " " * width
    low = 0.0 if from_zero else min(known)
    span = max(max(known) - low, least) or 1.0
    blocks = "".join(" " if value is None else LEVELS[_level(value - low, span, 8) - 1] for value in shown)
    return blocks.rjust(width)


def _level(value: float, span: float, levels: int) -> int:
    """Which of ``levels`` a value has reached, 1 at least."""
    return min(max(int(value / span * levels + 0.999999), 1), levels)


def resampled(values: Values, width: int) -> list[float | None]:
    """At most ``width`` values that stand for all: the largest of each stretch, so that no peak is lost."""
    count = len(values)
    if count <= width:
        return list(values)
    found: list[float | None] = []
    for place in range(width):
        part = values[place * count // width : (place + 1) * count // width]
        known = [value for value in part if value is not None]
        found.append(max(known) if known else None)
    return found


def plot(
    values: Values, width: int, height: int, *, label: Callable[[float], str], least: float = 0.0
) -> list[str]:
    """Lines of a plot from zero to the largest value, or to ``least``; the newest is to the right.

    ``label`` says a value in words for the axis; ``width`` counts the axis too.
    """
    known = [value for value in values if value is not None]
    top = max([*known, least]) or 1.0
    labels = [label(top), label(top / 2), label(0.0)]
    margin = max(map(len, labels))
    room = max(width - margin - 2, 1)
    columns = resampled(list(values)[-8 * room :], room)
    levels = [0 if value is None else _level(value, top, height * 8) for value in columns]
    places = {0: labels[0], height // 2: labels[1], height - 1: labels[2]} if height > 2 else {0: labels[0]}
    lines = []
    for row in range(height):
        below = (height - 1 - row) * 8
        signs = "".join(" " if level <= below else LEVELS[min(level - below, 8) - 1] for level in levels)
        lines.append(f"{places.get(row, ''):>{margin}} │{signs.rjust(room)}".rstrip())
    return lines
