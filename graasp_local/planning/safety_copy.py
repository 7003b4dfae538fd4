"""Which copy of the database a deployment makes before it migrates: a snapshot, or a file if there is no room.

A snapshot takes as much of the server's disk as the database and is put back in a second. A file takes a fraction of
that space, but longer to write, while the site is closed, and longer to load again. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class SafetyCopy(StrEnum):
    """How the database from before the migration is kept."""

    SNAPSHOT = "snapshot"
    FILE = "file"
    CHOSEN_FILE = "chosen-file"
    """A file because the site's settings ask for one, whatever room there is."""


WHY_A_FILE: Mapping[SafetyCopy, str] = MappingProxyType(
    {
        SafetyCopy.FILE: "the disk has no room for a snapshot, and it must be possible to undo a failed migration",
        SafetyCopy.CHOSEN_FILE: "DATABASE_COPY is dump, and it must be possible to undo a failed migration",
    }
)


def copy_that_fits(free: int | None, other_needs: int, database: int, dump: int) -> SafetyCopy | None:
    """The best copy that the disk has room for, all in bytes; None if it has room for neither.

    `free` is None if unknown: then there is assumed to be room. `dump` is about how large a file will be; it is
    counted twice, since the backup from before the gate closes is on the same disk.
    """
    if free is None or free >= other_needs + database:
        return SafetyCopy.SNAPSHOT
    return SafetyCopy.FILE if free >= other_needs + 2 * dump else None


def copy_on_another_server(free: int | None, other_needs: int, dump: int, *, by_dump: bool) -> SafetyCopy | None:
    """The same where the database is on another server: its free space is not known, so there is assumed to be room.

    `by_dump`: the settings ask for a file.
    """
    needed = other_needs + (2 * dump if by_dump else 0)
    if free is not None and free < needed:
        return None
    return SafetyCopy.CHOSEN_FILE if by_dump else SafetyCopy.SNAPSHOT
