"""Moving bytes: progress, checksum, and the check for an interruption at every piece."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from graasp_local.backup.manifest import StoredFile
from graasp_local.clock import Clock
from graasp_local.errors import Interrupted
from graasp_local.ports.world import World

_LINE_SECONDS = 5.0
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class Moved(Struct, frozen=True):
    """`bytes` of `what` are done; `expected` is about how many there will be, None if unknown."""

    what: str
    bytes: int
    expected: int | None = None

    def described(self) -> str:
        of = f" of about {in_words(self.expected)}" if self.expected else ""
        return f"{self.what}: {in_words(self.bytes)}{of}"


Report = Moved | str
"""What is reported while a backup is taken or read: progress, or a finding as a line."""


class Digest:
    """Passes pieces on; afterwards has their total size and checksum."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._hash = hashlib.sha256()
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._hash.update(piece)
            self.bytes += len(piece)
            yield piece

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def write_file(
    world: World, file: Path, pieces: Generator[bytes] | Iterator[bytes], what: str, expected: int | None
) -> Generator[Report, None, StoredFile]:
    """Write the pieces to a new file, readable by its owner only; it is on disk when this returns.

    Raises Interrupted if an interruption is requested, and OSError for a full disk; the caller removes the partial
    file.
    """
    digest = Digest(pieces)
    # Always closed, because that ends the tool at the other end.
    with closing(_closable(pieces)), open(file, "xb", opener=_private) as stream:
        for piece in digest:
            stop_if_asked(world)
            if piece:
                stream.write(piece)
                yield Moved(what, digest.bytes, expected)
        stream.flush()
        os.fsync(stream.fileno())
    return StoredFile(file.name, digest.bytes, digest.sha256)


def follow(world: World, counts: Iterator[int], what: str, expected: int | None) -> Iterator[Moved]:
    """Report the progress of something that yields byte counts. Raises Interrupted if an interruption is requested."""
    done = 0
    with closing(_closable(counts)):
        for count in counts:
            stop_if_asked(world)
            done += count
            if count:
                yield Moved(what, done, expected)


def stop_if_asked(world: World) -> None:
    if world.interruption.requested:
        raise Interrupted("Interrupted.", "The site is unchanged.")


def as_lines(reports: Iterator[Report], clock: Clock) -> Iterator[str]:
    """Findings as they come, and progress every few seconds: for an operation's output, which is kept."""
    last = clock.monotonic()
    for report in reports:
        match report:
            case str():
                yield report
            case Moved():
                if clock.monotonic() - last >= _LINE_SECONDS:
                    last = clock.monotonic()
                    yield report.described()


def in_words(size: int) -> str:
    """`12 bytes`, `3.4 MiB`."""
    amount = float(size)
    for unit in _UNITS:
        if amount < 1024 or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError("unreachable")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


class _closable:  # noqa: N801 - used like a function
    """`contextlib.closing` for iterators that may have nothing to close."""

    def __init__(self, iterator: object) -> None:
        self._iterator = iterator

    def close(self) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()
