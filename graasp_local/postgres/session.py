"""How each of our superuser sessions begins, so that nothing a database's owner configured there affects it.

An owner may set a search path, a role, time limits or read-only mode for every session in the database; settings given
at connection time take precedence. Nothing here keeps a query from evaluating an owner's index expressions during
planning, with the rights of the session: so tables of others are read only by COPY, which plans nothing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

_WHERE_KNOWN = """
SELECT set_config(name, wanted.value, false) FROM pg_settings JOIN (VALUES
  ('idle_session_timeout', '0'), ('transaction_timeout', '0'),
  ('restrict_nonsystem_relation_kind', 'view, foreign-table')
) AS wanted (parameter, value) ON name = wanted.parameter
"""
"""Parameters of newer servers only (14, 17, the minor releases of August 2024): connecting with unknown ones fails."""


def make_ours(connection: psycopg.Connection) -> None:
    """Set what could not be set at connection time. Raises psycopg.Error."""
    connection.execute(_WHERE_KNOWN)


def whole_table(connection: psycopg.Connection, schema: str, table: str) -> int:
    """The number of rows of a table. Evaluates nothing that its owner defined; Postgres refuses it for a view."""
    from psycopg import sql

    row = connection.execute(_NARROWEST, (schema, table)).fetchone()
    column = sql.SQL("({})").format(sql.Identifier(str(row[0]))) if row else sql.SQL("")
    statement = sql.SQL("COPY {}{} TO '/dev/null'").format(sql.Identifier(schema, table), column)
    return connection.execute(statement).rowcount


def rows_streamed(connection: psycopg.Connection, schema: str, table: str) -> int:
    """The same, for a role that may not have the server write files: one column of the table is sent here."""
    from psycopg import sql

    row = connection.execute(_NARROWEST, (schema, table)).fetchone()
    column = sql.SQL("({})").format(sql.Identifier(str(row[0]))) if row else sql.SQL("")
    statement = sql.SQL("COPY {}{} TO STDOUT").format(sql.Identifier(schema, table), column)
    with connection.cursor().copy(statement) as rows:
        # A line break within a value is sent as two characters.
        return sum(bytes(piece).count(b"\n") for piece in rows)


def content_of(connection: psycopg.Connection, schema: str, table: str) -> tuple[int, int]:
    """The number of rows of a table, and a checksum over them that does not depend on their order.

    Identical rows are each counted; generated columns are left out, since the server itself writes them.
    """
    from psycopg import sql

    count = checksum = 0
    with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(schema, table))) as rows:
        for row in rows:
            count += 1
            checksum += int.from_bytes(hashlib.md5(row, usedforsecurity=False).digest()[:8])
    return count, checksum % 2**63


_NARROWEST = """
SELECT attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
WHERE n.nspname = %s AND c.relname = %s AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attlen <= 0, attlen, attnum LIMIT 1
"""
"""Writing out one short column costs least."""
