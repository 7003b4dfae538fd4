"""Whether the files of a backup match its manifest, and can be read to the end."""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import assert_never

from msgspec import Struct

from graasp_local.backup.archive_members import inside, problem_of
from graasp_local.backup.dumps import Dump, load_dump
from graasp_local.backup.manifest import DatabasePart, Manifest, Part, SettingsPart, StoredFile, VolumePart
from graasp_local.backup.moving import Digest, Moved, Report, follow, stop_if_asked
from graasp_local.backup.names import trial_name
from graasp_local.backup.store import StoredBackup
from graasp_local.errors import GraaspLocalError, NeedsYou, Refused
from graasp_local.files import chunks_of
from graasp_local.planning.server import GRAASP_DATABASE
from graasp_local.ports.world import World
from graasp_local.version import Version

_MOST_UNWANTED = 500
"""How many names fit on a command line."""


class ArchiveContents(Struct, frozen=True):
    """The content of a tar archive: the number of regular files, and the sum of their sizes in bytes."""

    files: int
    content_bytes: int


def refuse_newer_postgres(world: World, manifest: Manifest) -> None:
    """Raises Refused if the dumps come from a newer Postgres than the site's server, which could not load them."""
    major = world.databases.major_version()
    if manifest.databases and major < manifest.postgres:
        raise Refused(
            f"The backup was taken from Postgres {manifest.postgres}, but this server is Postgres {major}.",
            "An older server cannot read it. Nothing was changed.",
            "Run `graasp-local upgrade-database`, or restore to a new site whose DB_IMAGE is Postgres "
            f"{manifest.postgres}.",
        )


def refuse_without_version(manifest: Manifest) -> None:
    """Raises Refused if the backup has Graasp's database, but no version that could run on it."""
    if manifest.database(GRAASP_DATABASE) is not None and Version.parse_or_none(manifest.version) is None:
        raise Refused(
            f"The backup {manifest.name} was taken before any version was deployed, so no version can run on it.",
            "Nothing was changed.",
            "Choose another backup: `graasp-local backup list`.",
        )


def check_backup(world: World, backup: StoredBackup, parts: tuple[Part, ...]) -> Generator[Report]:
    """Read these parts to the end. Raises Refused for the first that does not match the manifest."""
    for part in parts:
        yield from check_part(world, backup.path(part.stored.file), part)
        yield f"{part.stored.file}: complete, {part.stored.bytes} bytes, sha256 {part.stored.sha256[:16]}…"
        if isinstance(part, DatabasePart) and part.warning:
            yield part.warning


def check_part(world: World, file: Path, part: Part) -> Generator[Report]:
    """Check one file. Raises Refused if it is damaged."""
    match part:
        case DatabasePart():
            yield from check_dump(world, file, part.stored)
        case VolumePart():
            contents = yield from check_archive(world, file, part.stored)
            if contents != ArchiveContents(part.files, part.content_bytes):
                raise _damaged(file, f"it contains {contents.files} files, but the manifest says {part.files}")
        case SettingsPart():
            digest = Digest(_pieces(file, part.stored))
            for _ in digest:
                stop_if_asked(world)
            _compare(file, part.stored, digest, problem="")
        case _:
            assert_never(part)


def check_dump(world: World, file: Path, stored: StoredFile) -> Generator[Report]:
    """Check size and sha256, and let pg_restore read the dump to its end. Raises Refused."""
    digest = Digest(_pieces(file, stored))
    problem = ""
    try:
        yield from follow(world, world.transfers.read_dump(digest), f"reading {file.name}", stored.bytes)
    except NeedsYou as error:
        problem = error.what
    _compare(file, stored, digest, problem)


def check_archive(world: World, file: Path, stored: StoredFile) -> Generator[Report, None, ArchiveContents]:
    """Check size, sha256, and every header of the archive, each of which must be restorable.

    Raises Refused; returns what is in the archive.
    """
    contents, unwanted = yield from read_archive(world, file, stored)
    if unwanted:
        raise Refused(
            f"The backup cannot be restored: {file}: {unwanted[0].why}.",
            "Nothing was unpacked. The site is unchanged.",
            "Find out where this archive comes from. `graasp-local restore --only` restores other parts of the backup.",
        )
    return contents


