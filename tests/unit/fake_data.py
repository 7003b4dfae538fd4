"""Databases and their transfers in memory: every database is a list of migrations, every volume a dict of files."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from graasp_local.errors import NeedsYou
from graasp_local.planning.migrations import AppliedMigration
from graasp_local.ports.data import EMPTY, DatabaseProperties, DatabaseView, Loader, Locale

Content = list[AppliedMigration]
PIECE = 16


@dataclass
class FakeDatabases:
    """`applied` is what the database graasp holds; it is the very list that the fake Database answers from."""

    applied: Content = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    others: dict[str, Content] = field(default_factory=lambda: {"umami": []})
    snapshots: dict[str, Content] = field(default_factory=dict)
    """The very ones of the fake Database: what is renamed to a snapshot's name is one."""
    major: int = 15
    size: int = 1000
    has_graasp: bool = True
    roles: set[str] = field(default_factory=lambda: {"postgres", "graasp", "umami"})
    needed_roles: set[str] = field(default_factory=set)
    """Roles that a dump gives privileges to."""
    untrusted: dict[str, str] = field(default_factory=dict)
    superusers_own: tuple[str, ...] = ()
    made_extensions: dict[str, Mapping[str, str]] = field(default_factory=dict)
    given: dict[str, DatabaseProperties] = field(default_factory=dict)
    rows_off_by: int = 0
    """How many rows a database that was loaded has too many: a restore that lies."""

    def major_version(self) -> int:
        return self.major

    def sizes(self) -> Mapping[str, int]:
        return dict.fromkeys([*(["graasp"] if self.has_graasp else []), *self.others], self.size)

    @contextmanager
    def view(self, database: str) -> Iterator[DatabaseView]:
        wrong = self.rows_off_by if database not in ("graasp", "umami") else 0
        yield DatabaseView("00000003-1", {"drizzle.__drizzle_migrations": len(self.content(database)) + wrong})

    def ensure_role(self, role: str) -> bool:
        if role in self.roles:
            return False
        self.roles.add(role)
        return True

    def drop_role(self, role: str) -> None:
        self.roles.discard(role)

    def superuser_extensions(self, database: str) -> Mapping[str, str]:
        return self.untrusted

    def only_superusers(self, database: str) -> tuple[str, ...]:
        return self.superusers_own if database == "graasp" else ()

    @contextmanager
    def loader(self, database: str, owner: str) -> Iterator[Loader]:
        yield Loader("loader", "a password", owner)

    def properties(self, database: str) -> DatabaseProperties:
        return self.given.get(database) or DatabaseProperties(database.split("_")[0], Locale("UTF8", "C", "C"))

    def give(
        self, database: str, properties: DatabaseProperties, trusted: DatabaseProperties | None
    ) -> tuple[str, ...]:
        self.given[database] = properties
        return ()

    def create(
        self, database: str, owner: str, extensions: Mapping[str, str] = EMPTY, locale: Locale | None = None
    ) -> None:
        self.made_extensions[database] = extensions
        self.calls.append(f"create {database}")
        self.put(database, [])

    def drop(self, database: str) -> None:
        if database in self.others:
            self.calls.append(f"drop {database}")
            del self.others[database]

    def rename_together(self, renames: Sequence[tuple[str, str]]) -> None:
        for old, new in renames:
            self.calls.append(f"rename {old} to {new}")
            content = [*self.content(old)]
            if old == "graasp":
                self.has_graasp = False
            else:
                del self.others[old]
            if new in self.sizes():
                raise NeedsYou(f"The database refused: database {new} already exists.")
            if new.startswith("graasp_snapshot_"):
                self.snapshots[new] = content
            else:
                self.put(new, content)

    def end_dumps(self) -> int:
        return 0

    def content(self, database: str) -> Content:
        return self.applied if database == "graasp" else self.others[database]

    def put(self, database: str, content: Content) -> None:
        if database == "graasp":
            self.has_graasp = True
            self.applied[:] = content
        else:
            self.others[database] = content


