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

from graasp_local.events import Event, StepEnded, StepStarted, WalkEnded, WalkStarted, as_json

FORMAT = 1


class Journal:
    """The file of one walk, open for appending."""

    def __init__(self, directory: Path, name: str, now: float) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
        self.walk = f"{stamp}-{name}"
        number = 1
        while True:
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                self._descriptor = os.open(directory / f"{self.walk}.jsonl", flags, 0o600)
                break
            except FileExistsError:
                number += 1
                self.walk = f"{stamp}-{name}+{number}"
        _sync_directory(directory)

    def write(self, event: Event, now: float) -> None:
        """Append one event; returns when it is on disk, except for output lines, which may wait for the next event."""
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        record = {"at": at, "format": FORMAT, "pid": os.getpid(), **as_json(event)}
        os.write(self._descriptor, json.dumps(record).encode() + b"\n")
        if isinstance(event, WalkStarted | StepStarted | StepEnded | WalkEnded):
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
    problem: tuple[str, ...] = ()
    output: tuple[str, ...] = field(default=(), repr=False)

    @property
    def migrated_without_selecting(self) -> bool:
        """It began to migrate and never came to select the version: which version the database fits is not certain."""
        return "migrate" in self.started_steps and "select-version" not in self.started_steps

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
        files = sorted(directory.glob("*.jsonl"), key=_order)
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


def uncertain_migration(walks: Sequence[WalkRecord]) -> WalkRecord | None:
    """The last deployment, if it left open which version the database belongs to."""
    deployments = [walk for walk in walks if walk.version and walk.started_steps]
    # A refused one touched nothing, so what the one before it left open is still open.
    touching = [walk for walk in deployments if walk.outcome != "refused"]
    return touching[-1] if touching and touching[-1].migrated_without_selecting else None


def _order(file: Path) -> tuple[str, int]:
    """By the second in which the walk began, and among those of one second by their number."""
    stamp, _, number = file.stem.partition("+")
    return stamp[: len("20260101-000000")], int(number) if number.isdigit() else 1


def _read_walk(file: Path) -> WalkRecord | None:
    records = _records(file)
    if not records or records[0].get("event") != "walk-started":
        return None
    first, last = records[0], records[-1]
    ended = last if last.get("event") == "walk-ended" else {}
    return WalkRecord(
        walk=file.stem,
        command=first["command"],
        at=first["at"],
        version=first["version"],
        outcome=ended.get("outcome"),
        state=ended.get("state", "unknown"),
        downtime_seconds=ended.get("downtime_seconds"),
        seconds=ended.get("seconds"),
        started_steps=tuple(r["name"] for r in records if r["event"] == "step-started"),
        steps=tuple(
            {key: r[key] for key in ("name", "outcome", "seconds")} for r in records if r["event"] == "step-ended"
        ),
        problem=tuple(ended.get("problem", ())),
        output=tuple(r["text"] for r in records if r["event"] == "step-output"),
    )


def _records(file: Path) -> list[dict[str, Any]]:
    records = []
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