class Unwanted(Struct, frozen=True):
    """A member of an archive that is not restored: its name, and why, as the end of a sentence."""

    name: str
    why: str


def read_archive(
    world: World, file: Path, stored: StoredFile
) -> Generator[Report, None, tuple[ArchiveContents, tuple[Unwanted, ...]]]:
    """Check size and sha256, and read every header of the archive. Raises Refused if it is damaged."""
    digest = Digest(_pieces(file, stored))
    files = content_bytes = 0
    problem = ""
    links: set[str] = set()
    unwanted: list[Unwanted] = []
    try:
        with tarfile.open(fileobj=_Readable(iter(digest)), mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                stop_if_asked(world)
                why = problem_of(member, links)
                if why and len(unwanted) < _MOST_UNWANTED:
                    unwanted.append(Unwanted(member.name, why))
                if member.issym():
                    links.add(inside(member.name) or "")
                files += member.isfile()
                content_bytes += member.size if member.isfile() else 0
                yield Moved(f"reading {file.name}", digest.bytes, stored.bytes)
    except (tarfile.TarError, ArithmeticError, ValueError, RecursionError) as error:
        problem = f"the archive is incomplete ({error})"
    _compare(file, stored, digest, problem)
    return ArchiveContents(files, content_bytes), tuple(unwanted)


def check_bytes(file: Path, stored: StoredFile) -> bytes:
    """The content of a small file, if it matches the manifest. Raises Refused."""
    digest = Digest(_pieces(file, stored))
    content = b"".join(digest)
    _compare(file, stored, digest, problem="")
    return content


def trial_restore(world: World, backup: StoredBackup) -> Generator[Report]:
    """Load every dump into a temporary database, compare its rows, and remove it. Raises Refused."""
    for part in backup.manifest.databases:
        into = trial_name(part.name)
        dump = Dump(part.stored, part.rows, part.properties)
        roles: list[str] = []
        try:
            yield from load_dump(world, backup.path(part.stored.file), dump, into, part.name, roles)
        except NeedsYou as error:
            raise Refused(
                f"The backup cannot be restored on this server: {backup.path(part.stored.file)}: {error.what}",
                "Its files are undamaged. The site is unchanged.",
                error.next_step or _where_the_database_logs(world),
            ) from error
        finally:
            with contextlib.suppress(GraaspLocalError):
                world.databases.drop(into)
                for role in roles:
                    world.databases.drop_role(role)


def _where_the_database_logs(world: World) -> str:
    external = world.site.settings.external_database
    if external is not None:
        return f"The log of the database server at {external.where} says more."
    return "`graasp-local logs db` shows what the database logged."


def _pieces(file: Path, stored: StoredFile) -> Iterator[bytes]:
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        raise _damaged(file, "it is missing") from None
    if size != stored.bytes:
        raise _damaged(file, f"it has {size} bytes, but the manifest says {stored.bytes}")
    return chunks_of(file)


def _compare(file: Path, stored: StoredFile, digest: Digest, problem: str) -> None:
    for _ in digest:  # to its end, wherever its reader stopped
        pass
    if digest.sha256 != stored.sha256:
        raise _damaged(file, "its sha256 differs from the manifest")
    if problem:
        raise _damaged(file, problem.rstrip("."))


def _damaged(file: Path, why: str) -> Refused:
    return Refused(
        f"The backup is damaged: {file}: {why}.",
        "It cannot be restored. The site is unchanged.",
        "`graasp-local backup list` shows the others; make a new one with `graasp-local backup`.",
    )


class _Readable:
    """Pieces as a file object for tarfile."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def read(self, size: int) -> bytes:
        while len(self._held) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._held += piece
        taken, self._held = self._held[:size], self._held[size:]
        return taken
