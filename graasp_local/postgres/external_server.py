"""Connections to a Postgres server outside the stack, and what is wrong when there is none, in plain words.

Checks the server's certificate if the site's settings name the authorities. Once it has connected, it stays with that
server's address, since a name may have several, and waits for a server that is away for a moment.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from graasp_local.errors import NeedsYou
from graasp_local.ports.data import OWN_SESSION
from graasp_local.postgres.address import PATIENCE_SECONDS
from graasp_local.postgres.session import make_ours
from graasp_local.settings.parse import ExternalServer

if TYPE_CHECKING:
    import psycopg

_CONNECT_SECONDS = 5
_POLL_SECONDS = 0.5

_UNREACHABLE = (
    "Check DATABASE_HOST and DATABASE_PORT in .env, and that the server's firewall lets in this machine and its "
    "containers."
)


class ExternalConnections:
    """Connections to one server."""

    def __init__(self, server: ExternalServer) -> None:
        self.server = server
        self._address = ""

    def address(self) -> str:
        """The address that the last connection went to; connects if there was none. Raises NeedsYou."""
        if not self._address:
            with self.connected("postgres"):
                pass
        return self._address

    def lets_in(self, role: str, password: str) -> bool:
        """Whether the server accepts this password for a role, whatever database the role may connect to."""
        import psycopg

        try:
            self._connect(role, role, password).close()
        except psycopg.OperationalError as error:
            return "password authentication failed" not in str(error)
        return True

    @contextmanager
    def connected(self, database: str, user: str = "", password: str = "") -> Iterator[psycopg.Connection]:
        """A connection, as graasp-local's role unless a user is given. Raises NeedsYou, also if it is refused."""
        import psycopg

        user, password = user or self.server.user, password if user else self.server.password
        try:
            connection = self._patiently(database, user, password)
        except (psycopg.Error, UnicodeError) as error:
            what, fix = explained(str(error), self.server, user, database)
            raise NeedsYou(what, "", fix) from error
        try:
            with connection:
                make_ours(connection)
                yield connection
        except psycopg.Error as error:
            if error.diag.message_primary:
                detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
                raise NeedsYou(f"The database refused: {error.diag.message_primary}{detail}.") from error
            raise NeedsYou(
                f"The connection to the database at {self.server.where} was lost: {_last_line(error)}."
            ) from error

    def _patiently(self, database: str, user: str, password: str) -> psycopg.Connection:
        """A server that has answered before is waited for: its provider may just be moving it."""
        import psycopg

        deadline = time.monotonic() + (PATIENCE_SECONDS if self._address else 0.0)
        while True:
            try:
                return self._connect(database, user, password)
            except psycopg.OperationalError as error:
                if not is_away(str(error)) or time.monotonic() >= deadline:
                    raise
                self._address = ""
                time.sleep(_POLL_SECONDS)

    def _connect(self, database: str, user: str, password: str) -> psycopg.Connection:
        import psycopg

        server = self.server
        checked: dict[str, Any] = {"sslrootcert": server.ca} if server.ca else {}
        if self._address:
            checked["hostaddr"] = self._address
        connection = psycopg.connect(
            host=server.host,
            port=server.port,
            user=user,
            password=password,
            dbname=database,
            sslmode=server.ssl_mode,
            connect_timeout=_CONNECT_SECONDS,
            application_name="graasp-local",
            options=OWN_SESSION,
            autocommit=True,
            **checked,
        )
        self._address = connection.info.hostaddr
        return connection


def is_away(said: str) -> bool:
    """Whether libpq's words are those of a server that may be back in a moment. Pure."""
    return any(
        words in said
        for words in (
            "Connection refused",
            "timeout expired",
            "server closed the connection unexpectedly",
            "the database system is starting up",
            "the database system is shutting down",
            "No route to host",
        )
    )


