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


class Obstacle(Struct, frozen=True):
    """Why a database server cannot be used for this site, as a sentence, and what to do about it."""

    said: str
    fix: str


class Database(Protocol):
    """Graasp's database. Every method raises NeedsYou when it does not answer."""

    def obstacles(self) -> tuple[Obstacle, ...]:
        """Why the server cannot be used, found out without changing it; always empty for the stack's own.

        A server that does not answer is an obstacle too.
        """
        ...

    def missing_databases(self) -> tuple[str, ...]:
        """The databases that a site needs and the server does not have yet; always empty for the stack's own."""
        ...

    def admit(self) -> None:
        """Let Graasp connect again where `end_other_sessions` shut it out, as it does on an external server."""
        ...

    def applied_migrations(self) -> tuple[AppliedMigration, ...]: ...
    def size_bytes(self) -> int: ...
    def collation_changes(self) -> tuple[CollationChange, ...]:
        """Databases of the server whose text indexes may be out of order; empty if Postgres records no version."""
        ...

    def subscriptions(self) -> tuple[str, ...]:
        """The subscriptions of Graasp's database: no copy of it has them, and a rollback would leave them behind."""
        ...

    def end_other_sessions(self) -> int:
        """End other connections to Graasp's database; returns how many there were. umami's database is left alone.

        On an external server, Graasp cannot connect from then on until `admit`; the migration can.
        """
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
