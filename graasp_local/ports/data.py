"""What backups and restores need, as two protocols: the databases of a server, and data in and out as bytes.

Implemented by postgres/databases.py and engine/data/transfers.py; the fakes are in tests/unit/fake_data.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Protocol

from msgspec import Struct

DUMP_APPLICATION = "graasp-local-dump"
"""The application name of sessions that dump or load."""

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
"""Options for our own sessions, which override what a database's owner or the server sets."""

EMPTY: Mapping[str, str] = MappingProxyType({})

LOCK_SECONDS = 60
"""How long a dump waits for a locked table before it fails and says so."""


class DatabaseView(Struct, frozen=True):
    """A database as it was at one moment: with `snapshot`, pg_dump sees the same; `rows` counts every table's rows."""

    snapshot: str
    rows: Mapping[str, int]


class Locale(Struct, frozen=True):
    """How a database compares and encodes text. `provider`: `c` (the system's), `i` (ICU) or `b` (Postgres's own)."""

    encoding: str
    collate: str
    ctype: str
    provider: str = "c"
    name: str = ""
    """ICU's or Postgres's own name for it."""
    rules: str = ""


class DatabaseProperties(Struct, frozen=True):
    """What belongs to a database but is neither in a template nor in a dump of it."""

    owner: str
    locale: Locale
    connection_limit: int = -1
    comment: str = ""
    privileges: tuple[tuple[str, str, bool], ...] = ()
    """Role (empty for all), privilege, and whether the role may grant it to others."""
    settings: tuple[tuple[str, str, str], ...] = ()
    """Role (empty for all), parameter, value: what `ALTER DATABASE` or `ALTER ROLE … IN DATABASE` has set."""


class Loader(Struct, frozen=True):
    """A login for one load: a role without rights of its own, which may only act as `owner`."""

    role: str
    password: str
    owner: str


class Databases(Protocol):
    """All databases of the site's server, for backups and restores. Raises NeedsYou when it does not answer."""

    def major_version(self) -> int: ...
    def sizes(self) -> Mapping[str, int]:
        """Every database except templates, with its size in bytes."""
        ...

    def view(self, database: str) -> AbstractContextManager[DatabaseView]:
        """Hold a view of the database at one moment: while this lasts, a dump of it has exactly these rows."""
        ...

    def create(
        self, database: str, owner: str, extensions: Mapping[str, str] = EMPTY, locale: Locale | None = None
    ) -> None:
        """Create an empty database, replacing one of this name if there is one.

        If this server does not have the locale, its own is used instead. `extensions`, each with the schema that it
        belongs in, are created in it before its owner can connect.
        """
        ...

    def ensure_role(self, role: str) -> bool:
        """Make sure that this role exists; returns whether it had to be created, then without rights and login."""
        ...

    def drop_role(self, role: str) -> None:
        """Remove the role if it owns nothing; otherwise leave it."""
        ...

    def superuser_extensions(self, database: str) -> Mapping[str, str]:
        """The extensions of a database that only the superuser could have created, each with its schema."""
        ...

    def only_superusers(self, database: str) -> tuple[str, ...]:
        """What a dump of a database holds that only a superuser may create, so that it cannot be loaded as its owner.

        Without what belongs to an extension, or is left out when a dump is loaded.
        """
        ...

    def properties(self, database: str) -> DatabaseProperties: ...
    def give(
        self, database: str, properties: DatabaseProperties, trusted: DatabaseProperties | None
    ) -> tuple[str, ...]:
        """Give a database these properties, except owner and locale; returns what it was not given, as phrases.

        Settings that only the superuser may make are made only if `trusted` has them too.
        """
        ...

    def loader(self, database: str, owner: str) -> AbstractContextManager[Loader]:
        """A login for loading into the database: it acts as the owner, and no `RESET` gets it more rights."""
        ...

    def drop(self, database: str) -> None:
        """Remove a database and end its connections; does nothing if there is none."""
        ...

    def rename_together(self, renames: Sequence[tuple[str, str]]) -> None:
        """Rename databases, in this order, all or none. Ends the sessions that are in the way."""
        ...

    def end_dumps(self) -> int:
        """End the sessions of dumps that outlived the graasp-local that started them; returns how many."""
        ...


class Transfers(Protocol):
    """The site's data as bytes, in and out through the engine, never held in memory as a whole.

    Iterators yield an empty piece or 0 while nothing moves, so that the caller can check whether to stop; closing one
    ends what it started. Raises NeedsYou if a tool failed, EngineUnreachable without an engine.
    """

    def dump(self, database: str, snapshot: str) -> Iterator[bytes]:
        """pg_dump in its custom format, of the moment that a DatabaseView holds."""
        ...

    def contents(self, pieces: Iterable[bytes]) -> tuple[str, ...]:
        """What a dump holds, a line for each entry, as pg_restore lists it."""
        ...

    def load(self, database: str, loader: Loader, entries: Sequence[str], pieces: Iterable[bytes]) -> Iterator[int]:
        """Restore these entries of a dump into an empty database, all or nothing, as the loader's owner.

        Yields the bytes read since the last time.
        """
        ...

    def read_dump(self, pieces: Iterable[bytes]) -> Iterator[int]:
        """Have pg_restore read a whole dump and discard it: listing its contents would not notice a missing end."""
        ...

    def volumes(self) -> tuple[str, ...]:
        """The volumes that belong in a backup and exist, by the names that the stack gives them."""
        ...

    def volume_bytes(self, volume: str) -> int: ...
    def pack(self, volume: str, without: Sequence[str] = ()) -> Iterator[bytes]:
        """A tar archive of a volume, leaving out what graasp-local keeps in it, and the names in `without`."""
        ...

    def unpack(self, volume: str, number: str, pieces: Iterable[bytes]) -> Iterator[int]:
        """Unpack an archive inside the volume, next to the current files, for the restore with this number."""
        ...

    def files_are_swapped(self, volume: str, number: str) -> bool:
        """Whether this restore's swap has begun or is done: then the unpacked files may already have been moved."""
        ...

    def swap_files_in(self, volume: str, number: str) -> None:
        """Replace the current files with the unpacked ones, by renames; continues a swap that was cut off."""
        ...

    def swap_files_out(self, volume: str, number: str) -> None:
        """Put the previous files back; does nothing if no swap had begun."""
        ...

    def drop_kept_files(self, volume: str, but: Sequence[str]) -> None:
        """Remove what restores other than those with these numbers keep in the volume."""
        ...
