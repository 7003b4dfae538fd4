"""Graasp's database, as operations use it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from graasp_local.planning.migrations import AppliedMigration


class CollationChange(Struct, frozen=True):
    """A database whose text was sorted with a different version of the operating system's collations."""

    database: str
    was: str
    is_now: str


class Database(Protocol):
    """Graasp's database. Every method raises NeedsYou when it does not answer."""

    def applied_migrations(self) -> tuple[AppliedMigration, ...]: ...
    def size_bytes(self) -> int: ...
    def collation_changes(self) -> tuple[CollationChange, ...]:
        """Databases of the server whose text indexes may be out of order; empty if Postgres records no version."""
        ...

    def end_other_sessions(self) -> int:
        """End other connections to Graasp's database; returns how many there were. umami's database is left alone."""
        ...

    def take_snapshot(self, name: str) -> None:
        """Copy Graasp's database under this name, replacing an earlier copy of that name."""
        ...

    def swap_back(self, snapshot: str, *, until_removed: bool = False) -> str:
        """Replace the database with the snapshot; returns the name under which the replaced one is kept.

        It is kept until the next successful deployment, or `until_removed` by a person. Does nothing if this has
        already happened.
        """
        ...

    def kept_until_removed(self) -> tuple[str, ...]:
        """Databases that only a person removes."""
        ...

    def remove_kept(self, name: str) -> None: ...

    def has_snapshot(self, name: str) -> bool: ...
    def make_database(self, name: str, password: str) -> bool:
        """Make sure there is a database of this name, owned by a role of the same name with this password.

        Returns whether it was missing. Does not touch any other database, or the content of an existing one.
        """
        ...

    def rows_added_since(self, snapshot: str) -> int | None:
        """How many more rows Graasp's tables have than in the snapshot; None if counting takes too long."""
        ...

    def drop_snapshots_but(self, name: str) -> tuple[str, ...]:
        """Remove snapshots and failed databases of other operations than the named one; returns what was removed.

        Leaves what is kept until a person removes it.
        """
        ...

    def migration_lock(self) -> AbstractContextManager[None]:
        """Held during a migration. Raises NeedsYou if another process, on any host, holds it for this server."""
        ...
