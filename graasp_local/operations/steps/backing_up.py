"""The backup that a deployment takes before it changes the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from graasp_local.backup.moving import as_lines
from graasp_local.backup.retention import fresh
from graasp_local.backup.store import BackupStore
from graasp_local.backup.take import GraaspDatabase, take_backup
from graasp_local.errors import Refused
from graasp_local.journal.read import read_operations
from graasp_local.planning.steps import BackUpDatabase
from graasp_local.ports.world import World


def see_to_backup(world: World, step: BackUpDatabase) -> Iterator[str]:
    """Take a backup of the database, unless there is a recent one or nothing to back up. Raises Refused."""
    if not world.database.applied_migrations():
        yield "the database is empty: there is nothing to back up yet"
        return
    # A backup from before a restore has data that is no longer in place.
    restored = [
        operation.at for operation in read_operations(world.site.journal_directory) if operation.restore is not None
    ]
    since = datetime.fromisoformat(restored[-1]).timestamp() if restored else 0.0
    selected = str(world.site.selected_version or "")
    try:
        manifests = [b.manifest for b in BackupStore.of(world.site).usable() if b.manifest.taken_at >= since]
        recent = fresh(manifests, world.site.settings.project, selected, world.clock.now())
        if recent is not None:
            yield f"the backup {recent.name} is less than an hour old"
            return
        yield from as_lines(take_backup(world, GraaspDatabase(str(step.version))), world.clock)
    except Refused as error:
        raise Refused(
            error.what,
            error.meaning,
            f"{error.next_step.rstrip('.')}; or deploy without a backup in a file: --no-backup.",
        ) from error
