"""The kinds of step that bring a backup back: what each is called and what it says of itself.

Apart from steps.py, which knows them as steps like all others, because they are the restore's own. Pure.
"""

from __future__ import annotations

from typing import ClassVar

from graasp_local.planning.planned import PlannedStep
from graasp_local.planning.restoring import Restore
from graasp_local.wording import listed


class CheckBackup(PlannedStep, frozen=True):
    """Read the backup to its end, and see whether there is room for it."""

    restore: Restore
    cause: str
    name: ClassVar[str] = "check-backup"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Check the backup {self.restore.backup}"


class LoadDatabase(PlannedStep, frozen=True):
    """Load a dump into a new database beside the one there is, and compare the rows of every table."""

    restore: Restore
    database: str
    cause: str
    name: ClassVar[str] = "load-database"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Load {self.database} into a new database and verify it"


class UnpackFiles(PlannedStep, frozen=True):
    """Unpack an archive inside its volume, beside what is there."""

    restore: Restore
    volume: str
    cause: str
    name: ClassVar[str] = "unpack-files"
    touches_site: ClassVar[bool] = False

    @property
    def title(self) -> str:
        return f"Unpack {self.volume} beside the current files"


class PutInPlace(PlannedStep, frozen=True):
    """Give what was loaded and unpacked the place of what is there, which is kept under another name."""

    restore: Restore
    cause: str
    name: ClassVar[str] = "put-in-place"

    @property
    def title(self) -> str:
        return f"Put {_what(self.restore)} from the backup in place"


class TakeOut(PlannedStep, frozen=True):
    """Give back its place to what was there before; what was restored is kept under another name."""

    restore: Restore
    cause: str
    name: ClassVar[str] = "take-out"

    @property
    def title(self) -> str:
        return f"Put {_what(self.restore)} from before the restore back in place"


DataStep = CheckBackup | LoadDatabase | UnpackFiles | PutInPlace | TakeOut


def _what(restore: Restore) -> str:
    return listed((*restore.databases, *restore.volumes))
