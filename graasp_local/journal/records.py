"""What the journal says about earlier operations, and what follows from that for the next command. read.py reads it.

Decides nothing about the current state of the site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.journal.closings import GateMoment, closings
from graasp_local.journal.write import operation_number
from graasp_local.planning.requests import Request, as_record
from graasp_local.planning.restore_steps import Restore
from graasp_local.planning.server import Upgrade
from graasp_local.planning.states import Gate, InfraState, state_named
from graasp_local.planning.timings import Range, Run
from graasp_local.version import Images, Version

READ_ONLY_NAMES = frozenset(
    {"preflight", "pull", "restore-images", "read-migrations", "make-migration"}
    | {"backup", "check-backup", "load-database", "unpack-files", "check-upgrade", "pull-server", "check-edge"}
    | {"check-stack", "take-up-settings", "share-images"}
)

WRITING_NAMES = frozenset({"start-writers", "unseal-gate", "open-gate"})
"""Steps from which on people or services may write to the database of what was deployed."""

_CHANGING = ("migrate", "put-in-place")
_UNDOING = ("swap-back", "take-out")
_SELECTING = ("select-version", "deselect-version")


class GateMove(StrEnum):
    """What the journal knows about the gate, in order. What began without a recorded end may have had an effect."""

    OPENING = "opening"
    OPENED = "opened"
    CLOSING = "closing"
    FOUND_CLOSED = "found-closed"
    """nginx answered that it keeps visitors out."""


class OperationRecord(Struct, frozen=True):
    """An operation as its file records it. `outcome` is None if the operation never ended: it was killed."""

    operation: str
    command: str
    at: str
    version: str | None
    outcome: str | None
    state: str
    downtime_seconds: float | None
    """Of the closings that it began, whatever ended them (closings.py); None if there are none, or one still lasts."""
    seconds: float | None
    started_steps: tuple[str, ...]
    steps: tuple[Mapping[str, Any], ...]
    titles: tuple[str, ...] = ()
    """Of the started steps, in the same order."""
    target: str = ""
    came_from: str = ""
    request: Request | None = None
    asked: Request | None = None
    """What it carries out: see OperationStarted."""
    previous_version: str = ""
    is_first: bool = False
    """Nothing was deployed to the site before it."""
    previous_images: Images = ()
    images: Images = ()
    snapshot: str = ""
    problem: tuple[str, ...] = ()
    version_is_uncertain: bool = False
    """It changed the database and did not get to select the version that the database then belongs to."""
    database_is_changed: bool = False
    """It, or an earlier attempt, began to migrate, and the snapshot has not been put back since."""

    written_before: bool = False
    """Visitors may have written to the database that it changed, or found changed, before it began."""
    may_be_written: bool = False
    """Something may have been written behind the gate before it began."""
    gate_moves: tuple[GateMove, ...] = ()
    gate_moments: tuple[GateMoment, ...] = ()
    forecast: Range | None = None
    """How long it was expected to close the site; None if there was no forecast."""
    database_bytes: int | None = None
    """The size of Graasp's database before it, if that was needed."""

    is_rollback: bool = False
    """It undid a deployment or a restore."""
    changed: bool = True
    """If it succeeded: version, images or database differ from before it."""

    upgrade: Upgrade | None = None
    """The change of the database server that it made, or undid."""
    restore: Restore | None = None
    """The restore that it carried out or undid."""

    @property
    def began(self) -> float:
        """In seconds since 1970; 0 if its file does not say it in a form that can be read."""
        try:
            return datetime.fromisoformat(self.at).timestamp()
        except ValueError:
            return 0.0

    @property
    def ending(self) -> str:
        """How it ended: what never ended was killed."""
        return self.outcome or "killed"

    @property
    def forecast_in_words(self) -> str:
        """Empty if it was not expected to close the site."""
        return self.forecast.in_words() if self.forecast and self.forecast.high else ""

    @property
    def is_deployment(self) -> bool:
        return self.version is not None

    @property
    def can_be_resumed(self) -> bool:
        return self.is_deployment or self.upgrade is not None or self.is_rollback

    @property
    def touched(self) -> bool:
        """It did more than read and fetch."""
        return any(name not in READ_ONLY_NAMES for name in self.started_steps)

    @property
    def succeeded(self) -> bool:
        return self.outcome in ("done", "held")

    @property
    def went_through(self) -> bool:
        """A deployment that changed the site and succeeded."""
        return self.is_deployment and self.touched and self.succeeded

    @property
    def is_change(self) -> bool:
        """It succeeded and did more than repair the site: otherwise a rollback undoes the deployment before it."""
        return self.went_through and (self.changed or self.is_rollback)

    @property
    def is_unfinished(self) -> bool:
        """It neither succeeded nor was rolled back: it waits for `resume` or `rollback`."""
        return self.can_be_resumed and self.touched and self.outcome in (None, "failed", "interrupted")

    @property
    def can_be_undone(self) -> bool:
        """There is something to go back to: for a first deployment only while it is unfinished, a site that is off."""
        has_version = Version.parse_or_none(self.previous_version) is not None
        return self.upgrade is not None or has_version or (self.is_first and self.is_unfinished)

    @property
    def began_to_undo(self) -> bool:
        """It began to put the data from before back in place: what visitors wrote to may already be set aside."""
        return self.is_rollback and not {*_UNDOING}.isdisjoint(self.started_steps)

    @property
    def is_rolling(self) -> bool:
        """It replaced what serves visitors without closing the gate."""
        has_stand_in = any(name == "start-handover" or name.startswith("lead-to-") for name in self.started_steps)
        return has_stand_in and "close-gate" not in self.started_steps

    def as_json(self) -> dict[str, Any]:
        return {
            "operation": self.operation,
            "at": self.at,
            "command": self.command,
            "request": as_record(self.request) if self.request else None,
            "version": self.version,
            "outcome": self.ending,
            "state": self.state,
            "downtime_seconds": self.downtime_seconds,
            "forecast": self.forecast.as_json() if self.forecast else None,
            "seconds": self.seconds,
            "steps": list(self.steps),
            "problem": list(self.problem),
        }


