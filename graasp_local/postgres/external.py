"""Graasp's databases on a server outside the stack, where graasp-local is not a superuser.

It works with a role that may create databases and roles, and that is a member of each database's owner. Touches only
Graasp's own databases and roles: other names on the server are not even measured. While a database changes, its owner
cannot connect to it, wherever it comes from; only the role that migrates can.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from graasp_local.errors import NeedsYou
from graasp_local.planning.migrations import AppliedMigration
from graasp_local.planning.server import GRAASP_DATABASE
from graasp_local.ports.data import DUMP_APPLICATION, EMPTY, DatabaseProperties, Loader, Locale
from graasp_local.ports.database import CollationChange, Obstacle
from graasp_local.postgres.database import PostgresDatabase, create_owned, rename
from graasp_local.postgres.databases import PostgresDatabases, create_with, make_extensions
from graasp_local.postgres.external_server import ExternalConnections, leads_back
from graasp_local.postgres.properties import give_properties
from graasp_local.postgres.roles import PostgresRoles, verifier
from graasp_local.postgres.session import rows_streamed

if TYPE_CHECKING:
    import psycopg

MIGRATOR = "graasp_migration"
"""The role of the migrate container: it acts as graasp, and can connect while graasp itself cannot."""

OLDEST_MAJOR = 15
"""The oldest Postgres that copies a database by its files, and the oldest that the stack knows."""

NEEDED = (GRAASP_DATABASE, "umami")
"""The databases that every site needs; the label of a service names any other."""

_QUIET_SECONDS = 10.0
_POLL_SECONDS = 0.1

_OURS = r"^(graasp|umami|etherpad)(_(snapshot|failed|restored|before|undone)_.*|_trial)?$"
"""The names that graasp-local gives to databases."""

_SIZES = """
SELECT datname, pg_database_size(oid) FROM pg_database
WHERE NOT datistemplate AND datname ~ %s AND pg_has_role(current_user, datdba, 'USAGE')
"""

_OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"

_SESSIONS = """
SELECT pid, coalesce(usename, ''), application_name,
       NOT r.rolsuper AND (pg_has_role(current_user, r.oid, 'USAGE')
                           OR pg_has_role(current_user, 'pg_signal_backend', 'USAGE'))
FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.datname = %s AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
"""

_OWN_RIGHTS = """
SELECT r.rolsuper OR r.rolcreatedb, r.rolsuper OR r.rolcreaterole, r.rolsuper OR r.rolinherit, pg_is_in_recovery()
FROM pg_roles r WHERE r.rolname = current_user
"""

_ROLE = "SELECT rolsuper, pg_has_role(current_user, oid, 'USAGE') FROM pg_roles WHERE rolname = %s"


class ExternalDatabase(PostgresDatabase):
    """Graasp's database there. `passwords` are those of the databases' owners, `migration` that of the migrator."""

    def __init__(self, server: ExternalConnections, passwords: Mapping[str, str], migration: str) -> None:
        self._server = server
        self._passwords = passwords
        self._migration_password = migration

    def obstacles(self) -> tuple[Obstacle, ...]:
        try:
            with self._connection("postgres") as connection:
                found = [*obstacles_of_server(connection, self._server.server.user)]
                if leads_back(self._server.address()):
                    host = self._server.server.host
                    found.append(
                        Obstacle(
                            f"DATABASE_HOST: {host} is this machine's loopback address. In a container, that "
                            "address is the container itself.",
                            "Set it to a name under which containers can reach the server too.",
                        )
                    )
                found += _obstacle_of_migrator(connection, self._server.server.user)
                there = {name for name in self._passwords if name in NEEDED or _owner_of(connection, name)}
                for name in sorted(there):
                    found += _obstacles_of_owner(connection, name, self._server.server.user)
        except NeedsYou as error:
            return (Obstacle(error.what, error.next_step),)
        return tuple(found) or tuple(self._wrong_passwords(there))

    def _wrong_passwords(self, names: Sequence[str] | set[str]) -> Iterator[Obstacle]:
        with self._connection("postgres") as connection:
            known = [name for name in sorted(names) if connection.execute(_ROLE, (name,)).fetchone()]
        for name in known:
            if not self._server.lets_in(name, self._passwords[name]):
                yield Obstacle(
                    f"The server has a role {name}, but {name.upper()}_DB_PASSWORD in .env is not its password.",
                    "If the databases on the server are this site's, set that key to the password of the role. "
                    "Otherwise they are another site's: each site needs a server of its own.",
                )

    def missing_databases(self) -> tuple[str, ...]:
        with self._connection("postgres") as connection:
            return tuple(name for name in NEEDED if _owner_of(connection, name) is None)

    def admit(self) -> None:
        with self._connection("postgres") as connection:
            admit(connection, GRAASP_DATABASE)

    def applied_migrations(self) -> tuple[AppliedMigration, ...]:
        return () if GRAASP_DATABASE in self.missing_databases() else super().applied_migrations()

    def size_bytes(self) -> int:
        return 0 if GRAASP_DATABASE in self.missing_databases() else super().size_bytes()

    def collation_changes(self) -> tuple[CollationChange, ...]:
        return tuple(change for change in super().collation_changes() if change.database in self._passwords)

    def end_other_sessions(self) -> int:
        with self._connection("postgres") as connection:
            if _owner_of(connection, GRAASP_DATABASE) is None:
                return 0
            have_migrator(connection, self._migration_password)
            return shut_out(connection, GRAASP_DATABASE, MIGRATOR)

    def make_database(self, name: str, password: str) -> bool:
        with self._connection("postgres") as connection:
            _have_owner(connection, name, password)
            if _owner_of(connection, name) is not None:
                admit(connection, name)
                return False
            create_owned(connection, name)
            return True

    def _drop(self, connection: psycopg.Connection, database: str) -> None:
        _drop(connection, database)

    def _rows_in(self, connection: psycopg.Connection, schema: str, table: str) -> int:
        return rows_streamed(connection, schema, table)

    def _connection(self, database: str) -> AbstractContextManager[psycopg.Connection]:
        return self._server.connected(database)


class ExternalDatabases(PostgresDatabases):
    """Graasp's databases there, as backups and restores need them. `passwords` are those of their owners."""

    def __init__(self, server: ExternalConnections, passwords: Mapping[str, str]) -> None:
        self._server = server
        self._passwords = passwords

    def sizes(self) -> Mapping[str, int]:
        with self._connection() as connection:
            return {str(name): int(size) for name, size in connection.execute(_SIZES, (_OURS,))}

    def create(
        self, database: str, owner: str, extensions: Mapping[str, str] = EMPTY, locale: Locale | None = None
    ) -> None:
        from psycopg import sql

        self.drop(database)
        name = sql.Identifier(database)
        with self._connection() as connection:
            # Only the owner's own rights are needed for what a dump holds, so it owns the database from the beginning.
            statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(name, sql.Identifier(owner))
            create_with(connection, statement, locale)
            connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))
        if extensions:
            with self._connection(database) as connection:
                make_extensions(connection, owner, extensions)

    def ensure_role(self, role: str) -> bool:
        if role not in self._passwords:
            return super().ensure_role(role)
        with self._connection() as connection:
            return _have_owner(connection, role, self._passwords[role])

    def give(
        self,
        database: str,
        properties: DatabaseProperties,
        trusted: DatabaseProperties | None,  # noqa: ARG002
    ) -> tuple[str, ...]:
        # What only a superuser may set cannot be set here at all, nor can settings of roles that are not Graasp's.
        ours = {"", *self._passwords}
        foreign = [setting for setting in properties.settings if setting[0] not in ours]
        kept = tuple(setting for setting in properties.settings if setting[0] in ours)
        left_out = [f"the setting {parameter} of the role {role}" for role, parameter, _ in foreign]
        with self._connection() as connection:
            return (*left_out, *give_properties(connection, database, replace(properties, settings=kept), None))

    @contextmanager
    def loader(self, database: str, owner: str) -> Iterator[Loader]:  # noqa: ARG002
        """The owner itself: it has no more rights than what is loaded may have."""
        yield Loader(owner, self._passwords[owner], owner)

    def drop(self, database: str) -> None:
        with self._connection() as connection:
            _drop(connection, database)

    def rename_together(self, renames: Sequence[tuple[str, str]]) -> None:
        with self._connection() as connection:
            for old in {name for name, _ in renames}:
                if _owner_of(connection, old) is not None:
                    shut_out(connection, old, None)
            with connection.transaction():
                for old, new in renames:
                    rename(connection, old, new)

    def end_dumps(self) -> int:
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = %s AND usename = current_user AND datname ~ %s",
                (DUMP_APPLICATION, _OURS),
            ).fetchall()
            return len(rows)

    def _rows_in(self, connection: psycopg.Connection, schema: str, table: str) -> int:
        return rows_streamed(connection, schema, table)

    def _connection(self, database: str = "postgres") -> AbstractContextManager[psycopg.Connection]:
        return self._server.connected(database)


