"""When the site was closed to visitors, and by what: one answer for everything that reports seconds closed.

Decides by what each operation did to the gate and how it found it, in order, and by what is observed now. A closing
lasts until anything opens the gate or finds it open: an operation that was killed does not end it. Only counts what was
observed. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.planning.states import Gate, InfraState


class GateNote(StrEnum):
    """What is known about the gate at one moment."""

    CLOSING = "closing"
    """Closing it has begun; whether that took effect is not known yet."""
    CLOSED = "closed"
    OPENING = "opening"
    OPENED = "opened"
    FOUND_OPEN = "found-open"
    NOT_KNOWN = "not-known"
    """nginx did not answer."""


class GateMoment(Struct, frozen=True):
    """A note and when it was made, in seconds since 1970."""

    at: float
    note: GateNote


class AtGate(Protocol):
    """An operation, as far as the gate is concerned."""

    @property
    def operation(self) -> str: ...
    @property
    def command(self) -> str: ...
    @property
    def gate_moments(self) -> tuple[GateMoment, ...]: ...


class OperationAtGate(Struct, frozen=True):
    """An operation that is still running: its journal has not been read yet."""

    operation: str
    command: str
    gate_moments: tuple[GateMoment, ...]


class Closing(Struct, frozen=True):
    """A period during which visitors were kept out, in seconds since 1970; `until` is None while it lasts.

    `operation` and `command` are what closed the gate; empty if it was found closed and nothing here had closed it.
    `opened_by` is what opened it or found it open; empty while it lasts, or if it is only now observed to be open.
    """

    since: float
    until: float | None
    operation: str
    command: str
    opened_by: str = ""

    def seconds(self, now: float) -> float:
        """How long it lasted, or has lasted so far. Never negative, though a clock may go back."""
        return max(0.0, (now if self.until is None else self.until) - self.since)

    def as_json(self, now: float) -> dict[str, Any]:
        return {
            "since": _stamp(self.since),
            "until": None if self.until is None else _stamp(self.until),
            "seconds": round(self.seconds(now), 3),
            "operation": self.operation or None,
            "command": self.command or None,
            "opened_by": self.opened_by or None,
        }


def closing_of(told: Mapping[str, Any] | None) -> Closing | None:
    """Read back a closing written by `as_json`."""
    if told is None:
        return None
    since, until = (
        None if told[key] is None else datetime.fromisoformat(told[key]).timestamp() for key in ("since", "until")
    )
    return Closing(since or 0.0, until, told["operation"] or "", told["command"] or "", told["opened_by"] or "")


class Month(Struct, frozen=True):
    """A month in UTC, or the part that the journal covers: `closed_seconds` of its `seconds` the site was closed."""

    month: str
    seconds: float
    closed_seconds: float
    closings: int
    """How many began in this month or lasted into it."""

    @property
    def availability(self) -> float:
        """The share of the time that the site was not closed, from 0 to 1."""
        return 1.0 - self.closed_seconds / self.seconds if self.seconds else 1.0

    def as_json(self) -> dict[str, Any]:
        return {
            "month": self.month,
            "seconds": round(self.seconds, 3),
            "closed_seconds": round(self.closed_seconds, 3),
            "closings": self.closings,
            "availability": round(self.availability, 6),
        }


def gate_moment(record: Mapping[str, Any]) -> GateMoment | None:
    """What one record of a journal says about the gate; None if nothing."""
    note = _note(record)
    return None if note is None else GateMoment(datetime.fromisoformat(record["at"]).timestamp(), note)


def closings(operations: Iterable[AtGate], gate: Gate = Gate.UNKNOWN, now: float | None = None) -> tuple[Closing, ...]:
    """Every closing in these operations, which come oldest first; oldest first too.

    `gate` is what nginx answers `now`: if it is open, a closing that nothing in the journal ended is over.
    """
    count = _Count()
    for operation in operations:
        for moment in operation.gate_moments:
            count.add(moment, operation.operation, operation.command)
    if gate is Gate.OPEN and now is not None:
        count.add(GateMoment(now, GateNote.FOUND_OPEN), "", "")
    return count.all


def ongoing(found: Sequence[Closing]) -> Closing | None:
    """The closing that is still going on, if there is one."""
    return found[-1] if found and found[-1].until is None else None


def begins_open(operation: AtGate) -> bool:
    """Whether it is certain that no earlier closing lasted into this operation."""
    first = operation.gate_moments[0].note if operation.gate_moments else None
    return first in (GateNote.FOUND_OPEN, GateNote.CLOSING)


def seconds_within(found: Sequence[Closing], begin: float, end: float) -> tuple[float, ...]:
    """For each closing that overlaps with this period, the seconds within it."""
    shares = [min(end, end if c.until is None else c.until) - max(begin, c.since) for c in found]
    return tuple(share for share in shares if share > 0)


def by_month(found: Sequence[Closing], began: float, now: float) -> tuple[Month, ...]:
    """Every month from `began`, when the journal first mentions the gate, until `now`, oldest first."""
    months = []
    start = began
    while start < now:
        at = datetime.fromtimestamp(start, UTC)
        following = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC).timestamp()
        end = min(following, now)
        within = seconds_within(found, start, end)
        months.append(Month(f"{at:%Y-%m}", end - start, min(sum(within), end - start), len(within)))
        start = following
    return tuple(months)


class _Count:
    """Takes in one moment after another."""

    def __init__(self) -> None:
        self._over: list[Closing] = []
        self._current: Closing | None = None
        self._is_certain = False
        self._opening_since: float | None = None

    @property
    def all(self) -> tuple[Closing, ...]:
        return (*self._over, *([self._current] if self._current else ()))

    def add(self, moment: GateMoment, operation: str, command: str) -> None:
        match moment.note:
            case GateNote.CLOSING:
                if self._current is None:
                    self._current, self._is_certain = Closing(moment.at, None, operation, command), False
                self._opening_since = None
            case GateNote.CLOSED:
                if self._current is None:
                    self._current = Closing(moment.at, None, "", "")
                self._is_certain, self._opening_since = True, None
            case GateNote.OPENING:
                self._opening_since = moment.at
            case GateNote.OPENED:
                self._end(moment.at, operation)
            case GateNote.FOUND_OPEN if self._current is not None:
                if self._opening_since is not None:
                    self._end(self._opening_since, operation)
                elif self._is_certain:
                    self._end(moment.at, operation)
                self._current = None  # if it was not certain, the closing had no effect
            case _:
                pass

    def _end(self, at: float, operation: str) -> None:
        if self._current is not None:
            # The clock may have gone back since.
            self._over.append(replace(self._current, until=max(at, self._current.since), opened_by=operation))
        self._current, self._opening_since = None, None


def _note(record: Mapping[str, Any]) -> GateNote | None:
    match record:
        case {"event": "step-started", "name": "close-gate"}:
            return GateNote.CLOSING
        case {"event": "step-ended", "name": "close-gate", "outcome": "done"}:
            return GateNote.CLOSED
        case {"event": "step-started", "name": "open-gate"}:
            return GateNote.OPENING
        case {"event": "step-ended", "name": "open-gate", "outcome": "done"}:
            return GateNote.OPENED
        case {"event": "operation-started", "gate": str(gate)}:
            return _found(gate) or GateNote.NOT_KNOWN
        case {"event": "rollback-started", "gate": str(gate)}:
            return _found(gate)
        case {"event": "operation-ended", "state": str(state)}:
            # 0.1.0 only wrote the state, which implies the gate.
            by_state = Gate.OPEN if state == InfraState.RUNNING else Gate.CLOSED if state in {*InfraState} else ""
            return _found(str(record.get("gate", ""))) or _found(by_state)
        case _:
            return None


def _found(gate: str) -> GateNote | None:
    if gate in (Gate.UNKNOWN, ""):
        return None
    return GateNote.FOUND_OPEN if gate == Gate.OPEN else GateNote.CLOSED


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
