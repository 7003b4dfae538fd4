"""The role that loads dumps: it logs in, has no rights of its own, and may become the database's owner.

What is loaded may run code that the owner wrote. That code could undo a superuser's `SET ROLE`; here `RESET ROLE` leads
to a role that may do only what the owner may, and whose objects become the owner's afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graasp_local.postgres.roles import verifier

if TYPE_CHECKING:
    import psycopg

LOADER = "graasp_local_loader"
_MEMBERSHIPS = "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = roleid WHERE member = %s::regrole"


def make_loader(connection: psycopg.Connection, database: str, owner: str, password: str) -> None:
    """Create the role, or take over what a killed load left of it."""
    from psycopg import sql

    role = sql.Identifier(LOADER)
    with connection.transaction():
        if _is_there(connection):
            for (group,) in connection.execute(_MEMBERSHIPS, (LOADER,)).fetchall():
                connection.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(group), role))
            connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(role))
        else:
            connection.execute(sql.SQL("CREATE ROLE {}").format(role))
        connection.execute(
            sql.SQL(
                "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT NOREPLICATION NOBYPASSRLS "
                "CONNECTION LIMIT -1 PASSWORD {} VALID UNTIL 'infinity'"
            ).format(role, verifier(connection, LOADER, password))
        )
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(owner), role))
        # The owner may have revoked its own right to connect.
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), role))
        # This program reads Postgres's messages.
        connection.execute(sql.SQL("ALTER ROLE {} SET lc_messages = 'C'").format(role))


def end_loader(connection: psycopg.Connection) -> None:
    """Forbid logins with the role, and end its sessions."""
    from psycopg import sql

    if _is_there(connection):
        connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(LOADER)))
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", (LOADER,))


def leave_to_owner(connection: psycopg.Connection, owner: str) -> None:
    """Give the owner whatever the role owns in the connected database, as it may after a `RESET ROLE`."""
    from psycopg import sql

    if _is_there(connection):
        role = sql.Identifier(LOADER)
        connection.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(role, sql.Identifier(owner)))
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))


def remove_loader(connection: psycopg.Connection) -> None:
    """Remove the role; if something still belongs to it, it stays without rights and without a login."""
    import psycopg
    from psycopg import sql

    role = sql.Identifier(LOADER)
    try:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))
    except psycopg.errors.DependentObjectsStillExist:
        for (group,) in connection.execute(_MEMBERSHIPS, (LOADER,)).fetchall():
            connection.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(group), role))


def _is_there(connection: psycopg.Connection) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (LOADER,)).fetchone() is not None