class ExternalRoles(PostgresRoles):
    """The passwords of Graasp's own roles there; that of graasp-local's role belongs to whoever runs the server."""

    def __init__(self, server: ExternalConnections) -> None:
        self._server = server

    def check(self) -> None:
        with self._server.connected("postgres"):
            pass

    @contextmanager
    def _as_superuser(self, passwords: Mapping[str, str]) -> Iterator[psycopg.Connection]:  # noqa: ARG002
        with self._server.connected("postgres") as connection, connection.transaction():
            yield connection

    @contextmanager
    def _connection(self, role: str, password: str) -> Iterator[psycopg.Connection]:
        with self._server.connected(role, role, password) as connection:
            yield connection


def obstacles_of_server(connection: psycopg.Connection, user: str) -> Iterator[Obstacle]:
    """Why the server, or what our role may do on it, is not enough."""
    major = connection.info.server_version // 10000
    if major < OLDEST_MAJOR:
        yield Obstacle(
            f"The external database server is Postgres {major}, but {OLDEST_MAJOR} or newer is needed.",
            "Have its provider upgrade it, or use another server.",
        )
        return
    row = connection.execute(_OWN_RIGHTS).fetchone()
    databases, roles, inherits, standby = row or (False, False, False, False)
    if standby:
        yield Obstacle(
            "The external database server is a standby, so it is read-only.",
            "Set DATABASE_HOST to the primary server.",
        )
    lacking = [word for word, has in (("CREATEDB", databases), ("CREATEROLE", roles), ("INHERIT", inherits)) if not has]
    if lacking:
        yield Obstacle(
            f"The role {user} lacks {' and '.join(lacking)}, which graasp-local needs.",
            f'Have the server\'s administrator run: ALTER ROLE "{user}" {" ".join(lacking)};',
        )


def _obstacles_of_owner(connection: psycopg.Connection, name: str, user: str) -> Iterator[Obstacle]:
    owner = _owner_of(connection, name)
    if owner not in (None, name):
        yield Obstacle(
            f"The server has a database {name} that belongs to {owner}, not to a role {name}.",
            f"If the database is this site's, run there: ALTER DATABASE {name} OWNER TO {name}; otherwise use another "
            "server.",
        )
        return
    role = connection.execute(_ROLE, (name,)).fetchone()
    if role is None:
        return
    is_super, has_it = role
    if is_super:
        yield Obstacle(
            f"The role {name} on the server is a superuser.",
            f"Have the server's administrator run: ALTER ROLE {name} NOSUPERUSER;",
        )
    elif not _may_grant(connection, name) and not (has_it and name != GRAASP_DATABASE):
        # Our role must be able to make the role that migrates a member of graasp: its own membership is not enough.
        yield Obstacle(
            f"The server has a role {name}, but {user} may not make itself or others a member of it.",
            f'Have the server\'s administrator run: GRANT {name} TO "{user}" WITH ADMIN OPTION;',
        )


def _obstacle_of_migrator(connection: psycopg.Connection, user: str) -> Iterator[Obstacle]:
    if connection.execute(_ROLE, (MIGRATOR,)).fetchone() and not _may_grant(connection, MIGRATOR):
        yield Obstacle(
            f"The server has a role {MIGRATOR}, which {user} may not change.",
            f"If no other site uses it, have the server's administrator run: DROP ROLE {MIGRATOR};",
        )


def _may_grant(connection: psycopg.Connection, role: str) -> bool:
    """Whether our role may make itself a member: before 16 by CREATEROLE, since then with the admin option only."""
    if connection.info.server_version < 160000:
        return True
    row = connection.execute("SELECT pg_has_role(current_user, %s, 'USAGE WITH ADMIN OPTION')", (role,)).fetchone()
    return bool(row and row[0])


