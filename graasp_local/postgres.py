"""Graasp's database, asked as its superuser over the loopback port that the stack publishes.

Works on the database `graasp` alone: umami stays connected to its own on the same server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graasp_local.errors import NeedsYou
from graasp_local.migrations import AppliedMigration

if TYPE_CHECKING:
    import psycopg

DATABASE = "graasp"
_CONNECT_SECONDS = 5


class PostgresDatabase:
    """`address` is asked for host and port at each connection, since the port changes when the container restarts."""

    def __init__(self, address: Callable[[], tuple[str, int]], password: str) -> None:
        self._address = address
        self._password = password

    def applied_migrations(self) -> tuple[AppliedMigration, ...]:
        """The rows of `drizzle.__drizzle_migrations`, oldest first; none where the table does not exist."""
        with self._connection(DATABASE) as connection:
            # Asked first, because a query on a missing table leaves an ERROR in Postgres's log.
            exists = connection.execute("SELECT to_regclass('drizzle.__drizzle_migrations')").fetchone()
            if exists is None or exists[0] is None:
                return ()
            rows = connection.execute(
                "SELECT created_at, hash FROM drizzle.__drizzle_migrations ORDER BY created_at, id"
            )
            return tuple(AppliedMigration(int(when), str(sha256)) for when, sha256 in rows)

    def size_bytes(self) -> int:
        with self._connection("postgres") as connection:
            row = connection.execute("SELECT pg_database_size(%s)", (DATABASE,)).fetchone()
            return int(row[0]) if row else 0

    def end_other_sessions(self) -> int:
        with self._connection("postgres") as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (DATABASE,)
            ).fetchall()
            return len(rows)

    @contextmanager
    def _connection(self, database: str) -> Iterator[psycopg.Connection]:
        import psycopg

        host, port = self._address()
        try:
            with psycopg.connect(
                host=host,
                port=port,
                user="postgres",
                password=self._password,
                dbname=database,
                connect_timeout=_CONNECT_SECONDS,
                application_name="graasp-local",
                autocommit=True,
            ) as connection:
                yield connection
        except psycopg.Error as error:
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
            hint = (
                "POSTGRES_PASSWORD in .env is not the one that the database was made with; put the old one back."
                if "password authentication failed" in reason
                else "Look at `graasp-local logs db`."
            )
            raise NeedsYou(f"The database does not answer: {reason}.", "", hint) from error
