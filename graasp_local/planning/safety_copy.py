"""Which copy of the database a deployment makes before it migrates: a snapshot, or a file if there is no room.

A snapshot takes as much of the server's disk as the database and is put back in a second. A file takes a fraction of
that space, but longer to write, while the site is closed, and longer to load again. Pure.
"""

from __future__ import annotations

from enum import StrEnum


class SafetyCopy(StrEnum):
    """How the database from before the migration is kept."""

    SNAPSHOT = "snapshot"
    FILE = "file"


def copy_that_fits(free: int | None, other_needs: int, database: int, dump: int) -> SafetyCopy | None:
    """The best copy that the disk has room for, all in bytes; None if it has room for neither.

    `free` is None if unknown: then there is assumed to be room. `dump` is about how large a file will be; it is
    counted twice, since the backup from before the gate closes is on the same disk.
    """
    if free is None or free >= other_needs + database:
        return SafetyCopy.SNAPSHOT
    return SafetyCopy.FILE if free >= other_needs + 2 * dump else None
