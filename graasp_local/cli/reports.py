"""Progress while a backup is taken or read: a bar with bytes on a terminal, otherwise a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Generic, TypeVar

from graasp_local.backup.moving import Moved, Report, as_lines
from graasp_local.cli.speaking import say
from graasp_local.clock import Clock
from graasp_local.wording import plain_text

Result = TypeVar("Result")


def followed(reports: Generator[Report, None, Result], clock: Clock, *, silent: bool = False) -> Result:
    """Show the reports on stderr, and return their result."""
    told = _Told(reports)
    if silent:
        for _ in told:
            pass
    elif sys.stderr.isatty():
        _show_bars(told)
    else:
        for line in as_lines(iter(told), clock):
            say(line, err=True)
    return told.result


class _Told(Generic[Result]):
    """A generator whose return value is kept in `result`."""

    def __init__(self, reports: Generator[Report, None, Result]) -> None:
        self._reports = reports

    def __iter__(self) -> Generator[Report]:
        self.result = yield from self._reports


def _show_bars(reports: _Told[Result]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True) as progress:
        bars: dict[str, TaskID] = {}
        for report in reports:
            match report:
                case str():
                    progress.console.print(plain_text(report), markup=False)
                case Moved(what=what, bytes=done, expected=expected):
                    if what not in bars:
                        for bar in bars.values():
                            progress.update(bar, visible=False)
                        bars[what] = progress.add_task(escape(plain_text(what)), total=expected)
                    progress.update(bars[what], completed=done)
