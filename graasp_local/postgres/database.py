"""Graasp's database, asked as its superuser over the loopback port that the stack publishes.

Works on the database `graasp` alone: umami stays connected to its own on the same server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from graasp_local.errors import NeedsYou
from graasp_local.planning.migrations import AppliedMigration
from graasp_local.planning.server import GRAASP_DATABASE
from graasp_local.postgres.address import Address

if TYPE_CHECKING:
    import psycopg

SNAPSHOT_PREFIX = "graasp_snapshot_"
FAILED_PREFIX = "graasp_failed_"
_CONNECT_SECONDS = 5
_MIGRATION_LOCK = 0x6772_6161_7370  # "graasp"
_LONGEST_NAME = 63
_COUNT_SECONDS = 10
# One statement for tables that are known only when it runs.
_COUNT_ROWS = """
SELECT format('%I.%I', schemaname, tablename),
       (xpath('/row/count/text()', query_to_xml(
           format('SELECT count(*) FROM %I.%I', schemaname, tablename), false, true, '')))[1]::text
FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'drizzle')
"""


def snapshot_name(walk: str) -> str:
    """The snapshot of a walk, found again by the walk's name alone. Postgres cuts names at 63 bytes."""
    return (SNAPSHOT_PREFIX + re.sub(r"[^a-z0-9]+", "_", walk.lower()))[:_LONGEST_NAME]


def failed_name(snapshot: str) -> str:
    """Under which name the database is kept in whose place this snapshot was put."""
    return snapshot.replace(SNAPSHOT_PREFIX, FAILED_PREFIX, 1)


class PostgresDatabase:
    """`address` is asked for host and port at each connection, since the port changes when the container restarts."""

    def __init__(self, address: Address, password: str) -> None:
        self._address = address
        self._password = password

    def applied_migrations(self) -> tuple[AppliedMigration, ...]:
        """The rows of `drizzle.__drizzle_migrations`, oldest first; none where the table does not exist."""
        with self._connection(GRAASP_DATABASE) as connection:
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
            row = connection.execute("SELECT pg_database_size(%s)", (GRAASP_DATABASE,)).fetchone()
            return int(row[0]) if row else 0

    def end_other_sessions(self) -> int:
        with self._connection("postgres") as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (GRAASP_DATABASE,)
            ).fetchall()
            return len(rows)

    def has_snapshot(self, name: str) -> bool:
        with self._connection("postgres") as connection:
            return name in _databases(connection)

    def make_database(self, name: str, password: str) -> bool:
        from psycopg import sql

        owner = sql.Identifier(name)
        with self._connection("postgres") as connection:
            # A verifier instead of the password: what Postgres logs of it is of no use to anybody.
            verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
            verb = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(verb.format(owner, sql.Literal(verifier)))
            if name in _databases(connection):
                return False
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(owner, owner))
            connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(owner))
            return True

    def take_snapshot(self, name: str) -> None:
        from psycopg import sql

        with self._connection("postgres") as connection:
            copy, graasp = sql.Identifier(name), sql.Identifier(GRAASP_DATABASE)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(copy))
            # Copying files is several times quicker than the default through the write-ahead log; new in Postgres 15.
            strategy = "STRATEGY file_copy" if connection.info.server_version >= 150000 else ""
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} {}").format(copy, graasp, graasp, sql.SQL(strategy))
            )
            # Privileges on a database are not copied with it.
            connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(copy))

    def swap_back(self, snapshot: str) -> str:
        failed = failed_name(snapshot)
        with self._connection("postgres") as connection:
            names = _databases(connection)
            if snapshot not in names:
                if failed in names and GRAASP_DATABASE in names:
                    return failed
                raise NeedsYou(f"There is no snapshot {snapshot} on the database server.")
            # Both renames or neither: renaming is transactional.
            with connection.transaction():
                if GRAASP_DATABASE in names:
                    _rename(connection, GRAASP_DATABASE, failed)
                _rename(connection, snapshot, GRAASP_DATABASE)
        return failed

    def rows_added_since(self, snapshot: str) -> int | None:
        now, then = self._row_counts(GRAASP_DATABASE), self._row_counts(snapshot)
        if now is None or then is None:
            return None
        return sum(max(0, count - then.get(table, 0)) for table, count in now.items())

    def _row_counts(self, database: str) -> dict[str, int] | None:
        """Rows by table, the list of migrations left out; None where counting takes longer than a person waits."""
        import psycopg

        with self._connection(database) as connection:
            try:
                connection.execute("SELECT set_config('statement_timeout', %s, false)", (f"{_COUNT_SECONDS}s",))
                rows = connection.execute(_COUNT_ROWS).fetchall()
            except psycopg.errors.QueryCanceled:
                return None
        return {str(table): int(count) for table, count in rows}

    def drop_snapshots_but(self, name: str) -> tuple[str, ...]:
        from psycopg import sql

        kept = {name, failed_name(name)}
        with self._connection("postgres") as connection:
            old = [
                database
                for database in sorted(_databases(connection))
                if database.startswith((SNAPSHOT_PREFIX, FAILED_PREFIX)) and database not in kept
            ]
            for database in old:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
        return tuple(old)

    @contextmanager
    def migration_lock(self) -> Iterator[None]:
        with self._connection("postgres") as connection:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_MIGRATION_LOCK,)).fetchone()
            if row is None or not row[0]:
                raise NeedsYou(
                    "Another graasp-local is migrating this database, perhaps from another machine.",
                    "",
                    "Wait until it has ended.",
                )
            yield

    def _connection(self, database: str) -> AbstractContextManager[psycopg.Connection]:
        return connected(self._address, self._password, database)


@contextmanager
def connected(address: Address, password: str, database: str) -> Iterator[psycopg.Connection]:
    """A connection as the server's superuser. Raises NeedsYou when it cannot be had, or for what the server refuses."""
    import psycopg

    host, port = address()
    try:
        with psycopg.connect(
            host=host,
            port=port,
            user="postgres",
            password=password,
            dbname=database,
            connect_timeout=_CONNECT_SECONDS,
            application_name="graasp-local",
            autocommit=True,
        ) as connection:
            yield connection
    except psycopg.Error as error:
        if error.diag.message_primary:
            detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
            raise NeedsYou(f"The database refused: {error.diag.message_primary}{detail}.") from error
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        hint = (
            "POSTGRES_PASSWORD in .env is not the one that the database was made with; put the old one back."
            if "password authentication failed" in reason
            else "Look at `graasp-local logs db`."
        )
        raise NeedsYou(f"The database does not answer: {reason}.", "", hint) from error


def _databases(connection: psycopg.Connection) -> set[str]:
    return {str(name) for (name,) in connection.execute("SELECT datname FROM pg_database")}


def _rename(connection: psycopg.Connection, old: str, new: str) -> None:
    from psycopg import sql

    connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
