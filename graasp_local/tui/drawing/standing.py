"""Why a site is not in its usual state: one line about now, one about the last operation. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graasp_local.journal.closings import closings, ongoing
from graasp_local.planning.states import Gate, ServiceGroup
from graasp_local.tui.drawing.month import ending_of
from graasp_local.tui.figures import age, ago
from graasp_local.tui.tones import Line, Piece, Tone, fitted
from graasp_local.verbs import shown_key, verb
from graasp_local.wording import seconds_in_words

if TYPE_CHECKING:
    from graasp_local.journal.records import OperationRecord
    from graasp_local.tui.model import SiteView

_ENDED_WELL = ("done", "held", "nothing-to-do", "refused")


def standing_lines(view: SiteView, now: float, width: int) -> tuple[Line, ...]:
    """Empty while an operation is running, which is shown instead."""
    if view.holder is not None:
        return ()
    return tuple(fitted(line, width) for line in (_now(view, now), _last(view, now)) if line)


def _now(view: SiteView, now: float) -> Line:
    """What keeps visitors out, and for how long."""
    nginx_is_off = view.observed.group_is_off(ServiceGroup.EDGE)
    if view.observed.gate not in (Gate.CLOSED, Gate.SEALED) and not nginx_is_off:
        return ()
    closing = ongoing(closings(view.operations, view.observed.gate, now))
    newest = view.operations[-1] if view.operations else None
    if newest is not None and newest.outcome == "held":
        return (
            Piece("● ", Tone.BUSY),
            Piece(f"{newest.version} is held behind the gate", Tone.STRONG),
            Piece(f", for {age(now - _ended(newest))}: "),
            *_key("bypass", "to test"),
            Piece(", "),
            *_key("apply", "to open"),
        )
    if closing is None:
        return ()
    command = closing.command.removeprefix("graasp-local ")
    return (
        Piece("● ", Tone.BUSY),
        Piece(f"Closed for {age(closing.seconds(now))}", Tone.STRONG),
        Piece(f" by `{command}`" if command else ", but no operation in the journal closed it"),
    )


def _last(view: SiteView, now: float) -> Line:
    """The last operation, if it did not end as intended."""
    last = next((operation for operation in reversed(view.operations) if operation.outcome != "nothing-to-do"), None)
    if last is None or last.outcome in _ENDED_WELL:
        return ()
    went_back = last.outcome == "rolled-back"
    closed = f", closed for {seconds_in_words(last.downtime_seconds)}" if last.downtime_seconds else ""
    where = "" if last.touched else ", nothing was changed"
    return (
        Piece("↺ ", Tone.BUSY) if went_back else Piece("✗ ", Tone.BAD),
        Piece(_subject(last), Tone.STRONG),
        Piece(f" {ending_of(last)} {ago(now - _ended(last))}{closed}{where}  "),
        *_key("history", "history"),
    )


def _subject(operation: OperationRecord) -> str:
    # Whatever has read an operation has already imported this; a top-level import would delay the first paint.
    from graasp_local.planning.requests import Deploy

    if isinstance(operation.request, Deploy) and operation.version:
        return f"Deployment of {operation.version}"
    return f"`{operation.command.removeprefix('graasp-local ')}`"


def _key(name: str, words: str) -> Line:
    row = verb(name)
    action = f"app.verb('{name}')"
    return (Piece(shown_key(row.key), Tone.KEY, action), Piece(f" {words}" if words else "", Tone.PLAIN, action))


def _ended(operation: OperationRecord) -> float:
    """When it ended; for a killed operation, when the last step that ended did so."""
    seconds = (
        operation.seconds if operation.seconds is not None else sum(float(step["seconds"]) for step in operation.steps)
    )
    return operation.began + seconds
