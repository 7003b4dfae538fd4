"""Graasp's database, accessed as superuser through the loopback port that the stack publishes.

Works on the database `graasp` alone: umami stays connected to its own on the same server.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from graasp_local.errors import NeedsYou
from graasp_local.planning.migrations import AppliedMigration
from graasp_local.planning.server import GRAASP_DATABASE
from graasp_local.ports.data import OWN_SESSION
from graasp_local.ports.database import CollationChange, Obstacle
from graasp_local.postgres.address import Address
from graasp_local.postgres.properties import give_properties, read_properties
from graasp_local.postgres.roles import verifier
from graasp_local.postgres.session import make_ours, whole_table

if TYPE_CHECKING:
    import psycopg

SNAPSHOT_PREFIX = "graasp_snapshot_"
FAILED_PREFIX = "graasp_failed_"
_KEPT_MARK = "graasp-local: kept until somebody removes it"
"""Stored as a comment on the database, which survives a rename."""

_CONNECT_SECONDS = 5
_MIGRATION_LOCK = 0x6772_6161_7370  # "graasp"
_LONGEST_NAME = 63
_COUNT_SECONDS = 10
_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND relpersistence <> 't' AND n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('information_schema', 'drizzle')
"""
_ADMIT = """
DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_database WHERE datname = 'graasp' AND NOT has_database_privilege(datdba, oid, 'CONNECT'))
  THEN GRANT CONNECT ON DATABASE graasp TO graasp; END IF;
END $$
"""
_COLLATIONS = """
SELECT datname, datcollversion, pg_database_collation_actual_version(oid) FROM pg_database
WHERE datallowconn AND datcollversion <> pg_database_collation_actual_version(oid) ORDER BY 1
"""


def snapshot_name(operation: str) -> str:
    """The snapshot of an operation, derived from the operation's name alone. Postgres cuts names at 63 bytes."""
    return (SNAPSHOT_PREFIX + re.sub(r"[^a-z0-9]+", "_", operation.lower()))[:_LONGEST_NAME]


def failed_name(snapshot: str) -> str:
    """The name under which the database that this snapshot replaced is kept."""
    return snapshot.replace(SNAPSHOT_PREFIX, FAILED_PREFIX, 1)


class PostgresDatabase:
    """Graasp's database. Calls `address` for each connection, since the port changes when the container restarts."""

    def __init__(self, address: Address, password: str) -> None:
        self._address = address
        self._password = password

    def obstacles(self) -> tuple[Obstacle, ...]:
        """None: the stack itself configures its own server."""
        return ()

    def missing_databases(self) -> tuple[str, ...]:
        """None: the stack's own server creates them when it is initialized."""
        return ()

    def admit(self) -> None:
        """Has an effect only if the site was moved back from several machines while graasp was shut out."""
        with self._connection("postgres") as connection:
            connection.execute(_ADMIT)

    def applied_migrations(self) -> tuple[AppliedMigration, ...]:
        """The rows of `drizzle.__drizzle_migrations`, oldest first; none where the table does not exist."""
        with self._connection(GRAASP_DATABASE) as connection:
            # Checked first, because a query on a missing table leaves an ERROR in Postgres's log.
            exists = connection.execute("SELECT to_regclass('drizzle.__drizzle_migrations')").fetchone()
            if exists is None or exists[0] is None:
                return ()
            # Not a query: that would run whatever the owner put into a view or an index of this name.
            with connection.cursor().copy("COPY drizzle.__drizzle_migrations (created_at, id, hash) TO STDOUT") as rows:
                return _migrations(rows.rows())

    def size_bytes(self) -> int:
        with self._connection("postgres") as connection:
            row = connection.execute("SELECT pg_database_size(%s)", (GRAASP_DATABASE,)).fetchone()
            return int(row[0]) if row else 0

    def collation_changes(self) -> tuple[CollationChange, ...]:
        with self._connection("postgres") as connection:
            if connection.info.server_version < 150000:
                return ()
            rows = connection.execute(_COLLATIONS)
            return tuple(CollationChange(str(name), str(was), str(is_now)) for name, was, is_now in rows)

    def subscriptions(self) -> tuple[str, ...]:
        with self._connection("postgres") as connection:
            rows = connection.execute(
                "SELECT subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE datname = %s "
                "ORDER BY 1",
                (GRAASP_DATABASE,),
            )
            return tuple(str(name) for (name,) in rows)

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

        with self._connection("postgres") as connection:
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
            verb = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(verb.format(sql.Identifier(name), verifier(connection, name, password)))
            if name in _databases(connection):
                return False
            create_owned(connection, name)
            return True

    def take_snapshot(self, name: str) -> None:
        from psycopg import sql

        with self._connection("postgres") as connection:
            copy, graasp = sql.Identifier(name), sql.Identifier(GRAASP_DATABASE)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(copy))
            # Copying files is several times faster than the default, the write-ahead log; new in Postgres 15.
            words: list[sql.Composable] = (
                [sql.SQL("STRATEGY file_copy")] if connection.info.server_version >= 150000 else []
            )
            version = _collation_version(connection)
            if version:
                # Otherwise Postgres refuses to copy if the operating system's collations have changed under the data.
                words.append(sql.SQL("COLLATION_VERSION {}").format(sql.Literal(version)))
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} {}").format(
                    copy, graasp, graasp, sql.SQL(" ").join(words)
                )
            )
            # The copy includes neither the privileges on the database nor its settings.
            properties = read_properties(connection, GRAASP_DATABASE)
            give_properties(connection, name, properties, trusted=properties)

    def swap_back(self, snapshot: str, *, until_removed: bool = False) -> str:
        from psycopg import sql

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
                    if until_removed:
                        mark = sql.SQL("COMMENT ON DATABASE {} IS {}")
                        connection.execute(mark.format(sql.Identifier(GRAASP_DATABASE), sql.Literal(_KEPT_MARK)))
                    rename(connection, GRAASP_DATABASE, failed)
                rename(connection, snapshot, GRAASP_DATABASE)
        return failed

    def kept_until_removed(self) -> tuple[str, ...]:
        with self._connection("postgres") as connection:
            return tuple(sorted(_kept(connection)))

    def remove_kept(self, name: str) -> None:
        with self._connection("postgres") as connection:
            if name in _kept(connection):
                self._drop(connection, name)

    def rows_added_since(self, snapshot: str) -> int | None:
        now, then = self._row_counts(GRAASP_DATABASE), self._row_counts(snapshot)
        if now is None or then is None:
            return None
        return sum(max(0, count - then.get(table, 0)) for table, count in now.items())

    def _row_counts(self, database: str) -> dict[str, int] | None:
        """Rows by table, without the list of migrations; None if counting takes longer than _COUNT_SECONDS."""
        import psycopg

        with self._connection(database) as connection:
            patience = threading.Timer(_COUNT_SECONDS, connection.cancel)
            patience.start()
            try:
                return {
                    f"{schema}.{table}": self._rows_in(connection, schema, table)
                    for schema, table in connection.execute(_TABLES).fetchall()
                }
            except psycopg.errors.QueryCanceled:
                return None
            finally:
                patience.cancel()

    def _rows_in(self, connection: psycopg.Connection, schema: str, table: str) -> int:
        return whole_table(connection, schema, table)

    def drop_snapshots_but(self, name: str) -> tuple[str, ...]:
        with self._connection("postgres") as connection:
            kept = {name, failed_name(name), *_kept(connection)}
            old = [
                database
                for database in sorted(_databases(connection))
                if database.startswith((SNAPSHOT_PREFIX, FAILED_PREFIX)) and database not in kept
            ]
            for database in old:
                self._drop(connection, database)
        return tuple(old)

    def _drop(self, connection: psycopg.Connection, database: str) -> None:
        drop(connection, database)

    @contextmanager
    def migration_lock(self) -> Iterator[None]:
        with self._connection("postgres") as connection:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_MIGRATION_LOCK,)).fetchone()
            if row is None or not row[0]:
                raise NeedsYou(
                    "Another graasp-local is migrating this database, possibly on another machine.",
                    "",
                    "Wait until it has finished.",
                )
            yield

    def _connection(self, database: str) -> AbstractContextManager[psycopg.Connection]:
        return connected(self._address, self._password, database)


