"""Dumps a database to a file of the site, and loads one into a new database; each is verified before it counts.

Row counts are from the same moment as the dump, so a restore can be compared with them table by table.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from graasp_local.backup.manifest import StoredFile
from graasp_local.backup.moving import Digest, Report, follow, write_file
from graasp_local.errors import GraaspLocalError, NeedsYou
from graasp_local.files import chunks_of
from graasp_local.planning.dump_entries import extensions_in, missing_role, to_load, without_data
from graasp_local.ports.data import DatabaseProperties, Locale
from graasp_local.ports.world import World


class Dump(Struct, frozen=True):
    """A dump in a file: the file, how many rows each table has in it, and the properties of the database."""

    stored: StoredFile
    rows: Mapping[str, int]
    properties: DatabaseProperties | None = None


def dump_database(
    world: World, database: str, file: Path, expected: int | None = None
) -> Generator[Report, None, Dump]:
    """Write a dump of a database to a new file. `expected` is its approximate size in bytes.

    Consistent while the site runs. Raises NeedsYou, Interrupted or OSError; the file is then incomplete.
    """
    with world.databases.view(database) as view:
        try:
            stored = yield from write_file(
                world, file, world.transfers.dump(database, view.snapshot), database, expected
            )
        except BaseException:
            # The tool inside the container does not notice by itself that its output is no longer read.
            with contextlib.suppress(GraaspLocalError):
                world.databases.end_dumps()
            raise
        return Dump(stored, dict(view.rows), world.databases.properties(database))


def load_dump(
    world: World, file: Path, dump: Dump, into: str, owner: str, made_roles: list[str] | None = None
) -> Generator[Report]:
    """Restore a dump into a new database and verify it: the file's sha256, and the rows of every table.

    The content is loaded with the rights of `owner`, never with the superuser's, because its owner could have put
    anything into it. Roles that it names and the server lacks are created, without rights and logins, and added to
    `made_roles`. A database called `into` is replaced. Raises NeedsYou or Interrupted, after removing the new database.
    """
    made_roles = [] if made_roles is None else made_roles
    yield from _have_role(world, owner, into, made_roles)
    listing = world.transfers.contents(chunks_of(file))
    in_place = owner in world.databases.sizes()
    there = world.databases.superuser_extensions(owner) if in_place else {}
    extensions = {name: schema for name, schema in there.items() if name in extensions_in(listing)}
    loading = to_load(listing, owner, extensions, {*extensions.values()} - {"public", "pg_catalog"})
    trusted = world.databases.properties(owner) if in_place else None
    properties = dump.properties or trusted
    new = _NewDatabase(into, owner, extensions, properties.locale if properties else None)
    try:
        digest = yield from _load_all(world, file, dump, new, loading.entries, made_roles)
        if digest.sha256 != dump.stored.sha256:
            raise NeedsYou(f"{file} has changed: its sha256 differs from the manifest.")
        with world.databases.view(into) as view:
            wrong = differing_rows(dump.rows, view.rows)
        if wrong:
            raise NeedsYou(f"{into} differs from what was backed up: {wrong}")
        for phrase in world.databases.give(into, properties, trusted) if properties else ():
            yield f"{into}: not restored: {phrase}"
        for told in loading.left_out:
            yield f"{into}: not restored, because it needs the server's superuser: {told}"
        yield f"{into}: {len(dump.rows)} table(s), {sum(dump.rows.values())} row(s), as in the backup"
    except BaseException:
        with contextlib.suppress(GraaspLocalError):
            world.databases.drop(into)
        raise


class _NewDatabase(Struct, frozen=True):
    name: str
    owner: str
    extensions: Mapping[str, str]
    locale: Locale | None


def _load_all(
    world: World, file: Path, dump: Dump, new: _NewDatabase, entries: tuple[str, ...], made_roles: list[str]
) -> Generator[Report, None, Digest]:
    """Load these entries. If a role is missing, first retry without rows until none is missing: rows may take hours."""
    wanted = entries
    while True:
        digest = Digest(chunks_of(file))
        world.databases.create(new.name, new.owner, new.extensions, new.locale)
        try:
            with world.databases.loader(new.name, new.owner) as loader:
                counts = world.transfers.load(new.name, loader, wanted, digest)
                yield from follow(world, counts, f"into {new.name}", dump.stored.bytes)
        except NeedsYou as error:
            role = missing_role(error.what)
            if "permission denied to create extension" in error.what:
                raise NeedsYou(f"{error.what} {_who_creates_it(world, new.owner)}") from error
            if not role or role in made_roles:
                raise
            yield from _have_role(world, role, new.name, made_roles)
            wanted = without_data(entries)
            continue
        if len(wanted) == len(entries):
            for _ in digest:  # also what pg_restore did not need to read
                pass
            return digest
        wanted = entries


def _who_creates_it(world: World, database: str) -> str:
    """What to do about an extension that the owner may not create: a rollback ends with its own next step, not this."""
    if world.site.settings.external_database is not None:
        return f"Have the server's administrator create it in {database}, then restore again."
    psql = f"graasp-local compose -- exec db psql -U postgres -d {database}"
    return (
        "Only the server's superuser can: with the database on (`graasp-local apply db-only`), create it in "
        f"{database} with `{psql}`, then restore again."
    )


def _have_role(world: World, role: str, into: str, made_roles: list[str]) -> Iterator[str]:
    if world.databases.ensure_role(role):
        made_roles.append(role)
        yield f"{into}: created the role {role} without a login, because this server did not have it"


def differing_rows(expected: Mapping[str, int], found: Mapping[str, int]) -> str:
    """The first difference between two sets of row counts, as a sentence; empty if there is none. Pure."""
    for table in sorted({*expected, *found}):
        if expected.get(table) != found.get(table):
            counts = (
                f"{count} row(s)" if count is not None else "missing"
                for count in (expected.get(table), found.get(table))
            )
            was, is_now = counts
            return f"{table}: {was} in the backup, {is_now} now."
    return ""
