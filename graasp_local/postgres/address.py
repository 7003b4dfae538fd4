"""Where Postgres is asked, given once it can answer there.

A server that crashed is back within seconds by its container's restart policy, on another port. Who asks it meanwhile
should wait that long instead of giving up. Refuses to judge why a server does not answer: who asks it then, is told.
"""

from __future__ import annotations

from collections.abc import Callable

from graasp_local.clock import Clock
from graasp_local.errors import NeedsYou

Address = Callable[[], tuple[str, int]]
"""Asked for host and port at each connection, since the port changes when the container restarts."""

PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.1


def accepts_connections(host: str, port: int) -> bool:
    """Whether a server accepts connections just now; a wrong password is no reason that it does not."""
    from psycopg import pq

    # With a name, since libpq does not even try where this process's user has none in the system's list of users.
    conninfo = f"host={host} port={port} user=postgres dbname=postgres connect_timeout=5"
    # Compared by value: the compiled libpq wrapper answers with a plain number.
    return int(pq.PGconn.ping(conninfo.encode())) == int(pq.Ping.OK)


def once_it_answers(
    address: Address, clock: Clock, accepts: Callable[[str, int], bool] = accepts_connections
) -> Address:
    """The same address, but given only when the server accepts connections there, or when patience is at its end.

    Raises NeedsYou if there is no address even then.
    """

    def patient() -> tuple[str, int]:
        deadline = clock.monotonic() + PATIENCE_SECONDS
        while clock.monotonic() < deadline:
            try:
                found = address()
                if accepts(*found):
                    return found
            except NeedsYou:
                pass
            clock.sleep(_POLL_SECONDS)
        return address()

    return patient
