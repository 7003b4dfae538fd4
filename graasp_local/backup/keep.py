"""Removes old backups, as retention.py decides."""

from __future__ import annotations

from collections.abc import Iterator

from graasp_local.backup.retention import Policy, expired, needed_for_a_rollback
from graasp_local.backup.store import BackupStore
from graasp_local.errors import Refused
from graasp_local.journal.read import read_operations
from graasp_local.ports.world import World


def delete_old_backups(world: World) -> Iterator[str]:
    """Remove the backups that the site's policy lets expire; one that cannot be removed is reported, not raised."""
    store = BackupStore.of(world.site)
    try:
        usable = store.usable()
    except Refused as error:
        yield f"old backups could not be removed: {error.what}"
        return
    backups = {backup.manifest.name: backup for backup in usable}
    manifests = [backup.manifest for backup in backups.values()]
    settings = world.site.settings
    policy = Policy(settings.backup_keep_count, settings.backup_keep_days)
    for name in expired(manifests, policy, needed_for_a_rollback(manifests, _rollbacks(world)), world.clock.now()):
        try:
            store.remove(backups[name])
        except OSError as error:
            yield f"the old backup {name} could not be removed: {error.strerror}"
        else:
            yield f"removed the old backup {name}"


def _rollbacks(world: World) -> tuple[str, ...]:
    """The versions that a rollback could lead to: the running one, and those that recent deployments replaced."""
    deployments = [
        operation
        for operation in read_operations(world.site.journal_directory)
        if operation.is_deployment and operation.touched
    ]
    return (str(world.site.selected_version or ""), *(operation.previous_version for operation in deployments[-3:]))