class DamagedOperation(Struct, frozen=True):
    """An operation's file that cannot be trusted; `damage` says why, as a sentence."""

    file: Path
    damage: str


class JournalContents(Struct, frozen=True):
    """Operations of a site, oldest first, and the files that should be operations but cannot be read as such."""

    operations: tuple[OperationRecord, ...]
    damaged: tuple[DamagedOperation, ...]

    @property
    def in_doubt(self) -> tuple[DamagedOperation, ...]:
        """Damaged files that could be of a deployment or an upgrade later than any that can be read."""
        deployments = [operation for operation in self.operations if operation.can_be_resumed and operation.touched]
        last = operation_number(Path(deployments[-1].operation)) if deployments else 0
        return tuple(damaged for damaged in self.damaged if operation_number(damaged.file) > last)


def visitors_were_let_in(operations: Sequence[OperationRecord], record: OperationRecord, gate: Gate) -> bool:
    """Whether visitors may have been let in since an operation began, by it or a later one: then they may have written.

    An opening whose end was not recorded counts as done, unless nginx answered afterwards, or answers now (`gate`),
    that visitors are kept out, and the gate was not closed in between.
    """
    since = operations[operations.index(record) :] if record in operations else (record,)
    if any(operation.written_before for operation in since):
        return True
    match gate_after(move for operation in since for move in operation.gate_moves):
        case GateMove.OPENED:
            return True
        case GateMove.OPENING:
            return gate not in (Gate.CLOSED, Gate.SEALED)
        case _:
            return False


def may_be_written(operations: Sequence[OperationRecord], record: OperationRecord) -> bool:
    """Whether anything may have been written since an operation began to change the database, even behind the gate.

    By services that write on their own, by people with the bypass, or because a later command started Graasp.
    """
    later = operations[operations.index(record) + 1 :] if record in operations else ()
    started_since = any(
        operation.touched and operation.target in (InfraState.RUNNING, InfraState.RESTRICTED) for operation in later
    )
    return record.may_be_written or started_since or not WRITING_NAMES.isdisjoint(record.started_steps)


def gate_after(moves: Iterable[GateMove]) -> GateMove | None:
    """OPENED if the gate was or may have been open during these moves; OPENING if only asking nginx now can tell."""
    known: GateMove | None = None
    for move in moves:
        match (known, move):
            case (GateMove.OPENED, _):
                break
            case (_, GateMove.OPENED) | (GateMove.OPENING, GateMove.CLOSING):
                known = GateMove.OPENED
            case (_, GateMove.OPENING):
                known = GateMove.OPENING
            case (_, GateMove.FOUND_CLOSED):
                known = None
            case _:
                pass
    return known


def gate_moves(records: Sequence[Mapping[str, Any]]) -> tuple[GateMove, ...]:
    """What the records of one operation say about the gate."""
    moves = []
    for record in records:
        match record:
            case {"event": "step-started", "name": "open-gate"}:
                moves.append(GateMove.OPENING)
            case {"event": "step-ended", "name": "open-gate", "outcome": "done"}:
                moves.append(GateMove.OPENED)
            case {"event": "step-started", "name": "close-gate"}:
                moves.append(GateMove.CLOSING)
            case {"event": "operation-started" | "rollback-started", "gate": Gate.CLOSED.value | Gate.SEALED.value}:
                moves.append(GateMove.FOUND_CLOSED)
            case _:
                pass
    return tuple(moves)


def seconds_by_step(operations: Sequence[OperationRecord]) -> dict[str, list[float]]:
    """How long each kind of step took when it succeeded and was needed, for estimates."""
    seen: dict[str, list[float]] = {}
    for operation in operations:
        for step in operation.steps:
            if step["outcome"] == "done" and step.get("needed", True):
                seen.setdefault(step["name"], []).append(float(step["seconds"]))
    return seen


