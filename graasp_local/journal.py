"""The durable record of walks: one file a walk, one JSON object a line, on disk before the effect that it announces.

Writes only; what the files tell is read in walk_records.py. Holds what was done, never a secret.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from graasp_local.events import Event, StepOutput, as_json

FORMAT = 1


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


def walk_number(file: Path) -> int:
    """A walk's place in the order of all walks of the site; 0 for a file that is not ours."""
    number = file.stem.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
