"""A whole database server, read as its superuser through its loopback port, for an upgrade to a newer major version.

Read-only, except `make_empty`, which is for a server that was just initialized. Results have the form of
fingerprint.py, which compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from graasp_local.planning.fingerprint import DatabaseFingerprint, ServerFingerprint
from graasp_local.postgres.database import FAILED_PREFIX, SNAPSHOT_PREFIX, connected
from graasp_local.postgres.loader import LOADER
from graasp_local.postgres.session import content_of

if TYPE_CHECKING:
    import psycopg

_STABLE_TEXT = """
SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex';
SET lc_monetary = 'C'; SET extra_float_digits = 1; SET default_transaction_read_only = on;
"""
"""Rows are compared as text, so their text must not depend on a server's settings."""

_DATABASES = """
SELECT datname, pg_database_size(oid) FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname
"""

_ROLES = rf"""
SELECT r.rolname, concat_ws(' ',
    CASE WHEN r.rolsuper THEN 'superuser' END, CASE WHEN r.rolinherit THEN 'inherit' END,
    CASE WHEN r.rolcreaterole THEN 'createrole' END, CASE WHEN r.rolcreatedb THEN 'createdb' END,
    CASE WHEN r.rolcanlogin THEN 'login' END, CASE WHEN r.rolreplication THEN 'replication' END,
    CASE WHEN r.rolbypassrls THEN 'bypassrls' END, 'limit ' || r.rolconnlimit, 'until ' || r.rolvaliduntil,
    'password ' || left(md5(r.rolpassword), 8),
    (SELECT 'in ' || string_agg(g.rolname, ',' ORDER BY g.rolname)
       FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid),
    (SELECT 'set ' || string_agg(unnested, ',' ORDER BY unnested)
       FROM pg_db_role_setting s, unnest(s.setconfig) unnested WHERE s.setrole = r.oid AND s.setdatabase = 0))
FROM pg_authid r WHERE r.rolname !~ '^pg_' AND r.rolname <> '{LOADER}'
"""

# MAINTAIN is new in 17; an owner's default privileges are the same whether stored explicitly or not.
_PRIVILEGES = """(SELECT string_agg(coalesce(g.rolname, 'public') || '=' || x.privilege_type, ','
    ORDER BY coalesce(g.rolname, 'public'), x.privilege_type)
    FROM aclexplode({acl}) x LEFT JOIN pg_roles g ON g.oid = x.grantee WHERE x.privilege_type <> 'MAINTAIN')"""

_RELATION_ACL = "coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner))"

_DATABASE_ITSELF = f"""
SELECT 'the database itself', concat_ws(' ', 'owner', pg_get_userbyid(datdba), pg_encoding_to_char(encoding),
    datcollate, datctype, 'limit', datconnlimit, {_PRIVILEGES.format(acl="coalesce(datacl, acldefault('d', datdba))")},
    (SELECT string_agg(unnested, ',' ORDER BY unnested)
       FROM pg_db_role_setting s, unnest(s.setconfig) unnested WHERE s.setdatabase = d.oid AND s.setrole = 0))
FROM pg_database d WHERE datname = current_database()
"""

_OWN = """n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend e
                    WHERE e.objid = {oid} AND e.classid = '{kind}'::regclass AND e.deptype = 'e')"""
"""What belongs neither to Postgres nor to an extension."""

_THINGS = (
    f"""
SELECT 'schema ' || nspname, concat_ws(' ', 'owner', pg_get_userbyid(nspowner),
    {_PRIVILEGES.format(acl="coalesce(nspacl, acldefault('n', nspowner))")})
FROM pg_namespace n WHERE {_OWN.format(oid="n.oid", kind="pg_namespace")}
""",
    f"""
SELECT CASE relkind WHEN 'r' THEN 'table ' WHEN 'p' THEN 'table ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'view '
         WHEN 'f' THEN 'table ' WHEN 'S' THEN 'sequence ' ELSE 'index ' END || n.nspname || '.' || relname,
    concat_ws(' ', relkind, 'owner', pg_get_userbyid(relowner),
      CASE WHEN relkind NOT IN ('i', 'I') THEN
        {_PRIVILEGES.format(acl=_RELATION_ACL)} END,
      (SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod),
          CASE WHEN attnotnull THEN 'not null' END, CASE WHEN atthasdef THEN 'default' END), ', ' ORDER BY attnum)
         FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND relkind <> 'S'),
      (SELECT CASE WHEN indisvalid THEN 'valid' ELSE 'invalid' END FROM pg_index WHERE indexrelid = c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I') AND {_OWN.format(oid="c.oid", kind="pg_class")}
""",
    """
SELECT 'value of ' || schemaname || '.' || sequencename,
    concat_ws(' ', coalesce(last_value::text, 'never used'), 'from', start_value, 'by', increment_by, 'to', max_value)
FROM pg_sequences WHERE schemaname !~ '^pg_'
""",
    f"""
SELECT 'constraint ' || n.nspname || '.' || coalesce(c.relname, '') || '.' || conname,
    concat_ws(' ', contype, CASE WHEN convalidated THEN 'valid' ELSE 'not valid' END)
FROM pg_constraint k JOIN pg_namespace n ON n.oid = connamespace LEFT JOIN pg_class c ON c.oid = conrelid
WHERE contype <> 'n' AND {_OWN.format(oid="k.oid", kind="pg_constraint")}
""",
    f"""
SELECT 'trigger ' || n.nspname || '.' || c.relname || '.' || tgname, 'enabled ' || tgenabled::text
FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT tgisinternal AND {_OWN.format(oid="t.oid", kind="pg_trigger")}
""",
    f"""
SELECT 'function ' || n.nspname || '.' || proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
    concat_ws(' ', 'owner', pg_get_userbyid(proowner), left(md5(prosrc), 8))
FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE {_OWN.format(oid="p.oid", kind="pg_proc")}
""",
    f"""
SELECT 'enum ' || n.nspname || '.' || typname, string_agg(enumlabel, ', ' ORDER BY enumsortorder)
FROM pg_enum JOIN pg_type t ON t.oid = enumtypid JOIN pg_namespace n ON n.oid = typnamespace
WHERE {_OWN.format(oid="t.oid", kind="pg_type")} GROUP BY n.nspname, typname
""",
    "SELECT 'large objects', count(*)::text FROM pg_largeobject_metadata",
)

