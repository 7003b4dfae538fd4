"""Graasp's database, as an operation works with it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from graasp_local.planning.migrations import AppliedMigration


class CollationChange(Struct, frozen=True):
    """A database whose text was sorted by another version of the operating system's collations than there is now."""

    database: str
    was: str
    is_now: str


class Database(Protocol):
    """Graasp's database. Every method raises NeedsYou when it does not answer."""

    def applied_migrations(self) -> tuple[AppliedMigration, ...]: ...
    def size_bytes(self) -> int: ...
    def collation_changes(self) -> tuple[CollationChange, ...]:
        """Databases of the server whose indexes over text may be out of order; none where Postgres keeps no version."""
        ...

    def end_other_sessions(self) -> int:
        """End what is still connected to Graasp's database; returns how many there were. umami's is left alone."""
        ...

    def take_snapshot(self, name: str) -> None:
        """Copy Graasp's database under this name; a copy of that name from before is replaced."""
        ...

    def swap_back(self, snapshot: str, *, until_removed: bool = False) -> str:
        """Put the snapshot in the database's place; returns the name under which the other one is kept.

        That is until a deployment went through, or `until_removed` by a person. Does nothing if it has happened
        already.
        """
        ...

    def kept_until_removed(self) -> tuple[str, ...]:
        """Databases that only a person removes."""
        ...

    def remove_kept(self, name: str) -> None: ...

    def has_snapshot(self, name: str) -> bool: ...
    def make_database(self, name: str, password: str) -> bool:
        """See to it that there is a database of this name, with an owner of its own of the same name and this password.

        Says whether it was missing. Touches no other database, and nothing of one that is there.
        """
        ...

    def rows_added_since(self, snapshot: str) -> int | None:
        """How many more rows Graasp's tables have than in the snapshot; None where counting takes too long."""
        ...

    def drop_snapshots_but(self, name: str) -> tuple[str, ...]:
        """Remove snapshots and failed databases of other operations than the named one; returns what was removed.

        Leaves what is kept until a person removes it.
        """
        ...

    def migration_lock(self) -> AbstractContextManager[None]:
        """Held during a migration. Raises NeedsYou if somebody else, on any host, holds it for this server."""
        ...
