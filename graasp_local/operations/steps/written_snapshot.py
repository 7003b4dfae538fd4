"""The snapshot if the server has no room for one: a dump in the site's directory, loaded again when it is needed.

It has the operation's name, like a snapshot on the server, so callers need not know which of the two it is.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import UTC, datetime

from graasp_local import __version__
from graasp_local.backup.check import check_dump
from graasp_local.backup.dumps import Dump, dump_database, load_dump
from graasp_local.backup.manifest import DatabasePart, Manifest
from graasp_local.backup.moving import Report, as_lines, in_words
from graasp_local.backup.store import BackupStore, StoredBackup
from graasp_local.errors import NeedsYou
from graasp_local.planning.server import GRAASP_DATABASE
from graasp_local.ports.world import World
from graasp_local.postgres.database import failed_name
from graasp_local.site.site import Site


def written_snapshots(site: Site) -> BackupStore:
    """Where they are stored: apart from backups, because the next deployment deletes them."""
    return BackupStore(site.own_directory / "snapshots")


def write_snapshot(world: World, name: str) -> Iterator[str]:
    """Write Graasp's database to a file and read it back. Raises NeedsYou; then there is no file of this name."""
    store = written_snapshots(world.site)
    try:
        yield from as_lines(_write(world, store, name), world.clock)
    except OSError as error:
        raise NeedsYou(f"{store.directory} cannot be written to: {error.strerror}.") from error


def load_snapshot(world: World, name: str) -> Iterator[str]:
    """Have the snapshot of this name on the server, loading it from its file if necessary.

    Does nothing if the server has it, or if it has already replaced the database. Raises NeedsYou.
    """
    written = _find(world.site, name)
    if written is None or world.database.has_snapshot(name) or failed_name(name) in world.databases.sizes():
        return
    part = written.manifest.databases[0]
    dump = Dump(part.stored, part.rows, part.properties)
    half_loaded = f"{name[:58]}_half"  # within the 63 bytes of a name, and found by its beginning
    file = written.path(part.stored.file)
    yield from as_lines(load_dump(world, file, dump, half_loaded, GRAASP_DATABASE), world.clock)
    # Only a verified copy gets the name that is swapped in.
    world.databases.rename_together([(half_loaded, name)])


def has_snapshot(world: World, name: str) -> bool:
    """Whether there is a snapshot of this name, on the server or in a file."""
    return world.database.has_snapshot(name) or is_written(world.site, name)


def is_written(site: Site, name: str) -> bool:
    """Whether there is a snapshot of this name in a file."""
    return _find(site, name) is not None


def report_what_was_written(world: World, snapshot: str) -> Iterator[str]:
    """Say what was added since the snapshot, before the snapshot replaces the database; nothing if it already has."""
    if not world.database.has_snapshot(snapshot):
        return
    rows = world.database.rows_added_since(snapshot)
    counted = "counting it would take too long" if rows is None else f"{rows} new row(s)"
    yield (
        f"something may have been written since the snapshot ({counted}); "
        "it is kept until you run `graasp-local remove-old-database`"
    )


def drop_written_but(world: World, name: str) -> Iterator[str]:
    """Remove the snapshot files of other operations; yields what was removed."""
    store = written_snapshots(world.site)
    for written in store.usable():
        if written.directory.name != name:
            store.remove(written)
            yield f"removed {written.directory}"


def _write(world: World, store: BackupStore, name: str) -> Generator[Report]:
    if _find(world.site, name) is not None:
        yield f"{name} is already written"
        return
    partial = store.begin(name)
    try:
        size = world.databases.sizes().get(GRAASP_DATABASE, 0)
        file = partial / f"{GRAASP_DATABASE}.dump"
        dump = yield from dump_database(world, GRAASP_DATABASE, file, size)
        yield from check_dump(world, file, dump.stored)
        part = DatabasePart(GRAASP_DATABASE, dump.stored, dump.rows, size, dump.properties)
        store.publish(partial, _manifest(world, name, part))
    finally:
        store.discard(partial)
    yield f"{name}: {in_words(dump.stored.bytes)} in {store.directory}"


def _manifest(world: World, name: str, part: DatabasePart) -> Manifest:
    return Manifest(
        name=name,
        at=datetime.fromtimestamp(world.clock.now(), UTC).isoformat(timespec="seconds"),
        project=world.site.settings.project,
        made_by=__version__,
        version=str(world.site.selected_version or ""),
        postgres=world.databases.major_version(),
        parts=(part,),
    )


def _find(site: Site, name: str) -> StoredBackup | None:
    return next((written for written in written_snapshots(site).usable() if written.directory.name == name), None)
