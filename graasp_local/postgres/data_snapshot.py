"""The rows of the site's databases at one moment, restored while everything stays connected.

For tests: core exits when its database goes away, so databases cannot be swapped between two tests quickly. The rows
are copied into a schema of the same database; changes are found by the transaction that wrote each row, so that an
untouched table costs one scan. Refuses to restore rows to tables whose columns changed.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from graasp_local.postgres.address import Address
from graasp_local.postgres.database import FAILED_PREFIX, SNAPSHOT_PREFIX, connected

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

SCHEMA = "graasp_testing"
_LOCK_SECONDS = 10

_TABLES = f"""
SELECT c.oid::regclass::text, n.nspname, c.relname,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
             ORDER BY a.attnum) AS columns,
       ARRAY(SELECT a.attname::text FROM pg_index i
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
             WHERE i.indrelid = c.oid AND i.indisprimary) AS keys,
       (SELECT string_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)), ',' ORDER BY a.attnum)
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS shape
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%'
  AND n.nspname NOT IN ('information_schema', '{SCHEMA}')
ORDER BY 2, 3
"""

_SEQUENCES = f"""
SELECT format('%I.%I', schemaname, sequencename) AS place, start_value, last_value
FROM pg_sequences WHERE schemaname <> '{SCHEMA}' ORDER BY 1
"""

_OPERATORS = "SET LOCAL search_path = public"
"""Rows are compared with the operators of their own types, such as ltree; a test stack trusts its databases."""


class DataSnapshot:
    """One snapshot of all databases of a site; `password` is the superuser's."""

    def __init__(self, address: Address, password: str) -> None:
        self._address = address
        self._password = password

    def take(self) -> None:
        """Record all rows and sequences as they are now, replacing the previous snapshot. Raises NeedsYou."""
        for database in self._databases():
            with self._connection(database) as connection, connection.transaction():
                _take(connection)

    def put_back(self) -> tuple[str, ...]:
        """Restore all rows and sequences; returns the databases whose tables have changed or that have no snapshot.

        Those are left alone. Raises NeedsYou if a session holds a table.
        """
        changed = []
        for database in self._databases():
            with self._connection(database) as connection, connection.transaction():
                if not _put_back(connection):
                    changed.append(database)
        return tuple(changed)

    def forget(self, database: str) -> None:
        """Remove the snapshot of one database: a migration may change the types that its copies use."""
        with self._connection(database) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())

    def _databases(self) -> list[str]:
        with self._connection("postgres") as connection:
            rows = connection.execute(
                "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
            )
            names = sorted(str(name) for (name,) in rows)
        return [name for name in names if not name.startswith((SNAPSHOT_PREFIX, FAILED_PREFIX))]

    def _connection(self, database: str) -> AbstractContextManager[psycopg.Connection]:
        return connected(self._address, self._password, database)


def _take(connection: psycopg.Connection) -> None:
    from psycopg import sql

    connection.execute(_OPERATORS)
    connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode())
    connection.execute(f"CREATE SCHEMA {SCHEMA}".encode())
    tables = _tables(connection)
    _hold(connection, tables)
    connection.execute(
        f"CREATE TABLE {SCHEMA}.remembered (place text, copy text, shape text, rows bigint, since xid)".encode()
    )
    for number, (place, schema, name, *_, shape) in enumerate(tables):
        copy = f"copy_{number}"
        made = connection.execute(
            sql.SQL("CREATE TABLE {} AS TABLE {}").format(
                sql.Identifier(SCHEMA, copy), sql.Identifier(str(schema), str(name))
            )
        )
        connection.execute(
            f"INSERT INTO {SCHEMA}.remembered VALUES (%s, %s, %s, %s, pg_current_xact_id()::xid)".encode(),
            (place, copy, shape, made.rowcount),
        )
    connection.execute(f"CREATE TABLE {SCHEMA}.sequences AS {_SEQUENCES}".encode())


def _put_back(connection: psycopg.Connection) -> bool:
    """Whether the rows were restored; False leaves everything as it is."""
    connection.execute(_OPERATORS)
    there = connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.remembered",)).fetchone()
    if there is None or there[0] is None:
        return False
    tables = _tables(connection)
    remembered = {
        str(place): (str(copy), str(shape), int(rows), since)
        for place, copy, shape, rows, since in connection.execute(f"SELECT * FROM {SCHEMA}.remembered".encode())
    }
    if {str(place): str(shape) for place, *_, shape in tables} != {p: known[1] for p, known in remembered.items()}:
        return False
    # Without foreign keys and triggers: what is restored was consistent before.
    connection.execute("SET LOCAL session_replication_role = replica")
    _hold(connection, tables)
    touched = [_put_table_back(connection, table, *remembered[str(table[0])]) for table in tables]
    if any(touched):
        connection.execute(f"UPDATE {SCHEMA}.remembered SET since = pg_current_xact_id()::xid".encode())
    for sequence, start, last, now in connection.execute(
        f"SELECT s.*, n.last_value FROM {SCHEMA}.sequences s JOIN ({_SEQUENCES}) n USING (place)".encode()
    ).fetchall():
        if last != now:
            connection.execute("SELECT setval(%s::regclass, %s, %s)", (sequence, last or start, last is not None))
    return True


def _put_table_back(
    connection: psycopg.Connection, table: tuple[object, ...], copy: str, _shape: str, rows: int, since: str
) -> bool:
    """Whether anything had changed. A row that was written before `since` is unchanged."""
    from psycopg import sql

    _, schema, name, columns, keys, _ = table
    place = sql.Identifier(str(schema), str(name))
    as_it_was = sql.SQL("age(xmin) >= age({}::xid)").format(sql.Literal(str(since)))
    counted = connection.execute(
        sql.SQL("SELECT count(*), count(*) FILTER (WHERE {}) FROM {}").format(as_it_was, place)
    ).fetchone()
    total, unchanged = counted or (0, 0)
    if total == unchanged == rows:
        return False
    if not keys:  # equal rows cannot be distinguished
        connection.execute(sql.SQL("DELETE FROM {}").format(place))
    elif total != unchanged:
        connection.execute(sql.SQL("DELETE FROM {} WHERE NOT {}").format(place, as_it_was))
    if not keys or unchanged != rows:
        _insert_missing(connection, place, copy, _strings(columns), _strings(keys))
    return True


def _insert_missing(
    connection: psycopg.Connection, place: sql.Identifier, copy: str, columns: list[str], keys: list[str]
) -> None:
    from psycopg import sql

    same = sql.SQL(" AND ").join(
        sql.SQL("there.{0} = copy.{0}").format(sql.Identifier(key)) for key in keys
    ) or sql.SQL("false")
    connection.execute(
        sql.SQL(
            "INSERT INTO {place} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {copy} copy "
            "WHERE NOT EXISTS (SELECT FROM {place} there WHERE {same})"
        ).format(
            place=place,
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            copy=sql.Identifier(SCHEMA, copy),
            same=same if keys else sql.SQL("false"),
        )
    )


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _tables(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    return connection.execute(_TABLES.encode()).fetchall()


def _hold(connection: psycopg.Connection, tables: list[tuple[object, ...]]) -> None:
    """Wait for current writers, and keep new ones out. Raises NeedsYou through the connection's errors."""
    from psycopg import sql

    if tables:
        connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'".encode())
        places = [sql.Identifier(str(schema), str(name)) for _, schema, name, *_ in tables]
        connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(sql.SQL(", ").join(places)))
