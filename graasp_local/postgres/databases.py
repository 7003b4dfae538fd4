"""All databases of the site's server: what a backup reads, and what a restore creates and renames.

Acts on the names it is given; which database replaces which is decided in backup/names.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

from graasp_local.errors import NeedsYou
from graasp_local.ports.data import (
    DUMP_APPLICATION,
    EMPTY,
    LOCK_SECONDS,
    DatabaseProperties,
    DatabaseView,
    Loader,
    Locale,
)
from graasp_local.postgres.address import Address
from graasp_local.postgres.database import connected, drop, rename
from graasp_local.postgres.loader import LOADER, end_loader, leave_to_owner, make_loader, remove_loader
from graasp_local.postgres.properties import give_properties, locale_clause, read_properties
from graasp_local.postgres.session import whole_table

if TYPE_CHECKING:
    import psycopg
    from psycopg.sql import Composed

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

_SUPERUSER_EXTENSIONS = """
SELECT e.extname, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname <> 'plpgsql' AND NOT EXISTS (
  SELECT FROM pg_available_extension_versions v WHERE v.name = e.extname AND v.version = e.extversion AND v.trusted)
ORDER BY 1
"""

_ONLY_SUPERUSERS = """
WITH found(catalog, id, schema, told) AS (
  SELECT 'pg_proc'::regclass, p.oid, pronamespace,
    format('function %s (%s)', p.oid::regprocedure, concat_ws(', ', CASE WHEN proleakproof THEN 'LEAKPROOF' END,
      CASE WHEN NOT lanpltrusted THEN 'LANGUAGE ' || lanname END))
  FROM pg_proc p JOIN pg_language l ON l.oid = prolang WHERE proleakproof OR (prokind <> 'a' AND NOT lanpltrusted)
  UNION ALL SELECT 'pg_proc'::regclass, p.oid, pronamespace, format('aggregate %s', p.oid::regprocedure)
  FROM pg_proc p JOIN pg_aggregate a ON aggfnoid = p.oid WHERE aggtranstype = 'internal'::regtype
  UNION ALL SELECT 'pg_opclass'::regclass, oid, opcnamespace, format('operator class %s', opcname) FROM pg_opclass
  UNION ALL SELECT 'pg_opfamily'::regclass, f.oid, opfnamespace, format('operator family %s', opfname)
  FROM pg_opfamily f WHERE NOT EXISTS (SELECT FROM pg_opclass WHERE opcfamily = f.oid)
  UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace, format('type %s', oid::regtype)
  FROM pg_type WHERE typtype = 'b' AND typcategory <> 'A'
  UNION ALL SELECT 'pg_ts_parser'::regclass, oid, prsnamespace, format('text search parser %s', prsname)
  FROM pg_ts_parser
  UNION ALL SELECT 'pg_ts_template'::regclass, oid, tmplnamespace, format('text search template %s', tmplname)
  FROM pg_ts_template
  UNION ALL SELECT 'pg_cast'::regclass, oid, 0, format('cast from %s to %s', castsource::regtype, casttarget::regtype)
  FROM pg_cast WHERE castmethod = 'b'
  UNION ALL SELECT 'pg_language'::regclass, oid, 0, format('language %s', lanname) FROM pg_language
)
SELECT told FROM found LEFT JOIN pg_namespace n ON n.oid = schema
WHERE id >= 16384 AND coalesce(nspname !~ '^pg_' AND nspname <> 'information_schema', true) AND NOT EXISTS (
  SELECT FROM pg_depend d WHERE d.classid = catalog AND d.objid = id AND d.deptype IN ('e', 'i'))
