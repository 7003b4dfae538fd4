"""What backups and restores need of the world, as two protocols: the databases of a server, and bytes in and out.

The real ones are postgres/databases.py and engine/transfers.py, fakes are in tests/unit/fake_data.py. Nothing here does
anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Protocol

from msgspec import Struct

DUMP_APPLICATION = "graasp-local-dump"
"""The name under which the server knows the sessions of dumps and of what loads them."""

OWN_SESSION = " ".join(
    f"-c {parameter}={value}"
    for parameter, value in {
        "search_path": "pg_catalog",
        "role": "none",
        "default_transaction_read_only": "off",
        "row_security": "off",
        "statement_timeout": "0",
        "lock_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
    }.items()
)
"""What sessions of ours begin with, so that nothing counts that a database's owner, or the server, sets for them."""

EMPTY: Mapping[str, str] = MappingProxyType({})

LOCK_SECONDS = 60
"""How long a dump waits for a table that somebody holds, before it fails and says so."""


class DatabaseView(Struct, frozen=True):
    """A database as it was at one moment: `snapshot` makes pg_dump see the same, `rows` counts every table."""

    snapshot: str
    rows: Mapping[str, int]


class Locale(Struct, frozen=True):
    """How a database compares and writes text. `provider` is `c` (the system's), `i` (ICU) or `b` (Postgres's own)."""

    encoding: str
    collate: str
    ctype: str
    provider: str = "c"
    name: str = ""
    """What ICU or Postgres itself calls it."""
    rules: str = ""


class DatabaseProperties(Struct, frozen=True):
    """What belongs to a database and is in no template and no dump of it."""

    owner: str
    locale: Locale
    connection_limit: int = -1
    comment: str = ""
    privileges: tuple[tuple[str, str, bool], ...] = ()
    """Role (empty for everybody), privilege, and whether the role may grant it to others."""
    settings: tuple[tuple[str, str, str], ...] = ()
    """Role (empty for everybody), parameter, value: what `ALTER DATABASE` or `ALTER ROLE … IN DATABASE` has set."""


class Loader(Struct, frozen=True):
    """A login that lasts for one load: a role of no rights of its own, that may be `owner` and nobody else."""

    role: str
    password: str
    owner: str


class Databases(Protocol):
    """All databases of the site's server, for backups and restores. Raises NeedsYou when it does not answer."""

    def major_version(self) -> int: ...
    def sizes(self) -> Mapping[str, int]:
        """Every database that is no template, with its size in bytes."""
        ...

    def view(self, database: str) -> AbstractContextManager[DatabaseView]:
        """Hold one moment of a database in view: for as long as this lasts, a dump of it shows exactly these rows."""
        ...

    def create(
        self, database: str, owner: str, extensions: Mapping[str, str] = EMPTY, locale: Locale | None = None
    ) -> None:
        """Make an empty database, in the place of one of this name if there is one.

        A locale that this server does not have is the server's own instead. `extensions`, each with the schema that it
        belongs into, are made in it before its owner can come in.
        """
        ...

    def ensure_role(self, role: str) -> bool:
        """Have a role of this name on the server; returns whether it had to be made, with no right and no login."""
        ...

    def drop_role(self, role: str) -> None:
        """Remove a role that nothing belongs to; leaves any other."""
        ...

    def superuser_extensions(self, database: str) -> Mapping[str, str]:
        """The extensions of a database that only the superuser could have made, each with its schema."""
        ...

    def properties(self, database: str) -> DatabaseProperties: ...
    def give(
        self, database: str, properties: DatabaseProperties, trusted: DatabaseProperties | None
    ) -> tuple[str, ...]:
        """Give a database these properties, but for owner and locale; returns what it was not given, as phrases.

        Settings that only the superuser may make are made only where `trusted` has them too.
        """
        ...

    def loader(self, database: str, owner: str) -> AbstractContextManager[Loader]:
        """A login to load into the database with: as its owner, and by no `RESET` as anybody who may do more."""
        ...

    def drop(self, database: str) -> None:
        """Remove a database and whoever is connected to it; does nothing if there is none."""
        ...

    def rename_together(self, renames: Sequence[tuple[str, str]]) -> None:
        """Give databases other names, in this order, all or none. Ends the sessions that stand in the way."""
        ...

    def end_dumps(self) -> int:
        """End the sessions of dumps that outlived the graasp-local that began them; returns how many."""
        ...


class Transfers(Protocol):
    """The site's data as bytes, in and out through the engine, never held in memory as a whole.

    What yields, yields an empty piece or 0 while nothing moves, so that the caller can look whether it should end;
    closing it ends what it started. Raises NeedsYou for a tool that failed, EngineUnreachable without an engine.
    """

    def dump(self, database: str, snapshot: str) -> Iterator[bytes]:
        """pg_dump in its custom format, of the moment that a DatabaseView holds in view."""
        ...

    def contents(self, pieces: Iterable[bytes]) -> tuple[str, ...]:
        """What a dump holds, a line for each thing, as pg_restore lists it."""
        ...

    def load(self, database: str, loader: Loader, entries: Sequence[str], pieces: Iterable[bytes]) -> Iterator[int]:
        """Restore these entries of a dump into an empty database, all or nothing, as the loader's owner.

        Yields the bytes taken since the last time.
        """
        ...

    def read_dump(self, pieces: Iterable[bytes]) -> Iterator[int]:
        """Have pg_restore read a dump to its very end, into nothing: a list of contents would not see a missing end."""
        ...

    def volumes(self) -> tuple[str, ...]:
        """The volumes that belong into a backup and exist, by the names that the stack gives them."""
        ...

    def volume_bytes(self, volume: str) -> int: ...
    def pack(self, volume: str, without: Sequence[str] = ()) -> Iterator[bytes]:
        """A tar archive of a volume, without what graasp-local keeps in it, and without these names in the archive."""
        ...

    def unpack(self, volume: str, number: str, pieces: Iterable[bytes]) -> Iterator[int]:
        """Unpack an archive inside the volume, beside what is there, for the restore of this number."""
        ...

    def files_are_swapped(self, volume: str, number: str) -> bool:
        """Whether the swap of this restore has begun or is done: then what was unpacked is no longer beside."""
        ...

    def swap_files_in(self, volume: str, number: str) -> None:
        """Put what was unpacked in the place of what is there, by renames; goes on with a swap that was cut off."""
        ...

    def swap_files_out(self, volume: str, number: str) -> None:
        """Put back what was there before; does nothing if no swap had begun."""
        ...

    def drop_kept_files(self, volume: str, but: str) -> None:
        """Remove what restores other than this one keep in the volume; an empty number keeps nothing."""
        ...