@dataclass
class FakeTransfers:
    """`files` are the volumes; `aside` what restores keep in them, by volume and name."""

    databases: FakeDatabases
    files: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"files": {"a.txt": b"a", "b/c.txt": b"cc"}})
    aside: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    dump_fails: Exception | None = None
    listing: tuple[str, ...] = ("219; 1259 16603 TABLE public item graasp",)
    loaded: tuple[str, Sequence[str]] = ("", ())
    """As whom the last dump was loaded, and what of it."""
    forbidden_extensions: tuple[str, ...] = ()
    """Extensions in dumps that only a superuser may create."""
    planted: list[tarfile.TarInfo] = field(default_factory=list)
    """What someone who can write to a volume put there next to its files."""
    claimed_bytes: int = 0
    """What volumes claim to hold, if that is not what they hold."""

    def dump(self, database: str, snapshot: str) -> Iterator[bytes]:
        self.databases.calls.append(f"dump {database}")
        text = json.dumps([[row.when, row.sha256] for row in self.databases.content(database)]).encode()
        for start in range(0, len(text), PIECE):
            yield text[start : start + PIECE]
            if self.dump_fails is not None:
                raise self.dump_fails

    def contents(self, pieces: Iterable[bytes]) -> tuple[str, ...]:
        return self.listing

    def load(self, database: str, loader: Loader, entries: Sequence[str], pieces: Iterable[bytes]) -> Iterator[int]:
        self.databases.calls.append(f"load {database}")
        self.loaded = (loader.owner, entries)
        for role in sorted(self.databases.needed_roles - self.databases.roles):
            raise NeedsYou(f'pg_restore failed: error: could not execute query: ERROR:  role "{role}" does not exist.')
        for name in self.forbidden_extensions:
            raise NeedsYou(f'pg_restore failed: error: ERROR:  permission denied to create extension "{name}".')
        text = b""
        for piece in pieces:
            text += piece
            yield len(piece)
        self.databases.put(database, _rows(text))

    def read_dump(self, pieces: Iterable[bytes]) -> Iterator[int]:
        text = b""
        for piece in pieces:
            text += piece
            yield len(piece)
        _rows(text)

    def volumes(self) -> tuple[str, ...]:
        return tuple(self.files)

    def volume_bytes(self, volume: str) -> int:
        return self.claimed_bytes or sum(map(len, self.files[volume].values()))

    def pack(self, volume: str, without: Sequence[str] = ()) -> Iterator[bytes]:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, content in self.files[volume].items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            for member in self.planted:
                if member.name not in without:
                    archive.addfile(member)
        yield buffer.getvalue()

    def unpack(self, volume: str, number: str, pieces: Iterable[bytes]) -> Iterator[int]:
        self.databases.calls.append(f"unpack {volume}")
        content = b"".join(pieces)
        yield len(content)
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            self.aside[volume, f"restored-{number}"] = {
                member.name: stream.read() for member in archive if (stream := archive.extractfile(member))
            }

    def files_are_swapped(self, volume: str, number: str) -> bool:
        return (volume, f"before-{number}") in self.aside

    def swap_files_in(self, volume: str, number: str) -> None:
        if not self.files_are_swapped(volume, number):
            self.aside[volume, f"before-{number}"] = self.files.get(volume, {})
            self.files[volume] = self.aside.pop((volume, f"restored-{number}"))

    def swap_files_out(self, volume: str, number: str) -> None:
        if self.files_are_swapped(volume, number):
            self.aside[volume, f"restored-{number}"] = self.files[volume]
            self.files[volume] = self.aside.pop((volume, f"before-{number}"))

    def drop_kept_files(self, volume: str, but: Sequence[str]) -> None:
        for key in [key for key in self.aside if key[0] == volume and not key[1].endswith(tuple(but))]:
            del self.aside[key]


def _rows(text: bytes) -> Content:
    try:
        return [AppliedMigration(when, sha256) for when, sha256 in json.loads(text)]
    except ValueError as error:
        raise NeedsYou("Reading the dump failed: could not read from input file: end of file.") from error