ORDER BY 1
"""
# An internal dependency: the functions that make values of a range type, which come with the type.


class PostgresDatabases:
    """The databases of one server. Calls `address` for each connection; `password` is the superuser's."""

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
            # A locked table would make a backup wait forever, and block other sessions behind it.
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            row = connection.execute("SELECT pg_export_snapshot()").fetchone()
            yield DatabaseView(str(row[0]) if row else "", self._counted(connection))

    def create(
        self, database: str, owner: str, extensions: Mapping[str, str] = EMPTY, locale: Locale | None = None
    ) -> None:
        from psycopg import sql

        self.drop(database)
        names = {"name": sql.Identifier(database), "owner": sql.Identifier(owner)}
        with self._connection() as connection:
            # From template0, because a dump contains everything else. Only the superuser can connect for now.
            statement = sql.SQL("CREATE DATABASE {name} TEMPLATE template0 CONNECTION LIMIT 0").format(**names)
            create_with(connection, statement, locale)
            # A dump does not contain the privileges on the database itself: set as compose/database does.
            connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC").format(**names))
        if extensions:
            with self._connection(database) as connection:
                make_extensions(connection, owner, extensions)
        with self._connection() as connection:
            connection.execute(sql.SQL("ALTER DATABASE {name} OWNER TO {owner}").format(**names))
            connection.execute(sql.SQL("ALTER DATABASE {name} CONNECTION LIMIT -1").format(**names))

    def ensure_role(self, role: str) -> bool:
        from psycopg import sql

        with self._connection() as connection:
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                return False
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
            return True

    def drop_role(self, role: str) -> None:
        import psycopg
        from psycopg import sql

        with self._connection() as connection, suppress(psycopg.errors.DependentObjectsStillExist):
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))

    def superuser_extensions(self, database: str) -> Mapping[str, str]:
        with self._connection(database) as connection:
            return {str(name): str(schema) for name, schema in connection.execute(_SUPERUSER_EXTENSIONS)}

    def only_superusers(self, database: str) -> tuple[str, ...]:
        with self._connection(database) as connection:
            return tuple(str(told) for (told,) in connection.execute(_ONLY_SUPERUSERS))

    def properties(self, database: str) -> DatabaseProperties:
        with self._connection() as connection:
            return read_properties(connection, database)

    def give(
        self, database: str, properties: DatabaseProperties, trusted: DatabaseProperties | None
    ) -> tuple[str, ...]:
        with self._connection() as connection:
            return give_properties(connection, database, properties, trusted)

    @contextmanager
    def loader(self, database: str, owner: str) -> Iterator[Loader]:
        password = secrets.token_urlsafe(24)
        with self._connection() as connection:
            make_loader(connection, database, owner, password)
        try:
            yield Loader(LOADER, password, owner)
        finally:
            # If the server no longer answers, the next load takes over what is left.
            with suppress(NeedsYou):
                self._remove_loader(database, owner)

    def _remove_loader(self, database: str, owner: str) -> None:
        with self._connection() as connection:
            end_loader(connection)
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
        if exists:
            with self._connection(database) as connection:
                leave_to_owner(connection, owner)
        with self._connection() as connection:
            remove_loader(connection)

    def drop(self, database: str) -> None:
        with self._connection() as connection:
            drop(connection, database)

    def rename_together(self, renames: Sequence[tuple[str, str]]) -> None:
        with self._connection() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = ANY(%s)",
                ([name for pair in renames for name in pair],),
            )
            with connection.transaction():
                for old, new in renames:
                    rename(connection, old, new)

    def end_dumps(self) -> int:
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s",
                (DUMP_APPLICATION,),
            ).fetchall()
            return len(rows)

    def _counted(self, connection: psycopg.Connection) -> dict[str, int]:
        """Every table with its number of rows, actually counted: the server's own estimate would prove nothing."""
        return {
            f"{schema}.{table}": self._rows_in(connection, schema, table)
            for schema, table in connection.execute(_TABLES).fetchall()
        }

    def _rows_in(self, connection: psycopg.Connection, schema: str, table: str) -> int:
        return whole_table(connection, schema, table)

    def _connection(self, database: str = "postgres") -> AbstractContextManager[psycopg.Connection]:
        return connected(self._address, self._password, database)


def create_with(connection: psycopg.Connection, statement: Composed, locale: Locale | None) -> None:
    """Create a database with this locale, or with the server's own if it does not have this one."""
    import psycopg
    from psycopg import sql

    if locale is not None:
        clause = locale_clause(locale, connection.info.server_version // 10000)
        # Any way a server reports a locale that it does not know, or cannot have in this encoding.
        with suppress(psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError, psycopg.InternalError):
            connection.execute(sql.SQL("{} {}").format(statement, clause))
            return
    connection.execute(statement)


def make_extensions(connection: psycopg.Connection, owner: str, extensions: Mapping[str, str]) -> None:
    """Create these extensions in the connection's database, each in its schema."""
    from psycopg import sql

    for name, schema in extensions.items():
        names = {"name": sql.Identifier(name), "schema": sql.Identifier(schema), "owner": sql.Identifier(owner)}
        if schema not in ("public", "pg_catalog"):
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}").format(**names))
        connection.execute(
            sql.SQL("CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA {schema} CASCADE").format(**names)
        )
