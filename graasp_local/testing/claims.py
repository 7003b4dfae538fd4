"""Ownership of a stack: a directory with a lock that the kernel releases when its process ends, however it ends.

A stack whose lock is free and that was not left on purpose is the orphan of a killed test run. A claim is made before
anything is created on the engine, and given up when nothing of the stack is left there. Knows nothing of Docker.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct

from graasp_local.errors import ConfigurationError, Refused
from graasp_local.files import write_atomically

IDLE_SECONDS = 12 * 3600.0
"""How long an idle stack is kept for the next run."""


class Left(StrEnum):
    """What should happen to a stack once its lock is free."""

    IN_USE = "in-use"
    IDLE = "idle"
    KEPT = "kept"


class Record(Struct, frozen=True):
    """What is known about a stack without the engine. `site` is its directory; `left_at` is in seconds since 1970."""

    project: str
    engine: str
    site: str
    run: str = ""
    left: Left = Left.IN_USE
    left_at: float = 0.0
    fingerprint: str = ""
    images: dict[str, str] = {}
    """The stack's images, name and id: a stack with a rebuilt image is a different stack."""
    snapshot: str = ""
    """What a reset restores, as JSON; empty if no snapshot was taken."""


class Claim:
    """A stack that belongs to this process alone until it is released or given up."""

    def __init__(self, directory: Path, descriptor: int, record: Record) -> None:
        self.directory = directory
        self.record = record
        self._descriptor = descriptor

    def note(self, record: Record) -> None:
        """Write down what is known about the stack from now on."""
        write_atomically(_record_file(self.directory), msgspec.json.encode(record).decode(), mode=0o600)
        self.record = record

    def release(self) -> None:
        """Leave the stack to the next process that claims it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def give_up(self) -> None:
        """Remove the directory, once nothing of the stack is left on the engine."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.release()


class Claims:
    """The claims of this user on this machine, in one directory. Raises Refused if it cannot be written."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(tempfile.gettempdir()) / f"graasp-local-testing-{os.getuid()}"

    def make(self, record: Record) -> Claim:
        """Claim a stack that does not exist yet. Raises Refused if the disk is full or write-protected."""
        directory = self.directory_of(record.project)
        try:
            with self._alone():
                directory.mkdir(mode=0o700)
                descriptor = _locked(directory)
                if descriptor is None:
                    raise FileExistsError(f"{directory} is claimed by another process")
                claim = Claim(directory, descriptor, record)
            claim.note(record)
        except OSError as error:
            shutil.rmtree(directory, ignore_errors=True)
            raise Refused(
                f"{self.root} cannot be written: {error.strerror or error}.",
                "Nothing was started.",
                "Free some space, or set TMPDIR to a writable directory.",
            ) from error
        return claim

    def directory_of(self, project: str) -> Path:
        return self.root / project

    def orphans(self, engine: str, now: float) -> Iterator[Claim]:
        """Stacks of killed runs on this engine, and idle ones that have expired; each is claimed when yielded."""
        for directory in self._directories():
            claim = self._claimed(directory)
            if claim is None:
                continue
            record = claim.record
            expired = record.left is Left.IDLE and record.left_at < now - IDLE_SECONDS
            if record.engine == engine and (record.left is Left.IN_USE or expired):
                yield claim
            else:
                claim.release()

    def idle(self, engine: str, fingerprint: str) -> Iterator[Claim]:
        """Idle stacks with this fingerprint, each claimed; release those you do not use."""
        for directory in self._directories():
            record = _read(directory)
            if record is None or (record.engine, record.left, record.fingerprint) != (engine, Left.IDLE, fingerprint):
                continue
            claim = self._claimed(directory)
            if claim is None:
                continue
            if claim.record.left is Left.IDLE and claim.record.fingerprint == fingerprint:
                yield claim
            else:
                claim.release()

    def left(self) -> Iterator[Claim]:
        """Every stack that no process holds, whatever it was left for; each is claimed when yielded."""
        for directory in self._directories():
            claim = self._claimed(directory)
            if claim is not None:
                yield claim

    def _directories(self) -> list[Path]:
        if not self.root.is_dir():
            return []
        return sorted(path for path in self.root.iterdir() if path.is_dir())

    def _claimed(self, directory: Path) -> Claim | None:
        """The stack of a directory, if no process holds it."""
        with suppress(OSError), self._alone():
            descriptor = _locked(directory)
            if descriptor is not None:
                # Killed before it could write a record: then there is nothing on the engine either.
                record = _read(directory) or Record(directory.name, "", str(directory / "site"))
                if not record.engine:
                    shutil.rmtree(directory, ignore_errors=True)
                    os.close(descriptor)
                    return None
                return Claim(directory, descriptor, record)
        return None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock that every process needs to make or take a claim. Raises OSError."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.root.stat().st_uid != os.getuid():
            raise ConfigurationError(
                f"{self.root} belongs to another user.",
                "Nothing was started, because passwords would be written to it.",
                "Remove it, or set TMPDIR to another directory.",
            )
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _locked(directory: Path) -> int | None:
    """The lock of a stack; None while a process holds it."""
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _record_file(directory: Path) -> Path:
    return directory / "stack.json"


def _read(directory: Path) -> Record | None:
    try:
        return msgspec.json.decode(_record_file(directory).read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return None
