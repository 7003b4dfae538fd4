"""The last thirty days of a site as a strip: its deployments on their days, and how long it was closed. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from graasp_local.tui.figures import ago_of
from graasp_local.tui.tones import Line, Piece, Tone, fitted, width_of, wrapped
from graasp_local.wording import seconds_in_words

if TYPE_CHECKING:
    from graasp_local.journal.records import OperationRecord

DAYS = 30
_DAY = 86_400.0
_SIGNS = {
    "done": ("✓", Tone.OK),
    "held": ("✓", Tone.BUSY),
    "nothing-to-do": ("·", Tone.QUIET),
    "refused": ("·", Tone.BUSY),
    "rolled-back": ("↺", Tone.BUSY),
    "under-way": ("▶", Tone.BUSY),
}
_MORE = "… "


class LastDays(Struct, frozen=True):
    """What the journal says about the thirty days before `now`, by the same rules as `history --downtime`."""

    now: float
    known_seconds: float
    """How much of that time the journal covers."""
    closed_seconds: float
    closings: int
    deployments: tuple[OperationRecord, ...]
    """Those that changed the site, oldest first."""
    problem: str = ""
    """Why the journal could not be read, which is then said instead."""


def sign_of(operation: OperationRecord) -> tuple[str, Tone]:
    """How an operation ended, as one character."""
    return _SIGNS.get(operation.ending, ("✗", Tone.BAD))


def ending_of(operation: OperationRecord) -> str:
    """How an operation ended, in words."""
    return operation.ending.replace("-", " ")


def month_lines(days: LastDays | None, width: int) -> tuple[Line, ...]:
    """How long the site was closed, the days with their deployments, and the newest deployments in words."""
    if days is not None and days.problem:
        return wrapped(f"✗ {days.problem}", width, Tone.BAD)
    if days is None or not (days.deployments or days.closings):
        return ()
    return (fitted(_summary(days), width), _days_line(days, width), _newest(days, width))


def _summary(days: LastDays) -> Line:
    """A percentage only from one day of data on: less would say nothing about thirty days."""
    share = 1.0 - days.closed_seconds / days.known_seconds if days.known_seconds else 1.0
    # Not rounded up: 100 % only if the site was never closed.
    percent = int(100_000 * share) / 1000
    share_told = f"{percent:.3f} % open, " if days.known_seconds >= _DAY else ""
    times = "once" if days.closings == 1 else f"{days.closings} times"
    closed = f"closed {times} for {seconds_in_words(days.closed_seconds)}" if days.closings else "never closed"
    return (
        Piece("Last thirty days", Tone.STRONG, "app.verb('history')"),
        Piece(f"  {share_told}{closed}", Tone.QUIET),
    )


def _days_line(days: LastDays, width: int) -> Line:
    """The same number of cells for each day, today at the right. Signs of the same day are side by side."""
    begin = days.now - DAYS * _DAY
    first, last = (f"{at.day} {at:%b} " for at in (_local(begin + _DAY), _local(days.now)))
    each = max(1, (width - len(first) - len(last)) // DAYS)
    signs: dict[int, list[tuple[str, Tone]]] = {}
    for deployment in days.deployments:
        day = min(DAYS - 1, max(0, int((deployment.began - begin) / _DAY)))
        signs.setdefault(day, []).append(sign_of(deployment))
    line: list[Piece] = [Piece(first, Tone.QUIET)]
    for day in range(DAYS):
        shown = signs.get(day, [])[-each:]
        line += [Piece(sign, tone) for sign, tone in shown]
        line.append(Piece("─" * (each - len(shown)), Tone.QUIET))
    return fitted((*line, Piece(f" {last}", Tone.QUIET)), width)


def _newest(days: LastDays, width: int) -> Line:
    """Version, seconds closed and outcome of as many deployments as fit, the newest at the right."""
    line: Line = ()
    for deployment in reversed(days.deployments):
        sign, tone = sign_of(deployment)
        seconds = deployment.downtime_seconds
        closed = "" if seconds is None else f", closed {seconds_in_words(seconds)}" if seconds else ", not closed"
        told: Line = (
            Piece(f"{sign} ", tone),
            Piece(deployment.version or "", Tone.STRONG),
            Piece(f" {ending_of(deployment)}{closed}, {ago_of(deployment.at, days.now)}   ", Tone.QUIET),
        )
        if width_of((*told, *line)) > width - len(_MORE):
            return (Piece(_MORE, Tone.QUIET), *line)
        line = (*told, *line)
    return line


def _local(at: float) -> datetime:
    return datetime.fromtimestamp(at).astimezone()
