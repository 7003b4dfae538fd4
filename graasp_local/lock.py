"""One operation at a time on a site: a lock that is released when its holder dies, and that says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import asdict

from graasp_local.errors import ConfigurationError, Interrupted, Locked
from graasp_local.files import json_in, open_own_file

if TYPE_CHECKING:
    from graasp_local.clock import Clock, Interruption

_LOOK_SECONDS = 0.2


class Holder(Struct, frozen=True):
    """Who holds the lock: what was typed, which process on which host, since when."""

    command: str
    pid: int
    host: str
    since: str

    def described(self) -> str:
        return f"`{self.command}` (process {self.pid} on {self.host}, since {self.since})"


class Patience(Struct, frozen=True):
    """How long to wait for the lock, in seconds, by which clock, and what ends the wait early."""

    seconds: float
    clock: Clock
    interruption: Interruption


@contextmanager
def held_lock(file: Path, command: str, patience: Patience | None = None) -> Iterator[None]:
    """Hold the site's lock. Raises Locked, naming the holder, if another process keeps holding it.

    Raises Interrupted if asked to stop while waiting. Only the kernel's lock on the open file counts, so nothing has to
    be cleaned up after a kill; the text in the file only names the holder. Raises ConfigurationError for a link.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = open_own_file(file, os.O_RDWR | os.O_CREAT)
    try:
        if not _locked(descriptor) and not (patience and _locked_in_time(descriptor, patience)):
            holder = _read(descriptor)
            who = f": {holder.described()}" if holder else ""
            raise Locked(
                f"Another graasp-local command is running on this site{who}.",
                "This command changed nothing.",
                "Wait for it, or pass --lock-wait SECONDS.",
            )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        holder = Holder(command, os.getpid(), socket.gethostname(), now)
        os.ftruncate(descriptor, 0)
        # On a full disk the holder cannot be named, but a command that frees space must be able to take the lock.
        with suppress(OSError):
            os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def current_holder(file: Path) -> Holder | None:
    """Who holds the lock now; None if it is free."""
    try:
        descriptor = open_own_file(file, os.O_RDWR)
    except (OSError, ConfigurationError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock. Tries a few times, since a `status` that checks for a holder has it for a moment."""
    for _ in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def _locked_in_time(descriptor: int, patience: Patience) -> bool:
    deadline = patience.clock.monotonic() + patience.seconds
    while patience.clock.monotonic() < deadline:
        if patience.interruption.requested:
            raise Interrupted("Interrupted while waiting for another command.", "This command changed nothing.")
        patience.clock.sleep(_LOOK_SECONDS)
        if _locked(descriptor):
            return True
    return False


def _read(descriptor: int) -> Holder | None:
    try:
        return Holder(**json_in(os.pread(descriptor, 4096, 0)))
    except (ValueError, TypeError):
        return None
