"""The end of a deployment: it is recorded, and what only earlier ones needed is removed."""

from __future__ import annotations

from collections.abc import Iterator

from graasp_local.backup.keep import delete_old_backups
from graasp_local.errors import NeedsYou
from graasp_local.images.deployed import record_deployment
from graasp_local.journal.events import OperationStarted
from graasp_local.journal.read import read_recent
from graasp_local.journal.records import OperationRecord, was_restored_before
from graasp_local.operations.progress import Progress
from graasp_local.operations.steps.having_images import delete_unneeded_tags, deployed
from graasp_local.operations.steps.restoring import tidy_up
from graasp_local.operations.steps.written_snapshot import drop_written_but
from graasp_local.planning.restore_steps import Restore
from graasp_local.ports.world import World
from graasp_local.version import Version


def has_changed(world: World, started: OperationStarted, progress: Progress) -> bool:
    """Whether what is selected, or the database, differs from before the operation."""
    now, version = world.site.selection, Version.parse_or_none(started.previous_version)
    if started.migrated_before or progress.pending or version is None or version != now.version:
        return True
    was, is_now = (deployed(world, version, images) for images in (started.previous_images, now.images))
    if was is None or is_now is None:
        return was is not is_now
    pins = {pin.service: pin for pin in was.pins}
    return any(pin.service not in pins or not pin.is_same_image(pins[pin.service]) for pin in is_now.pins)


def record(
    world: World, version: Version, restore: Restore | None, undone: OperationStarted | OperationRecord
) -> Iterator[str]:
    """Record that the version is deployed. `undone` is what a rollback would undo from now on: its data is kept."""
    record_deployment(world.site.deployments_file, version, world.clock.now(), world.images.pins(version))
    yield from _delete_old_images(world, version, undone)
    yield from _drop_old_snapshots(world, undone.snapshot)
    yield from delete_old_backups(world)
    if restore is not None or was_restored_before(read_recent(world.site.journal_directory).operations):
        yield from tidy_up(world, () if restore is None else restore.numbers)


def _delete_old_images(world: World, version: Version, undone: OperationStarted | OperationRecord) -> Iterator[str]:
    """Images that are kept longer than necessary do not make a deployment fail."""
    previous = Version.parse_or_none(undone.previous_version)
    before = deployed(world, previous, undone.previous_images) if previous else None
    try:
        yield from delete_unneeded_tags(world, version, before)
    except NeedsYou as error:
        yield f"images of earlier deployments could not be removed: {error}"


def _drop_old_snapshots(world: World, needed: str) -> Iterator[str]:
    """Only one snapshot is needed from now on. One that cannot be removed does not make the deployment fail."""
    try:
        for name in world.database.drop_snapshots_but(needed):
            yield f"removed {name}"
        yield from drop_written_but(world, needed)
    except (NeedsYou, OSError) as error:
        yield f"snapshots of earlier operations could not be removed: {error}"
