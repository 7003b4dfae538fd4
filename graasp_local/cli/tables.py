"""A table for a terminal: every column as wide as it needs, the last one cut at the edge; nothing is cut in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_PIPE_WIDTH = 10_000


def make_console() -> Console:
    """For stdout; a pipe has no edge."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=_PIPE_WIDTH)


def print_table(console: Console, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Only the last column gives way where the terminal is too narrow."""
    cells = [tuple(escape(cell) for cell in row) for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        widest = max([len(heading), *(len(row[index]) for row in cells)])
        is_last = index == len(headings) - 1
        table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=None if is_last else widest)
    for row in cells:
        table.add_row(*row)
    console.print(table)
