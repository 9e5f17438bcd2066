"""One frame of the screen as plain text, for scripts and for terminals that can do nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pypm.config.units import format_size
from pypm.tui.columns import cells, fitting, name_width
from pypm.tui.rows import Board, Heading, Row, View, summary
from pypm.tui.text import cut

__all__ = ["frame"]


def frame(
    rows: Iterable[Row],
    width: int,
    view: View | None = None,
    under: Mapping[int, Sequence[str]] | None = None,
) -> str:
    """Give the summary and the table of ``rows`` in ``width`` columns, each line ended; no colours.

    ``under`` has what stands in lines of its own below an instance, by its id.
    """
    board = Board()
    board.take(rows)
    view = view or View(grouped=len({row["namespace"] for row in board.rows.values()}) > 1)
    words, cpu, memory = summary(list(board.rows.values()))
    head = f"{words}  cpu {cpu:.0f}%  mem {format_size(memory)}" if board.rows else words
    lines = [cut(head, width).rstrip()]
    # One frame has no past, so it has no lines of it.
    columns = fitting(width, name_width(board.rows.values()), past=False)
    if board.rows:
        titles = [cut(column.title, size, right=column.right) for column, size in columns]
        lines.append(_line(titles, width))
    for line in board.arrange(view):
        if isinstance(line, Heading):
            lines.append(cut(line.text, width).rstrip())
        else:
            texts = zip(columns, cells(board, line, columns), strict=True)
            cut_texts = [cut(text, size, right=column.right) for (column, size), text in texts]
            lines.append(_line(cut_texts, width))
            lines += [cut(f"  {text}", width).rstrip() for text in (under or {}).get(line, ())]
    return "".join(f"{line}\n" for line in lines)


def _line(texts: list[str], width: int) -> str:
    return cut(f"  {' '.join(texts)}", width).rstrip()
