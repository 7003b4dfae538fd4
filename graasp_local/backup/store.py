"""The directory of a site's backups: each is a directory that gets its final name only when it is complete.

A backup being written is `.partial-NAME`; it is renamed when all its files are on disk. What a crash left behind under
such a name is removed by the next backup. Does not guess: a directory without a readable manifest is damaged.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from graasp_local.backup.manifest import (
    MANIFEST_FILE,
    Manifest,
    ManifestError,
    as_json,
    from_json,
    unknown_name,
)
from graasp_local.errors import Refused
from graasp_local.files import json_in, sync_directory
from graasp_local.site.site import Site

_PARTIAL = ".partial-"
_LARGEST_MANIFEST = 64 * 1024**2
LATEST = "latest"


class StoredBackup(Struct, frozen=True):
    """A complete backup under its final name."""

    directory: Path
    manifest: Manifest

    def path(self, file: str) -> Path:
        return self.directory / file


class DamagedBackup(Struct, frozen=True):
    """A directory among the backups that cannot be used; `damage` says why, as the end of a sentence."""

    directory: Path
    damage: str


class BackupStore(Struct, frozen=True):
    """The backups of one site."""

    directory: Path

    @classmethod
    def of(cls, site: Site) -> BackupStore:
        return cls(site.directory / "backups")

    def all(self) -> tuple[StoredBackup | DamagedBackup, ...]:
        """Every backup, oldest first."""
        self._require_reachable()
        try:
            directories = sorted(d for d in self.directory.iterdir() if d.is_dir() and not d.name.startswith("."))
        except FileNotFoundError:
            return ()
        return tuple(_read(directory) for directory in directories)

    def usable(self) -> tuple[StoredBackup, ...]:
        """Those whose manifest can be read, oldest first."""
        return tuple(backup for backup in self.all() if isinstance(backup, StoredBackup))

    def find(self, named: str) -> StoredBackup:
        """The backup with this name, with a name that begins like this, or at this path; for `latest`, the newest.

        Raises Refused if there is none, more than one, or one that cannot be read.
        """
        found = self._candidates(named)
        if not found and named == LATEST and not self.all():
            raise Refused("This site has no backups yet.", "Nothing was changed.", "`graasp-local backup` takes one.")
        if not found:
            raise Refused(
                f"There is no backup {named}.",
                "Nothing was changed.",
                "`graasp-local backup list` lists the backups.",
            )
        if len(found) > 1:
            names = ", ".join(candidate.directory.name for candidate in found)
            raise Refused(f"{named} matches several backups: {names}.", "Nothing was changed.", "Type the full name.")
        match found[0]:
            case DamagedBackup(directory=directory, damage=damage):
                raise Refused(
                    f"The backup in {directory} cannot be used: {damage}.",
                    "Nothing was changed.",
                    "Choose another backup: `graasp-local backup list`.",
                )
            case StoredBackup() as backup:
                return backup

    def new_name(self, now: float, suffix: str) -> str:
        """A name that sorts after all others. Numbered, because a clock may jump back."""
        taken = [entry.name.removeprefix(_PARTIAL) for entry in self.directory.glob("*")] if self._exists else []
        numbers = [int(number) for name in taken if (number := name.partition("-")[0]).isdecimal()]
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
        return "-".join(filter(None, [f"{1 + max(numbers, default=0):04d}", stamp, suffix]))

    def begin(self, name: str) -> Path:
        """A directory for the files of a new backup; removes what earlier ones left incomplete."""
        self._require_reachable()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in self.directory.glob(f"{_PARTIAL}*"):
            shutil.rmtree(leftover)
        partial = self.directory / f"{_PARTIAL}{name}"
        partial.mkdir(mode=0o700)
        return partial

    def publish(self, partial: Path, manifest: Manifest) -> StoredBackup:
        """Write the manifest and give the backup its name: it is complete on disk when this returns."""
        file = partial / MANIFEST_FILE
        with file.open("x") as stream:
            json.dump(as_json(manifest), stream, indent=2)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        sync_directory(partial)
        final = self.directory / manifest.name
        partial.rename(final)
        sync_directory(self.directory)
        return StoredBackup(final, manifest)

    def discard(self, partial: Path) -> None:
        """Remove an incomplete backup."""
        shutil.rmtree(partial, ignore_errors=True)

    def remove(self, backup: StoredBackup) -> None:
        """Remove a backup; a crash in between leaves nothing that looks like one."""
        doomed = backup.directory.with_name(f"{_PARTIAL}{backup.directory.name}")
        backup.directory.rename(doomed)
        shutil.rmtree(doomed)

    def free_bytes(self) -> int:
        """Free space on the disk that backups are written to."""
        self._require_reachable()
        nearest = self.directory if self._exists else self.directory.parent
        return shutil.disk_usage(nearest).free

    def _require_reachable(self) -> None:
        """Raises Refused for a broken link, which is not the same as a directory without backups."""
        if self.directory.is_symlink() and not self.directory.exists():
            raise Refused(
                f"{self.directory} is a link to {self.directory.readlink()}, which does not exist.",
                "Its disk may not be mounted. Until then backups can be neither read nor written.",
                "Mount the disk, or point the link to a directory that exists.",
            )
        if self.directory.exists() and not self.directory.is_dir():
            raise Refused(
                f"{self.directory} is not a directory.",
                "Backups can be neither read nor written.",
                "Remove it, or replace it with a directory or a link to one.",
            )

    @property
    def _exists(self) -> bool:
        return self.directory.is_dir()

    def _candidates(self, named: str) -> list[StoredBackup | DamagedBackup]:
        if is_path(named):
            directory = Path(named)
            return [_read(directory.resolve())] if directory.is_dir() else []
        every = self.all()
        if named == LATEST:
            return [*every[-1:]]
        exact = [backup for backup in every if backup.directory.name == named]
        return exact or [backup for backup in every if named and backup.directory.name.startswith(named)]


def _read(directory: Path) -> StoredBackup | DamagedBackup:
    file = directory / MANIFEST_FILE
    try:
        if file.stat().st_size > _LARGEST_MANIFEST:
            return DamagedBackup(directory, f"its {MANIFEST_FILE} is too large")
        told = json_in(file.read_text(encoding="utf-8"))
        # What cannot be encoded again, such as half a surrogate pair, was not written by us.
        json.dumps(told, ensure_ascii=False).encode()
        manifest = from_json(told)
        unknown = unknown_name(manifest)
        if unknown:
            return DamagedBackup(directory, f"its {MANIFEST_FILE} lists an unknown part ({unknown!a})")
        return StoredBackup(directory, manifest)
    except FileNotFoundError:
        return DamagedBackup(directory, f"it has no {MANIFEST_FILE}")
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ManifestError) else f"its {MANIFEST_FILE} cannot be read"
        return DamagedBackup(directory, reason)


def is_path(named: str) -> bool:
    """Whether this names a directory, not a backup of the site."""
    return os.sep in named
