"""Turns a request to restore into a plan: which backup, which parts of it, and which version runs afterwards.

Decides by the backup's manifest and by the journal, so that a restore that was cut off is continued under its number.
Refuses what could not be run afterwards.
"""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from graasp_local.backup.check import refuse_without_version
from graasp_local.backup.manifest import Manifest
from graasp_local.backup.store import BackupStore, StoredBackup, is_path
from graasp_local.errors import Refused, UsageError
from graasp_local.journal.records import OperationRecord, uncertain_migration, visitors_were_let_in
from graasp_local.journal.write import operation_number
from graasp_local.operations.deployments import (
    refuse_moved_database,
    refuse_other_networks,
    refuse_unfinished_upgrade,
)
from graasp_local.operations.steps.having_images import use_recorded_images
from graasp_local.operations.steps.preflight import check_preflight, refuse_to_replace_subscriptions
from graasp_local.operations.trying import tried_first
from graasp_local.planning import requests
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_restore import RestoreRequest, plan_restore
from graasp_local.planning.restore_steps import Restore
from graasp_local.planning.server import GRAASP_DATABASE, Direction
from graasp_local.planning.states import ObservedState, ServiceGroup
from graasp_local.ports.world import World
from graasp_local.site.site import Site
from graasp_local.version import Version
from graasp_local.wording import listed


def restore_plan(world: World, observed: ObservedState, asked: requests.Restore) -> Plan:
    """The plan for `restore`. Raises Refused, or UsageError for a part that the backup does not have."""
    refuse_unfinished_upgrade(world)
    refuse_other_networks(observed)
    backup, databases, volumes = wanted_parts(world.site, asked)
    named = str(backup.directory) if is_path(asked.backup) else backup.manifest.name
    if GRAASP_DATABASE not in databases:
        refuse_moved_database(world)
        _refuse_with_uncertain_version(world)
    elif world.site.history.unfinished is None and observed.group_is_on(ServiceGroup.DATABASE):
        refuse_to_replace_subscriptions(world)
    restore = _numbered(world, observed, Restore(named, "", databases, volumes))
    version = _version_afterwards(world, backup, restore)
    return plan_for(world, observed, RestoreRequest(restore, version, requests.ends_in(asked)))


def wanted_parts(site: Site, asked: requests.Restore) -> tuple[StoredBackup, tuple[str, ...], tuple[str, ...]]:
    """The backup, and which of its databases and volumes are to be restored. Raises Refused or UsageError."""
    backup = BackupStore.of(site).find(asked.backup)
    return backup, *_parts(backup.manifest, asked.only)


def plan_for(world: World, observed: ObservedState, request: RestoreRequest) -> Plan:
    """The plan for a complete restore request, after the checks that change nothing. Raises Refused."""
    use_recorded_images(world, request.version)
    found = check_preflight(world, request.version)
    return found.told_in(tried_first(world, plan_restore(observed, request)), world.site.settings.values)


def _parts(manifest: Manifest, only: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    databases = tuple(part.name for part in manifest.databases)
    volumes = tuple(part.name for part in manifest.volumes)
    unknown = [name for name in only if name not in databases + volumes]
    if unknown:
        raise UsageError(
            f"There is no {unknown[0]} in the backup {manifest.name}.",
            "Nothing was changed.",
            f"It contains {listed(databases + volumes)}.",
        )
    if not only:
        return databases, volumes
    return tuple(name for name in databases if name in only), tuple(name for name in volumes if name in only)


def _refuse_with_uncertain_version(world: World) -> None:
    """Raises Refused if Graasp's database stays, and may not belong to the version that would be started on it."""
    uncertain = uncertain_migration(world.site.history.operations)
    if uncertain is not None:
        raise Refused(
            f"The operation {uncertain.operation} stopped while it was changing the database, and this restore would "
            "keep that database.",
            "Nothing was changed.",
            "Run `graasp-local resume` or `graasp-local rollback` first, or restore the database graasp as well.",
        )


def _numbered(world: World, observed: ObservedState, restore: Restore) -> Restore:
    """The earlier restore if the same one was left unfinished; otherwise this one, with this operation's number."""
    left = world.site.history.unfinished
    earlier = None if left is None else left.restore
    if earlier is not None and replace(earlier, number="", replaces=(), snapshot="") == restore:
        return earlier
    numbered = replace(restore, number=f"{_next_operation(world.site.journal_directory):04d}")
    return numbered if left is None else _on_top_of(world, observed, left, numbered)


def _on_top_of(world: World, observed: ObservedState, left: OperationRecord, restore: Restore) -> Restore:
    """The restore, with what else has to be undone to get back to the data from before the unfinished operation.

    Nothing else if visitors were let in since: then the restore's own rollback goes back to what they wrote to.
    """
    let_in = visitors_were_let_in(world.site.history.operations, left, observed.gate) and not left.began_to_undo
    if not left.database_is_changed or let_in:
        return restore
    if left.restore is None:
        return replace(restore, snapshot=left.snapshot)
    earlier = replace(left.restore, way=Direction.THERE, replaces=(), snapshot="")
    return replace(restore, replaces=(earlier, *left.restore.replaces), snapshot=left.restore.snapshot)


def _next_operation(journal: Path) -> int:
    return 1 + max(map(operation_number, journal.glob("*.jsonl")), default=0)


def _version_afterwards(world: World, backup: StoredBackup, restore: Restore) -> Version:
    brings_graasp = GRAASP_DATABASE in restore.databases
    version = Version.parse_or_none(backup.manifest.version) if brings_graasp else world.site.selected_version
    if version is not None:
        return version
    if brings_graasp:
        refuse_without_version(backup.manifest)
    raise Refused(
        "No version has been deployed to this site yet, so what is restored could not be served.",
        "Nothing was changed.",
        "Restore the database graasp as well, or deploy a version first.",
    )
