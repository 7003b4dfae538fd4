"""The durable record of operations: a file for each, a JSON object per line, on disk before the effect it announces.

Only writes; read.py reads the files. Records what was done, never a secret.
"""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from graasp_local.errors import NeedsYou
from graasp_local.files import sync_directory
from graasp_local.wording import plain_values

if TYPE_CHECKING:
    from graasp_local.journal.events import Event

FORMAT = 2
RESERVE_BYTES = 256 * 1024
"""Space for the records, without output, of a few failing operations."""


class Journal:
    """The file of one operation, open for appending. Created under the site's lock, so that its number is unique.

    Keeps a small reserve file next to it, deleted when the disk is full, so that an operation that fails for lack of
    space can still record how it ended. Raises OSError if it cannot be created.
    """

    def __init__(self, directory: Path, name: str, now: float) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._reserve = directory / ".reserve"
        self._trouble: OSError | None = None
        _fill(self._reserve)
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
        # Numbered, because a clock may jump back and two operations may begin within one second.
        number = 1 + max(map(operation_number, directory.glob("*.jsonl")), default=0)
        self.operation = f"{number:04d}-{stamp}-{name}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(directory / f"{self.operation}.jsonl", flags, 0o600)
        sync_directory(directory)

    def write(self, event: Event, now: float) -> None:
        """Append one event; returns when it is on disk, except for output lines, which may wait for the next event.

        If there is no space, the reserve is used, and the error is kept for `raise_trouble`; an output line is left out
        instead. Raises NeedsYou if the reserve does not help either.
        """
        # Imported here, so that reading journals, as `status` does, need not wait for the step classes to be built.
        from graasp_local.journal.events import StepOutput, as_json

        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
        line = (
            json.dumps({"at": at, "format": FORMAT, "pid": os.getpid(), **plain_values(as_json(event))}).encode()
            + b"\n"
        )
        is_output = isinstance(event, StepOutput)
        try:
            self._append(line, durable=not is_output)
        except OSError as error:
            self._trouble = error
            if is_output:
                return
            self._reserve.unlink(missing_ok=True)
            try:
                self._append(line, durable=True)
            except OSError:
                raise self._no_room(error) from error

    def raise_trouble(self) -> None:
        """Raises NeedsYou, once, if something could not be written: no step begins while its record is in doubt."""
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise self._no_room(trouble)

    def close(self) -> None:
        os.close(self._descriptor)

    def _no_room(self, trouble: OSError) -> NeedsYou:
        return NeedsYou(
            f"The journal cannot be written: {trouble.strerror}.",
            "The operation stops here.",
            f"Free some space for {self._reserve.parent}; `graasp-local status` says where the site stands and what to "
            "type.",
        )

    def _append(self, line: bytes, *, durable: bool) -> None:
        end = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if durable:
                os.fsync(self._descriptor)
        except OSError:
            # Half a record in the middle of the file would be damage; at the end it is only cut off.
            os.ftruncate(self._descriptor, end)
            raise


def operation_number(file: Path) -> int:
    """An operation's position in the order of all operations of the site; 0 for a file that is not ours."""
    number = file.stem.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _fill(reserve: Path) -> None:
    """Allocate the reserve on disk, unless that is already done."""
    if reserve.exists() and reserve.stat().st_size == RESERVE_BYTES:
        return
    try:
        with reserve.open("wb") as file:
            file.write(bytes(RESERVE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        reserve.unlink(missing_ok=True)
        raise