def leads_back(address: str) -> bool:
    """Whether an address is this machine's own loopback, which containers cannot reach. Pure."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def explained(said: str, server: ExternalServer, user: str, database: str = "postgres") -> tuple[str, str]:
    """What libpq's words mean, as a sentence, and what to do about it. Pure."""
    where = f"the database at {server.where}"
    for words, what, fix in (
        (
            ("could not translate host name", "failed to resolve host", "Name or service not known"),
            f"DATABASE_HOST: the name {server.host} is not known.",
            "Check its spelling, and that this machine resolves it.",
        ),
        (
            ("invalid response to SSL negotiation", "expected authentication request from server"),
            f"What answers at {server.where} is not Postgres: it speaks another protocol, such as MySQL's or HTTP.",
            "Set DATABASE_HOST and DATABASE_PORT to the address of a Postgres server.",
        ),
        (
            ("certificate verify failed",),
            f"The certificate of {where} has expired, or does not come from an authority in DATABASE_CA.",
            "Set DATABASE_CA to the current certificate file from the server's provider. If it already is that file, "
            "ask the provider whether the server's certificate has expired; if it has not, someone else may be "
            "answering in the server's place.",
        ),
        (
            ("does not match host name",),
            f"The certificate of {where} is for another name: {_quoted_names(said)}.",
            "Set DATABASE_HOST to the name in the certificate.",
        ),
        (
            ("server does not support SSL",),
            f"The server at {server.where} does not offer TLS, but DATABASE_SSL is verify-full.",
            "Have TLS switched on there, or set DATABASE_SSL=off if no one else can reach the network in between.",
        ),
        (
            ("root certificate file", "could not read root certificate"),
            f"DATABASE_CA: {server.ca} cannot be used.",
            "Set it to the certificate file from the server's provider, in PEM format.",
        ),
        (
            ("password authentication failed",),
            f"The database at {server.where} rejects the password of {user}.",
            "Set DATABASE_ADMIN_PASSWORD to the password of DATABASE_ADMIN_USER, in single quotes."
            if user == server.user
            else f"Set {user.upper()}_DB_PASSWORD in .env to the password of that role.",
        ),
        (
            ("no pg_hba.conf entry", "pg_hba.conf rejects"),
            f"The database at {server.where} does not let {user} connect from this machine.",
            "Have the server's administrator allow this machine's address; a server that insists on TLS needs "
            "DATABASE_SSL=verify-full.",
        ),
        (
            ("unsupported startup parameter",),
            f"What answers at {server.where} is a connection pooler, but graasp-local needs the server itself.",
            "Set DATABASE_HOST and DATABASE_PORT to the server's own address.",
        ),
        (
            ("too many connections", "remaining connection slots"),
            f"The database at {server.where} has no free connections.",
            "Raise its limit, or lower DB_CONNECTION_POOL_SIZE.",
        ),
        (
            (f'role "{user}" does not exist',),
            f"The database server at {server.where} has no role {user}.",
            "Set DATABASE_ADMIN_USER to a role that the server has."
            if user == server.user
            else "Check that DATABASE_HOST and DATABASE_PORT are the address of this site's database.",
        ),
        (
            (f'database "{database}" does not exist',),
            f"The database server at {server.where} has no database {database}.",
            "Have the server's administrator create it: graasp-local connects to it to manage the others."
            if database == "postgres"
            else "Check that DATABASE_HOST and DATABASE_PORT are the address of this site's database.",
        ),
        (
            ("timeout expired",),
            f"No Postgres server answered at {server.where} within {_CONNECT_SECONDS} s.",
            f"{_UNREACHABLE} A server that is not Postgres may also stay silent like this.",
        ),
        (
            ("Connection refused", "No route to host", "Network is unreachable"),
            f"Nothing answers at {server.where}: {_why_away(said)}.",
            _UNREACHABLE,
        ),
    ):
        if any(word in said for word in words):
            return what, fix
    return f"The database at {server.where} cannot be used: {_last_line(said)}.", _UNREACHABLE


def _why_away(said: str) -> str:
    reasons = ("Connection refused", "No route to host", "Network is unreachable")
    return next((reason for reason in reasons if reason in said), reasons[0]).lower()


def _quoted_names(said: str) -> str:
    return said.partition("certificate for ")[2].partition(" does not match")[0] or "another one"


def _last_line(said: object) -> str:
    lines = [line.strip() for line in str(said).strip().splitlines() if line.strip()]
    last = lines[-1] if lines else "no reason was given"
    return last.rpartition("FATAL:  ")[2].rpartition("failed: ")[2].rstrip(".") or last