def runs_by_step(operations: Sequence[OperationRecord]) -> dict[str, list[Run]]:
    """The same, with what the seconds depend on. The version is left out if the operation did not succeed, since it may
    have started two.
    """
    seen: dict[str, list[Run]] = {}
    for operation in operations:
        version = operation.version or "" if operation.succeeded else ""
        for name, seconds in seconds_by_step([operation]).items():
            seen.setdefault(name, []).extend(Run(each, version, operation.database_bytes) for each in seconds)
    return seen


def with_seconds_closed(operations: Sequence[OperationRecord]) -> tuple[OperationRecord, ...]:
    """The same operations, each with the seconds of the closings that it began, whatever ended them.

    If there are none, the recorded value stays, such as 0.0 for one that replaced what serves visitors without closing.
    """
    seconds: dict[str, float] = {}
    for closing in closings(operations):
        if closing.until is not None:
            seconds[closing.operation] = seconds.get(closing.operation, 0.0) + closing.seconds(closing.until)
    return tuple(
        replace(operation, downtime_seconds=round(seconds[operation.operation], 3))
        if operation.operation in seconds
        else operation
        for operation in operations
    )


def state_left(operations: Sequence[OperationRecord]) -> InfraState | None:
    """The state in which the last operation with an effect left the site; None if it was none of the four."""
    lasting = [operation for operation in operations if operation.touched or operation.outcome == "nothing-to-do"]
    return state_named(lasting[-1].state) if lasting else None


def left_connections_open(operation: OperationRecord) -> bool:
    """Whether it closed the gate for a state in which core keeps running, but did not get to end older connections."""
    ended = any(step["name"] == "end-connections" and step["outcome"] == "done" for step in operation.steps)
    stopped = any(name in ("stop-graasp", "start-edge", "open-gate") for name in operation.started_steps)
    return "close-gate" in operation.started_steps and operation.outcome != "done" and not ended and not stopped


def unfinished_operation(operations: Sequence[OperationRecord]) -> OperationRecord | None:
    """The last deployment or upgrade that changed the site, if it neither succeeded nor was rolled back."""
    # A later one that found nothing left to do has shown that the site is as it should be.
    touching = [w for w in operations if w.can_be_resumed and (w.touched or w.outcome == "nothing-to-do")]
    return touching[-1] if touching and touching[-1].is_unfinished else None


def last_success(operations: Sequence[OperationRecord]) -> OperationRecord | None:
    """What `rollback` undoes if the last deployment that changed the site succeeded: see `last_change`."""
    touching = [operation for operation in operations if operation.is_deployment and operation.touched]
    return last_change(operations) if touching and touching[-1].went_through else None


def last_change(operations: Sequence[OperationRecord]) -> OperationRecord | None:
    """The last deployment that succeeded and changed anything: those that only repaired the site are skipped."""
    return next((operation for operation in reversed(operations) if operation.is_change), None)


def last_deployed(operations: Sequence[OperationRecord]) -> OperationRecord | None:
    """The last operation that succeeded and left a version deployed, whether it changed the site or not."""
    return next((operation for operation in reversed(operations) if operation.version and operation.succeeded), None)


def was_restored_before(operations: Sequence[OperationRecord]) -> bool:
    """Whether a restore since the last successful deployment may have left something to tidy up."""
    for operation in reversed(operations):
        if operation.restore is not None:
            return True
        if operation.is_deployment and operation.succeeded:
            return False
    return False


def uncertain_migration(operations: Sequence[OperationRecord]) -> OperationRecord | None:
    """The unfinished operation, if it also left open which version the database belongs to."""
    unfinished = unfinished_operation(operations)
    return unfinished if unfinished and unfinished.version_is_uncertain else None


def version_is_uncertain(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an operation with these records changed the database and never selected the version it belongs to."""
    before = uncertain = bool(records[0].get("migrated_before"))
    for record in records:
        if record["event"] == "step-started" and record["name"] in _CHANGING + _UNDOING:
            before, uncertain = uncertain, True
        if record["event"] == "step-ended" and not record.get("needed", True):
            uncertain = before
        if record["event"] == "step-ended" and record["name"] in _SELECTING and record["outcome"] == "done":
            uncertain = False
    return uncertain


def database_is_changed(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an operation with these records, or an earlier attempt, began to migrate and did not undo that since."""
    before = changed = bool(records[0].get("migrated_before"))
    for record in records:
        if record["event"] == "step-started" and record["name"] in _CHANGING:
            before, changed = changed, True
        if record["event"] == "step-ended" and not record.get("needed", True):
            changed = before
        if record["event"] == "step-ended" and record["name"] in _UNDOING and record["outcome"] == "done":
            changed = False
    return changed
