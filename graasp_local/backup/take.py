"""Taking a backup: decide what belongs in it, check for room, write and read back each part, then name it.

Each database is consistent in itself; the files are read after the databases, so that every file a database refers to
was written before. Nothing on the site is stopped or changed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from graasp_local import __version__
from graasp_local.backup.check import check_archive, check_dump, read_archive
from graasp_local.backup.dumps import dump_database
from graasp_local.backup.manifest import DatabasePart, Manifest, Part, SettingsPart, VolumePart
from graasp_local.backup.moving import Report, in_words, write_file
from graasp_local.backup.names import DATABASES
from graasp_local.backup.sealing import seal
from graasp_local.backup.store import BackupStore, StoredBackup
from graasp_local.errors import GraaspLocalError, Interrupted, NeedsYou, Refused
from graasp_local.planning.server import GRAASP_DATABASE
from graasp_local.planning.states import ServiceGroup
from graasp_local.ports.world import World
from graasp_local.wording import plain_text

RESERVE_BYTES = 64 * 1024**2
"""Free space to leave next to a backup: a full disk would stop the site as well."""


class Everything(Struct, frozen=True):
    """Every database of DATABASES that exists, the volumes, and `.env` if there is a passphrase to encrypt it with."""

    passphrase: str | None


class GraaspDatabase(Struct, frozen=True):
    """Graasp's database alone, before a deployment of `version`: it is what a migration can harm."""

    version: str


Extent = Everything | GraaspDatabase


def take_backup(world: World, extent: Extent) -> Generator[Report, None, StoredBackup]:
    """Take and verify a backup; it is complete on disk, under its name, when this returns.

    Raises Refused if it cannot be taken, Interrupted if an interruption is requested; then there is no backup, and the
    site is unchanged.
    """
    require_database(world, "No backup was taken. The site is unchanged.")
    sizes = _sizes(world)
    _refuse_without_graasp(world, sizes)
    databases = ("graasp",) if isinstance(extent, GraaspDatabase) else tuple(d for d in DATABASES if d in sizes)
    volumes = () if isinstance(extent, GraaspDatabase) else world.transfers.volumes()
    store = BackupStore.of(world.site)
    expected = _expected_bytes(world, store, sizes, databases, volumes)
    _refuse_without_room(store, expected)
    suffix = f"before-{extent.version}" if isinstance(extent, GraaspDatabase) else ""
    now = world.clock.now()
    name = store.new_name(now, suffix)

    def write(partial: Path) -> Generator[Report, None, StoredBackup]:
        parts: list[Part] = []
        for database in databases:
            parts += [(yield from _database(world, partial, database, sizes[database], expected[database]))]
        for volume in volumes:
            parts += [(yield from _volume(world, partial, volume, expected[f"{volume}.tar"]))]
        if isinstance(extent, Everything) and extent.passphrase is not None:
            parts += [(yield from _settings(world, partial, extent.passphrase))]
        manifest = Manifest(
            name=name,
            at=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
            project=world.site.settings.project,
            made_by=__version__,
            version=str(world.site.selected_version or ""),
            postgres=world.databases.major_version(),
            parts=tuple(parts),
            before=extent.version if isinstance(extent, GraaspDatabase) else "",
        )
        return store.publish(partial, manifest)

    backup = yield from _whole_or_not_at_all(store, name, write)
    yield f"backup {name}: {in_words(backup.manifest.bytes)}, verified"
    return backup


def _sizes(world: World) -> dict[str, int]:
    """Also ends dumps that outlived their graasp-local: they would run for nothing. Raises Refused."""
    try:
        world.databases.end_dumps()
        return dict(world.databases.sizes())
    except NeedsYou as error:
        raise _failed(error.what, error.next_step) from error


def _refuse_without_graasp(world: World, sizes: Mapping[str, int]) -> None:
    """Raises Refused if the database of a deployed site is gone: a backup of the rest would pass for a whole one."""
    if GRAASP_DATABASE in sizes or world.site.selected_version is None:
        return
    external = world.site.settings.external_database
    where = f"at {external.where}" if external is not None else "on the site's server"
    raise _failed(
        f"There is no database {GRAASP_DATABASE} {where}, although this site was deployed before.",
        "`graasp-local status` says whether an operation was left unfinished. "
        "To put the data there: `graasp-local restore BACKUP`.",
    )


def require_database(world: World, meaning: str) -> None:
    """Raises Refused, with what that means for what was asked, if the database is off: its server cannot be used."""
    if not database_is_on(world):
        raise Refused(
            "The database is off.",
            meaning,
            "Start it with `graasp-local apply db-only` or `graasp-local apply running`.",
        )


