"""A restore, as plans, journals and rollbacks of it describe it, and the kinds of step that only a restore has.

The steps are part of the union in steps.py. Pure.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from graasp_local.planning.planned import PlannedStep
from graasp_local.planning.server import GRAASP_DATABASE, Direction
from graasp_local.wording import listed


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


class CheckBackup(PlannedStep, frozen=True):
    """Read the whole backup, and check that there is room for it."""

    restore: Restore
    cause: str
    name: ClassVar[str] = "check-backup"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Check the backup {self.restore.backup}"


class LoadDatabase(PlannedStep, frozen=True):
    """Load a dump into a new database next to the current one, and compare the rows of every table."""

    restore: Restore
    database: str
    cause: str
    name: ClassVar[str] = "load-database"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Load {self.database} into a new database and verify it"


class UnpackFiles(PlannedStep, frozen=True):
    """Unpack an archive inside its volume, next to the current files."""

    restore: Restore
    volume: str
    cause: str
    name: ClassVar[str] = "unpack-files"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Unpack {self.volume} next to the current files"


class PutInPlace(PlannedStep, frozen=True):
    """Replace the current data with what was loaded and unpacked; the current data is kept under another name."""

    restore: Restore
    cause: str
    name: ClassVar[str] = "put-in-place"

    @property
    def title(self) -> str:
        return f"Put {_what(self.restore)} from the backup in place"


class TakeOut(PlannedStep, frozen=True):
    """Put the data from before the restore back in place; what was restored is kept under another name."""

    restore: Restore
    cause: str
    name: ClassVar[str] = "take-out"

    @property
    def title(self) -> str:
        return f"Put back {_what_undoing_restores(self.restore)} from before the restore"


RestoreStep = CheckBackup | LoadDatabase | UnpackFiles | PutInPlace | TakeOut


def _what(restore: Restore) -> str:
    return listed((*restore.databases, *restore.volumes))


def _what_undoing_restores(restore: Restore) -> str:
    everything = (restore, *restore.replaces)
    databases = [database for each in everything for database in each.databases]
    if restore.snapshot:
        databases.append(GRAASP_DATABASE)
    return listed(tuple(dict.fromkeys([*databases, *(volume for each in everything for volume in each.volumes)])))
