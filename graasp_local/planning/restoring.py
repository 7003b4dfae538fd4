"""A restore, as plans, journals and rollbacks of it describe it. Pure."""

from __future__ import annotations

from msgspec import Struct

from graasp_local.planning.server import Direction


class Restore(Struct, frozen=True):
    """Which backup is restored, and which parts of it; `backup` is its name, or the path of its directory.

    `number` tells restores apart in the names of what they create and keep; an attempt that continues another shares
    its number. `way` is BACK if the operation undoes the restore.
    """

    backup: str
    number: str
    databases: tuple[str, ...]
    volumes: tuple[str, ...]
    way: Direction = Direction.THERE
    replaces: tuple[Restore, ...] = ()
    """Restores that it found unfinished with their data in place, the latest first: undoing it undoes them too."""
    snapshot: str = ""
    """Of a deployment that was found unfinished after it had migrated the database, before all of these restores."""

    @property
    def numbers(self) -> tuple[str, ...]:
        """Its own, and those of the restores that it `replaces`: each keeps what it replaced."""
        return (self.number, *(restore.number for restore in self.replaces))