_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1, 2
"""


class PostgresServer:
    """One server. Calls `address` for each connection, since the port changes when a container restarts."""

    def __init__(self, address: Callable[[], tuple[str, int]], password: str) -> None:
        self._address = address
        self._password = password

    def sizes(self) -> Mapping[str, int]:
        """Without the copies that deployments made: they belong to the old server's history, and stay on it."""
        with self._connection("postgres") as connection:
            found = {str(name): int(size) for name, size in connection.execute(_DATABASES)}
        return {name: size for name, size in found.items() if not name.startswith((SNAPSHOT_PREFIX, FAILED_PREFIX))}

    def left_behind(self) -> tuple[str, ...]:
        with self._connection("postgres") as connection:
            copies = [
                f"the copy {name}"
                for name, _ in connection.execute(_DATABASES)
                if name.startswith((SNAPSHOT_PREFIX, FAILED_PREFIX))
            ]
            settings = connection.execute(
                "SELECT name, setting FROM pg_file_settings WHERE sourcefile LIKE '%postgresql.auto.conf' ORDER BY 1"
            )
            return (*copies, *(f"the server's setting {name} = {setting}" for name, setting in settings))

    def problems(self) -> tuple[str, ...]:
        with self._connection("postgres") as connection:
            old_hashes = connection.execute("SELECT rolname FROM pg_authid WHERE rolpassword LIKE 'md5%' ORDER BY 1")
            found = [
                f"The password of the role {name} is stored as an md5 hash, which the newer server does not accept: "
                "set the password again."
                for (name,) in old_hashes
            ]
            spaces = connection.execute("SELECT spcname FROM pg_tablespace WHERE spcname !~ '^pg_' ORDER BY 1")
            found += [f"The tablespace {name} is outside the volume and is not copied." for (name,) in spaces]
            return tuple(found)

    def extensions_in_use(self) -> Mapping[str, tuple[str, ...]]:
        used: dict[str, tuple[str, ...]] = {}
        for database in self.sizes():
            with self._connection(database) as connection:
                for (name,) in connection.execute("SELECT extname FROM pg_extension ORDER BY 1"):
                    used[name] = (*used.get(name, ()), database)
        return used

    def extensions_available(self) -> frozenset[str]:
        with self._connection("postgres") as connection:
            return frozenset(name for (name,) in connection.execute("SELECT name FROM pg_available_extensions"))

    def make_empty(self) -> None:
        from psycopg import sql

        with self._connection("postgres") as connection:
            databases = [name for name, _ in connection.execute(_DATABASES) if name != "postgres"]
            for name in databases:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            roles = connection.execute("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'postgres'")
            for (role,) in roles.fetchall():
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    def roles(self) -> Mapping[str, bool]:
        with self._connection("postgres") as connection:
            return {
                str(name): bool(is_super)
                for name, is_super in connection.execute("SELECT rolname, rolsuper FROM pg_roles")
            }

    def fingerprint(self) -> ServerFingerprint:
        databases = {name: self._database(name) for name in self.sizes()}
        with self._connection("postgres") as connection:
            roles = {str(name): str(told) for name, told in connection.execute(_ROLES)}
        return ServerFingerprint(roles, databases)

    def _database(self, name: str) -> DatabaseFingerprint:
        with self._connection(name) as connection:
            connection.execute(_STABLE_TEXT)
            facts = {
                str(thing): str(told)
                for query in (_DATABASE_ITSELF, *_THINGS)
                for thing, told in connection.execute(query.encode())
            }
            tables = connection.execute(_TABLES).fetchall()
            rows = 0
            for schema, table in tables:
                count, checksum = content_of(connection, schema, table)
                facts[f"content of {schema}.{table}"] = f"{count} row(s), checksum {checksum}"
                rows += count
            extensions = {str(e): str(v) for e, v in connection.execute("SELECT extname, extversion FROM pg_extension")}
        return DatabaseFingerprint(facts, extensions, len(tables), rows)

    def _connection(self, database: str) -> AbstractContextManager[psycopg.Connection]:
        return connected(self._address, self._password, database)
