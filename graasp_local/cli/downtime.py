"""`graasp-local history --downtime`: how long the site was closed, by month, and by what."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from graasp_local.cli.context import Context, print_json
from graasp_local.cli.speaking import say
from graasp_local.journal.closings import by_month, closings, ongoing
from graasp_local.wording import seconds_in_words

if TYPE_CHECKING:
    from graasp_local.journal.closings import Closing, Month
    from graasp_local.journal.records import OperationRecord

_NEWEST = 10
"""How many closings are listed below the months; JSON has all."""
_BAR_WIDTH = 24


def show_downtime(context: Context, operations: Sequence[OperationRecord], *, as_json: bool) -> None:
    """Also asks nginx whether the site is open now: a closing that nothing in the journal ended may be over."""
    from graasp_local.engine.nginx.edge import HttpEdge

    gate, now = HttpEdge(context.site.settings).gate(), time.time()
    found = closings(operations, gate, now)
    heard = [moment.at for operation in operations for moment in operation.gate_moments]
    months = by_month(found, min(heard, default=now), now)
    lasting = ongoing(found)
    if as_json:
        print_json(
            {
                "seconds_closed": round(sum(closing.seconds(now) for closing in found), 3),
                "closing": lasting.as_json(now) if lasting else None,
                "months": [month.as_json() for month in months],
                "closings": [closing.as_json(now) for closing in found],
            }
        )
    elif not months:
        say("Nothing to show yet: the site has never been open.", err=True)
    else:
        _print_months(months)
        _print_closings(found, now)


def _print_months(months: Sequence[Month]) -> None:
    """Newest first, each with a bar; the month that was closed for longest has a full one."""
    from rich.bar import Bar
    from rich.console import Console
    from rich.table import Table

    most = max(month.closed_seconds for month in months) or 1.0
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("MONTH", "AVAILABLE", "CLOSINGS", "CLOSED FOR"):
        table.add_column(heading, justify="left" if heading == "MONTH" else "right", no_wrap=True)
    table.add_column("")
    for month in reversed(months):
        table.add_row(
            month.month,
            f"{_floored(100 * month.availability)} %",
            str(month.closings),
            seconds_in_words(month.closed_seconds),
            Bar(most, 0, month.closed_seconds, width=_BAR_WIDTH),
        )
    Console(highlight=False, width=None if sys.stdout.isatty() else 100).print(table)


def _floored(percent: float) -> str:
    """Rounded down: only a month in which the site was never closed is at 100."""
    return f"{int(percent * 1000) / 1000:.3f}"


def _print_closings(found: Sequence[Closing], now: float) -> None:
    from datetime import UTC, datetime

    from graasp_local.cli.tables import print_table

    rows = [
        (
            f"{datetime.fromtimestamp(closing.since, UTC):%Y-%m-%d %H:%M:%S}",
            seconds_in_words(closing.seconds(now)) + (" so far" if closing.until is None else ""),
            closing.operation or "found closed",
            "still closed" if closing.until is None else closing.opened_by or "found open now",
        )
        for closing in reversed(found[-_NEWEST:])
    ]
    if rows:
        say()
        print_table(("CLOSED AT (UTC)", "FOR", "CLOSED BY", "OPENED BY"), rows)
    if len(found) > _NEWEST:
        say(f"and {len(found) - _NEWEST} earlier ones; --json lists them all")