def database_is_on(world: World) -> bool:
    """Whether the site's database server is running; an external one counts as running, and is only asked when used."""
    if world.site.settings.external_database is not None:
        return True
    return any(s.group is ServiceGroup.DATABASE and s.is_on for s in world.containers.observe().services)


def _whole_or_not_at_all(
    store: BackupStore, name: str, write: Callable[[Path], Generator[Report, None, StoredBackup]]
) -> Generator[Report, None, StoredBackup]:
    try:
        partial = store.begin(name)
    except OSError as error:
        raise _failed(f"{store.directory} cannot be written to: {error.strerror}.") from error
    try:
        return (yield from write(partial))
    except OSError as error:
        store.discard(partial)
        raise _failed(f"The backup cannot be written to {store.directory}: {error.strerror}.") from error
    except NeedsYou as error:
        store.discard(partial)
        raise _failed(error.what, error.next_step) from error
    except Interrupted as error:
        store.discard(partial)
        raise Interrupted("Interrupted. The incomplete backup was deleted.", error.meaning) from error
    except BaseException:
        store.discard(partial)
        raise


def _database(world: World, partial: Path, database: str, size: int, expected: int) -> Generator[Report, None, Part]:
    file = partial / f"{database}.dump"
    dump = yield from dump_database(world, database, file, expected)
    yield from check_dump(world, file, dump.stored)
    yield f"{file.name}: {in_words(dump.stored.bytes)}, {len(dump.rows)} table(s), {sum(dump.rows.values())} row(s)"
    only_superusers = tuple(plain_text(each) for each in world.databases.only_superusers(database))
    part = DatabasePart(database, dump.stored, dump.rows, size, dump.properties, only_superusers)
    if part.warning:
        yield part.warning
    return part


def _volume(world: World, partial: Path, volume: str, expected: int) -> Generator[Report, None, Part]:
    file = partial / f"{volume}.tar"
    stored = yield from write_file(world, file, world.transfers.pack(volume), volume, expected)
    contents, unwanted = yield from read_archive(world, file, stored)
    if unwanted:
        # Anything that writes to the volume could have planted it; that must not keep the rest from being backed up.
        for found in unwanted:
            yield f"{file.name}: left out of the backup, because a restore would refuse it: {found.why}"
        file.unlink()
        pieces = world.transfers.pack(volume, tuple(found.name for found in unwanted))
        stored = yield from write_file(world, file, pieces, volume, expected)
        contents = yield from check_archive(world, file, stored)
    yield f"{file.name}: {in_words(stored.bytes)}, {contents.files} file(s)"
    return VolumePart(volume, stored, contents.files, contents.content_bytes)


def _settings(world: World, partial: Path, passphrase: str) -> Generator[Report, None, Part]:
    def pieces() -> Iterator[bytes]:
        yield seal(world.site.env_file.read_bytes(), passphrase)

    stored = yield from write_file(world, partial / "env.age", pieces(), ".env", None)
    yield f"{stored.file}: .env, encrypted"
    return SettingsPart(".env", stored)


def _expected_bytes(
    world: World, store: BackupStore, sizes: Mapping[str, int], databases: tuple[str, ...], volumes: tuple[str, ...]
) -> dict[str, int]:
    """Approximate size of each part; for a dump, one and a half times the last one, or else its database's size."""
    dumped = {part.name: part.stored.bytes for backup in store.usable() for part in backup.manifest.databases}
    expected = {
        database: min(sizes[database], dumped[database] * 3 // 2) if database in dumped else sizes[database]
        for database in databases
    }
    return expected | {f"{volume}.tar": world.transfers.volume_bytes(volume) for volume in volumes}


def _refuse_without_room(store: BackupStore, expected: Mapping[str, int]) -> None:
    try:
        free = store.free_bytes()
    except OSError as error:
        raise _failed(f"{store.directory} cannot be used: {error.strerror}.") from error
    needed = sum(expected.values()) + RESERVE_BYTES
    if free < needed:
        raise _failed(
            f"The disk of {store.directory} has {in_words(free)} free, but a backup may need {in_words(needed)}.",
            "Free some space, or make `backups` in the site's directory a symbolic link to a larger disk.",
        )


def _failed(what: str, next_step: str = "") -> GraaspLocalError:
    return Refused(what, "No backup was kept. The site is unchanged.", next_step or "Fix this, then try again.")
