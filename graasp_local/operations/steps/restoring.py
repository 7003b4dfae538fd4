"""How a restore's steps are done. Each looks first, so that a restore that was cut off can be continued."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graasp_local.backup.check import check_backup, refuse_newer_postgres
from graasp_local.backup.dumps import Dump, load_dump
from graasp_local.backup.manifest import DatabasePart, Part, VolumePart
from graasp_local.backup.moving import as_lines, follow, in_words
from graasp_local.backup.names import (
    half_loaded,
    is_in_place,
    left_over,
    renames_in,
    renames_out,
    restored_name,
    undone_name,
)
from graasp_local.backup.store import BackupStore, StoredBackup
from graasp_local.errors import NeedsYou, Refused
from graasp_local.files import chunks_of
from graasp_local.operations.steps.written_snapshot import load_snapshot
from graasp_local.planning.restore_steps import (
    CheckBackup,
    LoadDatabase,
    PutInPlace,
    Restore,
    RestoreStep,
    TakeOut,
    UnpackFiles,
)
from graasp_local.ports.world import World
from graasp_local.wording import listed

_RESERVE_BYTES = 1024**3
"""What Postgres and the rest of the site need besides the restored data."""


def perform_restore_step(world: World, step: RestoreStep) -> Iterator[str]:
    """Do one step. Yields lines for people; raises GraaspLocalError if it could not be done."""
    match step:
        case CheckBackup(restore=restore):
            yield from _check(world, restore)
        case LoadDatabase(restore=restore, database=database):
            yield from _load(world, restore, database)
        case UnpackFiles(restore=restore, volume=volume):
            yield from _unpack(world, restore, volume)
        case PutInPlace(restore=restore):
            yield from _put_in_place(world, restore)
        case TakeOut(restore=restore):
            yield from _take_out(world, restore)


def tidy_up(world: World, but: Sequence[str]) -> Iterator[str]:
    """Remove what restores other than those with these numbers keep. A failed removal is only reported."""
    try:
        for name in left_over(world.databases.sizes(), but):
            world.databases.drop(name)
            yield f"removed {name}"
        for volume in world.transfers.volumes():
            world.transfers.drop_kept_files(volume, but)
    except NeedsYou as error:
        yield f"what earlier restores kept could not be removed: {error.what}"


def _check(world: World, restore: Restore) -> Iterator[str]:
    backup = BackupStore.of(world.site).find(restore.backup)
    parts = _parts(backup, restore)
    free = world.checks.facts().free_bytes
    elsewhere = world.site.settings.external_database is not None
    here = VolumePart if elsewhere else DatabasePart | VolumePart  # what an external server has room for is not known
    needed = sum(part.content_bytes for part in parts if isinstance(part, here)) + _RESERVE_BYTES
    if free is not None and free < needed:
        raise Refused(
            f"The engine's disk has {in_words(free)} free, but the restore needs {in_words(needed)}.",
            "Nothing was changed.",
            "Make room, or restore less (--only).",
        )
    yield from as_lines(check_backup(world, backup, parts), world.clock)


def _load(world: World, restore: Restore, database: str) -> Iterator[str]:
    existing = world.databases.sizes()
    if is_in_place(database, restore.number, existing):
        yield f"{database} is already in place"
        return
    for name in half_loaded(existing, restore.number):
        world.databases.drop(name)
    backup = BackupStore.of(world.site).find(restore.backup)
    part = backup.manifest.database(database)
    if part is None:
        raise Refused(f"There is no {database} in the backup {restore.backup}.", "Nothing was changed.")
    refuse_newer_postgres(world, backup.manifest)
    if database not in existing:
        world.databases.ensure_role(database)  # its service gives it a login when it starts
        world.databases.create(database, database)  # so that there is something to replace
    dump = Dump(part.stored, part.rows, part.properties)
    file = backup.path(part.stored.file)
    yield from as_lines(load_dump(world, file, dump, restored_name(database, restore.number), database), world.clock)


def _unpack(world: World, restore: Restore, volume: str) -> Iterator[str]:
    if world.transfers.files_are_swapped(volume, restore.number):
        yield f"{volume} is already in place"
        return
    backup = BackupStore.of(world.site).find(restore.backup)
    part = next((part for part in backup.manifest.volumes if part.name == volume), None)
    if part is None:
        raise Refused(f"There is no {volume} in the backup {restore.backup}.", "Nothing was changed.")
    counts = world.transfers.unpack(volume, restore.number, chunks_of(backup.path(part.stored.file)))
    yield from as_lines(follow(world, counts, f"into {volume}", part.stored.bytes), world.clock)
    yield f"{volume}: {part.files} file(s), {in_words(part.content_bytes)}"


def _put_in_place(world: World, restore: Restore) -> Iterator[str]:
    # All databases in one transaction, then the files: it can be continued or undone from any point in between.
    renames = renames_in(restore.databases, restore.number, world.databases.sizes())
    world.databases.rename_together(renames)
    for volume in restore.volumes:
        world.transfers.swap_files_in(volume, restore.number)
    kept = tuple(new for _, new in renames if "_before_" in new)
    if kept:
        yield f"the previous data is kept as {listed(kept)}"


def _take_out(world: World, restore: Restore) -> Iterator[str]:
    for each in (restore, *restore.replaces):
        _take_out_one(world, each)
    if restore.snapshot:
        yield from load_snapshot(world, restore.snapshot)
        world.database.swap_back(restore.snapshot, until_removed=True)
    yield "the previous data is in place again"


def _take_out_one(world: World, restore: Restore) -> None:
    for volume in restore.volumes:
        world.transfers.swap_files_out(volume, restore.number)
    renames = renames_out(restore.databases, restore.number, world.databases.sizes())
    for database in restore.databases:
        if any(new == undone_name(database, restore.number) for _, new in renames):
            world.databases.drop(undone_name(database, restore.number))
    world.databases.rename_together(renames)


def _parts(backup: StoredBackup, restore: Restore) -> tuple[Part, ...]:
    wanted = {*restore.databases, *restore.volumes}
    return tuple(part for part in backup.manifest.parts if part.name in wanted)
