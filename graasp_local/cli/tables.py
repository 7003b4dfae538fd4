"""A table for a terminal: every column as wide as necessary, the last one cut at the edge; in a pipe nothing is cut."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from graasp_local.cli.speaking import say
from graasp_local.wording import plain_line

_BETWEEN = "  "


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print the table on stdout. Only the last column is shortened if the terminal is too narrow."""
    cells = [tuple(map(plain_line, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    terminal = _terminal_width()
    if terminal is not None:
        before_last = sum(widths[:-1]) + len(_BETWEEN) * (len(widths) - 1)
        widths[-1] = max(1, min(widths[-1], terminal - before_last))
    say(_line(headings, widths), bold=True)
    for row in cells:
        say(_line(row, widths))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    fitted = [
        cell if len(cell) <= width else f"{cell[: width - 1]}…" for cell, width in zip(cells, widths, strict=True)
    ]
    return _BETWEEN.join(cell.ljust(width) for cell, width in zip(fitted, widths, strict=True)).rstrip()


def _terminal_width() -> int | None:
    if not sys.stdout.isatty():
        return None
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns) or None
    except (OSError, ValueError):
        return None
