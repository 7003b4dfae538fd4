"""The passwords of the roles on the database server, checked and changed as its superuser.

Takes into account that an interrupted rotation may just have changed the superuser's own password. Sends verifiers,
never passwords, so that Postgres's log never contains a password.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graasp_local.errors import NeedsYou
from graasp_local.ports.data import OWN_SESSION
from graasp_local.settings.rotation import Rotation

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

SUPERUSER = "postgres"
_CONNECT_SECONDS = 5


class PostgresRoles:
    """The roles of one server. Calls `address` for each connection; `password` is the superuser's, from `.env`."""

    def __init__(self, address: Callable[[], tuple[str, int]], password: str) -> None:
        self._address = address
        self._password = password

    def check(self) -> None:
        with self._connection(SUPERUSER, self._password):
            pass

    def set_passwords(self, rotation: Rotation) -> None:
        """Change all in one transaction, then check that each role can log in with its new password."""
        with self._as_superuser(rotation.passwords) as connection:
            there = {str(name) for (name,) in connection.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin")}
            passwords = {role: password for role, password in rotation.passwords.items() if role in there}
            _alter(connection, passwords)
        for role, password in passwords.items():
            with self._connection(role, password):
                pass

    @contextmanager
    def _as_superuser(self, passwords: Mapping[str, str]) -> Iterator[psycopg.Connection]:
        """A connection with the new password if the server already has it, otherwise with the old one."""
        new = passwords.get(SUPERUSER)
        if new is not None and self._gets_in(SUPERUSER, new):
            with self._connection(SUPERUSER, new) as connection:
                yield connection
        else:
            with self._connection(SUPERUSER, self._password) as connection:
                yield connection

    def _gets_in(self, role: str, password: str) -> bool:
        try:
            with self._connection(role, password):
                return True
        except NeedsYou:
            return False

    @contextmanager
    def _connection(self, role: str, password: str) -> Iterator[psycopg.Connection]:
        import psycopg

        host, port = self._address()
        database = "postgres" if role == SUPERUSER else role
        try:
            with psycopg.connect(
                host=host,
                port=port,
                user=role,
                password=password,
                dbname=database,
                connect_timeout=_CONNECT_SECONDS,
                application_name="graasp-local",
                options=OWN_SESSION,
            ) as connection:
                yield connection
        except psycopg.Error as error:
            reason = error.diag.message_primary or (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise NeedsYou(
                f"The database rejects {role}: {reason}.",
                "",
                "`graasp-local doctor` looks for the cause; `graasp-local logs db` shows what the database logged.",
            ) from error


def _alter(connection: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    from psycopg import sql

    for role, password in passwords.items():
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
        connection.execute(statement.format(sql.Identifier(role), verifier(connection, role, password)))


def verifier(connection: psycopg.Connection, role: str, password: str) -> sql.Literal:
    """What a statement contains instead of the password, so that the server's log never contains it."""
    from psycopg import sql

    return sql.Literal(connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode())
