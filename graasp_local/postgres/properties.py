"""What belongs to a database but is in no template and no dump: read from one, applied to another.

Decides nothing: the caller chooses whose properties a database gets.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graasp_local.ports.data import DatabaseProperties, Locale

if TYPE_CHECKING:
    import psycopg
    from psycopg.sql import Composed

_DATABASE = """
SELECT to_jsonb(d) || jsonb_build_object('owner', pg_get_userbyid(datdba), 'coding', pg_encoding_to_char(encoding),
         'comment', shobj_description(oid, 'pg_database'))
FROM pg_database d WHERE datname = %s
"""
"""As JSON, because newer major versions have columns that older ones lack."""

_PRIVILEGES = """
SELECT coalesce(g.rolname, ''), x.privilege_type, x.is_grantable
FROM pg_database d, aclexplode(coalesce(datacl, acldefault('d', datdba))) x LEFT JOIN pg_roles g ON g.oid = x.grantee
WHERE datname = %s AND (x.grantee = 0 OR g.rolname IS NOT NULL) ORDER BY 1, 2
"""

_SETTINGS = """
SELECT coalesce(r.rolname, ''), split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase LEFT JOIN pg_roles r ON r.oid = setrole,
  unnest(setconfig) setting
WHERE datname = %s ORDER BY 1, 2
"""

_LISTS = ("search_path", "session_preload_libraries", "local_preload_libraries", "temp_tablespaces")
"""Parameters whose value is a list of names: the names are quoted one by one, not the value as a whole."""


def read_properties(connection: psycopg.Connection, database: str) -> DatabaseProperties:
    """The properties of a database of the connection's server. Raises LookupError if there is none of this name."""
    row = connection.execute(_DATABASE, (database,)).fetchone()
    if row is None:
        raise LookupError(database)
    told = row[0]
    locale = Locale(
        encoding=told["coding"],
        collate=told["datcollate"],
        ctype=told["datctype"],
        provider=told.get("datlocprovider") or "c",
        name=told.get("datlocale") or told.get("daticulocale") or "",
        rules=told.get("daticurules") or "",
    )
    return DatabaseProperties(
        owner=told["owner"],
        locale=locale,
        connection_limit=told["datconnlimit"],
        comment=told["comment"] or "",
        privileges=tuple((str(r), str(p), bool(g)) for r, p, g in connection.execute(_PRIVILEGES, (database,))),
        settings=tuple((str(r), str(p), str(v)) for r, p, v in connection.execute(_SETTINGS, (database,))),
    )


def locale_clause(locale: Locale, major: int) -> Composed:
    """The clause of CREATE DATABASE that gives a new database this locale."""
    from psycopg import sql

    words = [
        sql.SQL("ENCODING {} LC_COLLATE {} LC_CTYPE {}").format(
            sql.Literal(locale.encoding), sql.Literal(locale.collate), sql.Literal(locale.ctype)
        )
    ]
    if locale.provider == "i":
        words.append(sql.SQL("LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(locale.name)))
        if locale.rules:
            words.append(sql.SQL("ICU_RULES {}").format(sql.Literal(locale.rules)))
    elif locale.provider == "b":
        words.append(sql.SQL("LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(sql.Literal(locale.name)))
    elif major >= 15:
        words.append(sql.SQL("LOCALE_PROVIDER libc").format())
    return sql.SQL(" ").join(words)


def give_properties(
    connection: psycopg.Connection, database: str, properties: DatabaseProperties, trusted: DatabaseProperties | None
) -> tuple[str, ...]:
    """Apply all but owner and locale, in one transaction; returns what was left out, as phrases."""
    from psycopg import sql

    name = sql.Identifier(database)
    roles = {str(role) for (role,) in connection.execute("SELECT rolname FROM pg_roles")}
    free = {str(p) for (p,) in connection.execute("SELECT name FROM pg_settings WHERE context = 'user'")}
    known = set(trusted.settings) if trusted else set()
    left_out = []
    statements = [
        sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.Literal(properties.connection_limit)),
        sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(properties.comment or None)),
    ]
    if properties.privileges:
        owner = sql.Identifier(read_properties(connection, database).owner)
        statements.append(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC, {}").format(name, owner))
    for role, privilege, grantable in properties.privileges:
        if role and role not in roles:
            left_out.append(f"the privilege {privilege} of the role {role}, which this server does not have")
            continue
        statements.append(
            sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                sql.SQL(_known_privilege(privilege)),
                name,
                sql.Identifier(role) if role else sql.SQL("PUBLIC"),
                sql.SQL(" WITH GRANT OPTION" if grantable and role else ""),
            )
        )
    for role, parameter, value in properties.settings:
        if role and role not in roles:
            left_out.append(f"the setting {parameter} of the role {role}, which this server does not have")
        elif parameter not in free and (role, parameter, value) not in known:
            left_out.append(f"the setting {parameter} = {value}, which only the server's superuser may set")
        else:
            statements.append(_set(database, role, parameter, value))
    with connection.transaction():
        for statement in statements:
            connection.execute(statement)
    return tuple(left_out)


def _set(database: str, role: str, parameter: str, value: str) -> Composed:
    from psycopg import sql

    whose = (
        sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), sql.Identifier(database))
        if role
        else sql.SQL("DATABASE {}").format(sql.Identifier(database))
    )
    values = names_in(value) if parameter in _LISTS else [value]
    return sql.SQL("ALTER {} SET {} TO {}").format(
        whose,
        sql.SQL(".").join(map(sql.Identifier, parameter.split("."))),
        sql.SQL(", ").join(map(sql.Literal, values or [""])),
    )


def names_in(value: str) -> list[str]:
    """The names in a list as Postgres stores it: separated by commas, some in quotes."""
    found = re.findall(r'"((?:[^"]|"")*)"|([^",\s][^",]*)', value)
    return [quoted.replace('""', '"') if quoted else plain.strip() for quoted, plain in found]


def _known_privilege(privilege: str) -> str:
    if privilege not in ("CONNECT", "CREATE", "TEMPORARY"):
        raise ValueError(privilege)
    return privilege