@contextmanager
def connected(address: Address, password: str, database: str) -> Iterator[psycopg.Connection]:
    """A connection as the server's superuser. Raises NeedsYou if it fails or if the server refuses a statement."""
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
            options=OWN_SESSION,
            autocommit=True,
        ) as connection:
            make_ours(connection)
            yield connection
    except psycopg.Error as error:
        if error.diag.message_primary:
            detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
            raise NeedsYou(f"The database refused: {error.diag.message_primary}{detail}.") from error
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        hint = (
            "POSTGRES_PASSWORD in .env is not the one that the database was created with; restore the old one."
            if "password authentication failed" in reason
            else "Check `graasp-local logs db`."
        )
        raise NeedsYou(f"The database does not answer: {reason}.", "", hint) from error


def _collation_version(connection: psycopg.Connection) -> str | None:
    """The collation version that Graasp's database was created with; None if Postgres records none."""
    told = connection.execute("SELECT to_jsonb(d) FROM pg_database d WHERE datname = %s", (GRAASP_DATABASE,)).fetchone()
    version = told[0].get("datcollversion") if told else None
    return str(version) if version else None


def _migrations(rows: Iterable[tuple[str | None, ...]]) -> tuple[AppliedMigration, ...]:
    """Rows of drizzle's table, oldest first. Raises NeedsYou for rows that drizzle would not write."""
    try:
        ordered = sorted((int(when or ""), int(number or ""), str(sha256)) for when, number, sha256 in rows)
    except ValueError:
        raise NeedsYou(
            "drizzle.__drizzle_migrations contains rows that drizzle would not write.",
            "It is unknown which migrations were applied.",
            "Inspect it: `graasp-local compose -- exec db psql -U graasp -d graasp`.",
        ) from None
    return tuple(AppliedMigration(when, sha256) for when, _, sha256 in ordered)


def _databases(connection: psycopg.Connection) -> set[str]:
    return {str(name) for (name,) in connection.execute("SELECT datname FROM pg_database")}


def _kept(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s) AND shobj_description(oid, 'pg_database') = %s",
        (FAILED_PREFIX, _KEPT_MARK),
    )
    return {str(name) for (name,) in rows}


def create_owned(connection: psycopg.Connection, name: str) -> None:
    """Create a database that belongs to the role of the same name, and that no other role can connect to."""
    from psycopg import sql

    both = sql.Identifier(name)
    # template1 cannot be copied if the operating system's collations have changed since it was created.
    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(both, both))
    connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(both))


def drop(connection: psycopg.Connection, database: str) -> None:
    """Remove a database, if there is one, and end its sessions, as a superuser can."""
    from psycopg import sql

    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def rename(connection: psycopg.Connection, old: str, new: str) -> None:
    """Rename a database that no session is connected to."""
    from psycopg import sql

    connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
