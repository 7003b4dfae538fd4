"""The durable record of walks: one file a walk, one JSON object a line, on disk before the effect that it announces.

Holds what was done, never a secret. Reads what is there: a last line that was cut off by a crash is no record; a
file that is not ours is passed over and named.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from graasp_local.events import Event, StepOutput, as_json

FORMAT = 1
_READ_ONLY_NAMES = frozenset({"preflight", "pull", "read-migrations"})


class Journal:
    """The file of one walk, open for appending. Made under the site's lock: nobody else takes the same number."""

    def __init__(self, directory: Path, name: str, now: float) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
        # Numbered, because a clock may jump back and two walks may begin within one second.
        number = 1 + max(map(walk_number, directory.glob("*.jsonl")), default=0)
        self.walk = f"{number:04d}-{stamp}-{name}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(directory / f"{self.walk}.jsonl", flags, 0o600)
        _sync_directory(directory)

    def write(self, event: Event, now: float) -> None:
        """Append one event; returns when it is on disk, except for output lines, which may wait for the next event."""
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        record = {"at": at, "format": FORMAT, "pid": os.getpid(), **as_json(event)}
        os.write(self._descriptor, json.dumps(record).encode() + b"\n")
        if not isinstance(event, StepOutput):
            os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class WalkRecord:
    """A walk as its file tells it. `outcome` is None where the walk never came to an end: it was killed."""

    walk: str
    command: str
    at: str
    version: str | None
    outcome: str | None
    state: str
    downtime_seconds: float | None
    seconds: float | None
    started_steps: tuple[str, ...]
    steps: tuple[Mapping[str, Any], ...]
    target: str = ""
    came_from: str = ""
    previous_version: str = ""
    snapshot: str = ""
    problem: tuple[str, ...] = ()
    output: tuple[str, ...] = field(default=(), repr=False)
    version_is_uncertain: bool = False
    """It changed the database and did not come to select the version that the database then belongs to."""
    database_is_changed: bool = False
    """It, or an attempt before it, began to migrate, and the snapshot was not put back since."""

    @property
    def is_deployment(self) -> bool:
        return self.version is not None

    @property
    def touched(self) -> bool:
        """It did more than look and fetch."""
        return any(name not in _READ_ONLY_NAMES for name in self.started_steps)

    @property
    def is_unfinished(self) -> bool:
        """A deployment that neither went through nor was put back: it waits for `resume` or `rollback`."""
        return self.is_deployment and self.touched and self.outcome in (None, "failed", "interrupted")

    @property
    def gate_was_opened(self) -> bool:
        """Visitors may have written since; there is no silent way back from that."""
        return "open-gate" in self.started_steps

    def as_json(self) -> dict[str, Any]:
        return {
            "walk": self.walk,
            "at": self.at,
            "command": self.command,
            "version": self.version,
            "outcome": self.outcome or "killed",
            "state": self.state,
            "downtime_seconds": self.downtime_seconds,
            "seconds": self.seconds,
            "steps": list(self.steps),
            "problem": list(self.problem),
        }


def read_walks(directory: Path) -> tuple[WalkRecord, ...]:
    """All walks of a site, oldest first."""
    try:
        files = sorted(directory.glob("*.jsonl"), key=walk_number)
    except OSError:
        return ()
    return tuple(record for record in map(_read_walk, files) if record is not None)


def seconds_by_step(walks: Sequence[WalkRecord]) -> dict[str, list[float]]:
    """How long each kind of step took when it succeeded, for estimates; the last ten walks count."""
    seen: dict[str, list[float]] = {}
    for walk in walks[-10:]:
        for step in walk.steps:
            if step["outcome"] == "done":
                seen.setdefault(step["name"], []).append(float(step["seconds"]))
    return seen


def unfinished_deployment(walks: Sequence[WalkRecord]) -> WalkRecord | None:
    """The last deployment that touched the site, if it neither went through nor was put back."""
    # A later one that found nothing left to do has proven that the site is where it should be.
    touching = [w for w in walks if w.is_deployment and (w.touched or w.outcome == "nothing-to-do")]
    return touching[-1] if touching and touching[-1].is_unfinished else None


def uncertain_migration(walks: Sequence[WalkRecord]) -> WalkRecord | None:
    """The same, if it moreover left open which version the database belongs to."""
    unfinished = unfinished_deployment(walks)
    return unfinished if unfinished and unfinished.version_is_uncertain else None


def walk_number(file: Path) -> int:
    """A walk's place in the order of all walks of the site; 0 for a file that is not ours."""
    number = file.stem.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _read_walk(file: Path) -> WalkRecord | None:
    records = _records(file)
    if not records or records[0].get("event") != "walk-started":
        return None
    first, last = records[0], records[-1]
    ended = last if last.get("event") == "walk-ended" else {}
    return WalkRecord(
        walk=file.stem,
        command=str(first.get("command", "")),
        at=str(first.get("at", "")),
        version=first.get("version"),
        outcome=ended.get("outcome"),
        state=ended.get("state", "unknown"),
        downtime_seconds=ended.get("downtime_seconds"),
        seconds=ended.get("seconds"),
        started_steps=tuple(r["name"] for r in records if r["event"] == "step-started" and "name" in r),
        steps=tuple(
            {key: r[key] for key in ("name", "outcome", "seconds")} for r in records if r["event"] == "step-ended"
        ),
        target=first.get("target", ""),
        came_from=first.get("came_from", ""),
        previous_version=first.get("previous_version", ""),
        snapshot=first.get("snapshot", ""),
        version_is_uncertain=_version_is_uncertain(records),
        database_is_changed=_database_is_changed(records),
        problem=tuple(ended.get("problem", ())),
        output=tuple(r["text"] for r in records if r["event"] == "step-output"),
    )


def _version_is_uncertain(records: Sequence[Mapping[str, Any]]) -> bool:
    uncertain = bool(records[0].get("migrated_before"))
    for record in records:
        if record["event"] == "step-started" and record["name"] in ("migrate", "swap-back"):
            uncertain = True
        if record["event"] == "step-ended" and record["name"] == "select-version" and record["outcome"] == "done":
            uncertain = False
    return uncertain


def _database_is_changed(records: Sequence[Mapping[str, Any]]) -> bool:
    changed = bool(records[0].get("migrated_before"))
    for record in records:
        if record["event"] == "step-started" and record["name"] == "migrate":
            changed = True
        if record["event"] == "step-ended" and record["name"] == "swap-back" and record["outcome"] == "done":
            changed = False
    return changed


def _records(file: Path) -> list[dict[str, Any]]:
    records = []
    if not file.is_file():
        return []
    for line in file.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            break  # torn by a crash: nothing after it was written either
        if isinstance(record, dict) and "event" in record:
            records.append(record)
    return records


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
