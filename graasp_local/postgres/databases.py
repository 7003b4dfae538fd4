"""All databases of the site's server: what a backup looks at, and what a restore makes and renames.

Does what it is told with names that it is given; which database takes whose place is decided in backup/names.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from graasp_local.ports.data import DUMP_APPLICATION, LOCK_SECONDS, DatabaseView
from graasp_local.postgres.address import Address
from graasp_local.postgres.database import connected

if TYPE_CHECKING:
    import psycopg

_TABLES = """
SELECT n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  AND c.relpersistence <> 't'
  AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
ORDER BY 1, 2
"""
# Tables of extensions are left out of dumps, so they are not counted.


class PostgresDatabases:
    """`address` is asked for host and port at each connection; `password` is the superuser's."""

    def __init__(self, address: Address, password: str) -> None:
        self._address = address
        self._password = password

    def major_version(self) -> int:
        with self._connection() as connection:
            return connection.info.server_version // 10000

    def sizes(self) -> Mapping[str, int]:
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT datname, pg_database_size(datname) FROM pg_database WHERE NOT datistemplate"
            )
            return {str(name): int(size) for name, size in rows}

    @contextmanager
    def view(self, database: str) -> Iterator[DatabaseView]:
        with self._connection(database) as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # A table that somebody holds would make a backup wait for ever, and keep others out behind it.
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            row = connection.execute("SELECT pg_export_snapshot()").fetchone()
            yield DatabaseView(str(row[0]) if row else "", _counted(connection))

    def create(self, database: str, owner: str) -> None:
        from psycopg import sql

        self.drop(database)
        with self._connection() as connection:
            names = {"name": sql.Identifier(database), "owner": sql.Identifier(owner)}
            # From template0, because a dump brings everything that is not in it.
            connection.execute(sql.SQL("CREATE DATABASE {name} OWNER {owner} TEMPLATE template0").format(**names))
            # A dump does not bring the privileges on the database itself: as compose/database makes them.
            connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC").format(**names))

    def drop(self, database: str) -> None:
        from psycopg import sql

        with self._connection() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def rename_together(self, renames: Sequence[tuple[str, str]]) -> None:
        from psycopg import sql

        with self._connection() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = ANY(%s)",
                ([name for pair in renames for name in pair],),
            )
            with connection.transaction():
                for old, new in renames:
                    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
                    connection.execute(statement.format(sql.Identifier(old), sql.Identifier(new)))

    def end_dumps(self) -> int:
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s",
                (DUMP_APPLICATION,),
            ).fetchall()
            return len(rows)

    def _connection(self, database: str = "postgres") -> AbstractContextManager[psycopg.Connection]:
        return connected(self._address, self._password, database)


def _counted(connection: psycopg.Connection) -> dict[str, int]:
    """Every table with its number of rows, counted one by one: the server's own estimate would prove nothing."""
    from psycopg import sql

    counts = {}
    for schema, table in connection.execute(_TABLES).fetchall():
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))).fetchone()
        counts[f"{schema}.{table}"] = int(row[0]) if row else 0
    return counts
