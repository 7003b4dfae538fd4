"""Adds to the last event of an operation how long the site was closed.

Counted in the same way as when the journal is read later (journal/closings.py), so that both give the same figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from graasp_local.clock import Clock
from graasp_local.journal.closings import GateMoment, OperationAtGate, closings, gate_moment
from graasp_local.journal.events import Event, OperationEnded, OperationStarted, StepOutput, as_json
from graasp_local.journal.records import OperationRecord


def timed(events: Iterable[Event], clock: Clock) -> Iterator[tuple[Event, float]]:
    """Each event and when it happened, in seconds since 1970, even if the machine's clock is changed in between."""
    began, began_at = clock.monotonic(), clock.now()
    for event in events:
        yield event, round(began_at + clock.monotonic() - began, 3)


def with_closing(
    events: Iterable[tuple[Event, float]], earlier: Sequence[OperationRecord]
) -> Iterator[tuple[Event, float]]:
    """The same events; the last one also has the seconds closed, and those that were forecast."""
    moments: list[GateMoment] = []
    command, forecast = "", None
    for event, at in events:
        if isinstance(event, OperationStarted):
            command = event.command
            forecast = event.forecast.range if event.forecast and event.forecast.parts else None
        if not isinstance(event, StepOutput):
            moment = gate_moment({**as_json(event), "at": datetime.fromtimestamp(at, UTC).isoformat()})
            moments += [moment] if moment else []
        if isinstance(event, OperationEnded):
            found = closings((*earlier, OperationAtGate(event.operation, command, tuple(moments))))
            over = [closing for closing in found if closing.opened_by == event.operation]
            own = [c.seconds(at) for c in over if c.operation == event.operation]
            seconds = sum(own) if own else event.downtime_seconds
            closing = over[-1] if over else None
            event = replace(event, downtime_seconds=seconds, closing=closing, forecast=forecast)
        yield event, at
