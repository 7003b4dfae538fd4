"""The address of Postgres, given once the server accepts connections there.

After a crash the container's restart policy brings a server back within seconds, on another port; callers should wait
that long instead of giving up. Does not judge why a server does not answer: the caller's own connection raises that.
"""

from __future__ import annotations

from collections.abc import Callable

from graasp_local.clock import Clock
from graasp_local.errors import NeedsYou

Address = Callable[[], tuple[str, int]]
"""Called for host and port at each connection, since the port changes when the container restarts."""

PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.1


def accepts_connections(host: str, port: int) -> bool:
    """Whether a server currently accepts connections; the password does not matter."""
    from psycopg import pq

    # With a user name, since libpq does not even try if this process's user is not in the system's user list.
    conninfo = f"host={host} port={port} user=postgres dbname=postgres connect_timeout=5"
    # Compared by value: the compiled libpq wrapper returns a plain number.
    return int(pq.PGconn.ping(conninfo.encode())) == int(pq.Ping.OK)


def once_it_answers(
    address: Address, clock: Clock, accepts: Callable[[str, int], bool] = accepts_connections
) -> Address:
    """The same address, but returned only once the server accepts connections there, or after PATIENCE_SECONDS.

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
