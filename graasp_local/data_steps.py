"""The kinds of step that bring a backup back: what each is called and what it says of itself.

Apart from steps.py, which knows them as steps like all others, because they are the restore's own. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from graasp_local.restoring import Restore


@dataclass(frozen=True, slots=True)
class CheckBackup:
    """Read the backup to its end, and see whether there is room for it."""

    restore: Restore
    cause: str


@dataclass(frozen=True, slots=True)
class LoadDatabase:
    """Load a dump into a new database beside the one there is, and compare the rows of every table."""

    restore: Restore
    database: str
    cause: str


@dataclass(frozen=True, slots=True)
class UnpackFiles:
    """Unpack an archive inside its volume, beside what is there."""

    restore: Restore
    volume: str
    cause: str


@dataclass(frozen=True, slots=True)
class PutInPlace:
    """Give what was loaded and unpacked the place of what is there, which is kept under another name."""

    restore: Restore
    cause: str


@dataclass(frozen=True, slots=True)
class TakeOut:
    """Give back its place to what was there before; what was restored is kept under another name."""

    restore: Restore
    cause: str


DataStep = CheckBackup | LoadDatabase | UnpackFiles | PutInPlace | TakeOut


def data_step_name(step: DataStep) -> str:
    """A short name that stays the same across versions."""
    match step:
        case CheckBackup():
            return "check-backup"
        case LoadDatabase():
            return "load-database"
        case UnpackFiles():
            return "unpack-files"
        case PutInPlace():
            return "put-in-place"
        case TakeOut():
            return "take-out"
        case _:
            assert_never(step)


def data_step_title(step: DataStep) -> str:
    """What the step does, as a phrase in the imperative."""
    match step:
        case CheckBackup(restore=restore):
            return f"check the backup {restore.backup}"
        case LoadDatabase(database=database):
            return f"load {database} into a database of its own, and prove it"
        case UnpackFiles(volume=volume):
            return f"unpack {volume} beside what is there"
        case PutInPlace(restore=restore):
            return f"put {_what(restore)} from the backup in place"
        case TakeOut(restore=restore):
            return f"put {_what(restore)} from before the restore back in place"
        case _:
            assert_never(step)


def _what(restore: Restore) -> str:
    names = (*restore.databases, *restore.volumes)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