def _owner_of(connection: psycopg.Connection, database: str) -> str | None:
    """None if there is no such database."""
    row = connection.execute(_OWNER, (database,)).fetchone()
    return str(row[0]) if row else None


def _have_owner(connection: psycopg.Connection, role: str, password: str) -> bool:
    """Have a role that can log in, and be a member of it; returns whether it had to be created.

    A role that exists already keeps its password: another site could use it.
    """
    from psycopg import sql

    found = connection.execute(_ROLE, (role,)).fetchone()
    if found is None:
        statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        connection.execute(statement.format(sql.Identifier(role), verifier(connection, role, password)))
    if found is None or not found[1]:
        _join(connection, role)
    return found is None


def _join(connection: psycopg.Connection, role: str) -> None:
    """Make our role a member, so that it has the rights of the role and may act as it."""
    from psycopg import sql

    options = sql.SQL(" WITH INHERIT TRUE, SET TRUE" if connection.info.server_version >= 160000 else "")
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER{}").format(sql.Identifier(role), options))


def have_migrator(connection: psycopg.Connection, password: str) -> None:
    """Have the role that migrates, with this password; whatever it creates belongs to graasp."""
    from psycopg import sql

    migrator, graasp = sql.Identifier(MIGRATOR), sql.Identifier(GRAASP_DATABASE)
    with connection.transaction():
        found = connection.execute(_ROLE, (MIGRATOR,)).fetchone()
        verb = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}" if found is None else "ALTER ROLE {} LOGIN PASSWORD {}")
        connection.execute(verb.format(migrator, verifier(connection, MIGRATOR, password)))
        if found is None or not found[1]:
            _join(connection, MIGRATOR)
        connection.execute(sql.SQL("GRANT {} TO {}").format(graasp, migrator))
        connection.execute(sql.SQL("ALTER ROLE {} SET role = {}").format(migrator, sql.Literal(GRAASP_DATABASE)))


def shut_out(connection: psycopg.Connection, database: str, let_in: str | None) -> int:
    """Keep everyone but our role and `let_in` from connecting, and end the sessions there; returns how many.

    Raises NeedsYou if there is still a session that our role may not end.
    """
    from psycopg import sql

    name, owner = sql.Identifier(database), sql.Identifier(_owner_of(connection, database) or database)
    allowed = sql.SQL(", ").join([sql.SQL("CURRENT_USER"), *([sql.Identifier(let_in)] if let_in else [])])
    with connection.transaction():
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, allowed))
        connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC, {}").format(name, owner))
    ended: set[int] = set()
    deadline = time.monotonic() + _QUIET_SECONDS
    while True:
        # A session that was just beginning is found in a later round.
        sessions = connection.execute(_SESSIONS, (database,)).fetchall()
        if not sessions:
            return len(ended)
        for pid, _, _, may_end in sessions:
            if may_end:
                connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
                ended.add(pid)
        if time.monotonic() > deadline:
            _, user, program, _ = sessions[0]
            raise NeedsYou(
                f"{user or 'An unknown user'} is still connected to the database {database} "
                f"({program or 'no name given'}), and graasp-local's role may not end that session.",
                "",
                "End the session where it was opened, or have the server's administrator GRANT pg_signal_backend to "
                "the role.",
            )
        time.sleep(_POLL_SECONDS)


def _drop(connection: psycopg.Connection, database: str) -> None:
    """Remove a database, if there is one, and end its sessions.

    Not WITH (FORCE): then Postgres refuses a role that is not a superuser while the server's own vacuum is running in
    the database. Without it, Postgres just ends the vacuum.
    """
    from psycopg import sql

    if _owner_of(connection, database) is not None:
        shut_out(connection, database, None)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(database)))


def admit(connection: psycopg.Connection, database: str) -> None:
    """Undo `shut_out`: the owner can connect again. Does nothing if there is no such database."""
    from psycopg import sql

    owner = _owner_of(connection, database)
    if owner is None:
        return
    name = sql.Identifier(database)
    with connection.transaction():
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(owner)))
        connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM CURRENT_USER").format(name))
        if connection.execute(_ROLE, (MIGRATOR,)).fetchone():
            connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM {}").format(name, sql.Identifier(MIGRATOR)))
