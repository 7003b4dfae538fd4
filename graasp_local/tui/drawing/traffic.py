"""The text around the sparklines of requests: how many, how they were answered, and the time axis. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graasp_local.tui.figures import clock
from graasp_local.tui.tones import Line, Piece, Tone, fitted, plain

if TYPE_CHECKING:
    from graasp_local.tui.operation_view import OperationView
    from graasp_local.tui.traffic import Figures

BEFORE_SECONDS, AFTER_SECONDS = 60.0, 300.0
"""How long before an operation the figures begin, and how long after it they end."""


def window(operation: OperationView, now: float) -> tuple[float, float]:
    """The period that the figures cover: from before the operation until now, or until some time after it."""
    end = operation.began + (operation.seconds or 0.0) + AFTER_SECONDS if operation.is_over else now
    return operation.began - BEFORE_SECONDS, min(now, end)


def requests_line(figures: Figures, width: int) -> Line:
    """Requests per second: now and at most."""
    told = f"  now {figures.requests[-1]}, at most {max(figures.requests)}" if any(figures.requests) else "  none"
    return fitted((Piece("Requests per second", Tone.STRONG), Piece(told, Tone.QUIET)), width)


def errors_line(figures: Figures, width: int) -> Line:
    """How many were answered with 5xx: those from a closed gate are intended, the others are not."""
    closed, errors = sum(figures.closed), sum(figures.errors)
    told = f"  {closed} from the closed gate, " if closed else "  "
    others = f"{errors} others" if errors and closed else str(errors) if errors else "no others" if closed else "none"
    return fitted(
        (
            Piece("5xx responses", Tone.STRONG),
            Piece(told, Tone.BUSY if closed else Tone.QUIET),
            Piece(others, Tone.BAD if errors else Tone.QUIET),
        ),
        width,
    )


def axis_line(operation: OperationView, begin: float, end: float, width: int) -> Line:
    """Marks where the operation began and ended, below sparklines of the same width."""
    length = max(1.0, end - begin)

    def column(at: float) -> int:
        return max(0, min(width - 1, int(width * (at - begin) / length)))

    marks = [(column(operation.began), "began")]
    if operation.is_over and operation.seconds is not None:
        marks.append((column(operation.began + operation.seconds), "ended"))
    told = f"{clock(length)} in all"
    cells = [" "] * width
    ends = [*(place for place, _ in marks[1:]), width]
    for (place, word), end_of_room in zip(marks, ends, strict=True):
        cells[place] = "┃"
        if place + 1 + len(word) <= end_of_room:
            cells[place + 1 : place + 1 + len(word)] = word
        elif place >= len(word):
            cells[place - len(word) : place] = word
    if not "".join(cells[-len(told) - 1 :]).strip():
        cells[-len(told) :] = told
    return plain("".join(cells), Tone.QUIET)
