"""The address of Postgres, given once the server accepts connections there.

After a crash the container's restart policy brings a server back within seconds, on another port; callers should wait
that long instead of giving up. Does not judge why a server does not answer: the caller's own connection raises that.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from graasp_local.clock import Clock
from graasp_local.errors import NeedsYou

Address = Callable[[], tuple[str, int]]
"""Called for host and port at each connection, since the port changes when the container restarts."""

PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.1
_PING_SECONDS = 5.0
_LONGEST_ANSWER = 4096
_PROTOCOL_3 = 3 << 16
_WHO = b"user\0postgres\0database\0postgres\0\0"
_CANNOT_CONNECT_NOW = b"\0C57P03\0"


def accepts_connections(host: str, port: int) -> bool:
    """Whether a server currently accepts connections; the password does not matter.

    Does what libpq's PQping does. The compiled psycopg calls that without letting other threads run, and the connection
    may go through one of them.
    """
    try:
        with socket.create_connection((host, port), _PING_SECONDS) as connection:
            connection.sendall(struct.pack("!ii", 8 + len(_WHO), _PROTOCOL_3) + _WHO)
            answer = connection.recv(_LONGEST_ANSWER)
    except OSError:
        return False
    # It asks for a password, or says why it does not want this user: only "cannot connect now" is a no.
    return answer[:1] == b"R" or (answer[:1] == b"E" and _CANNOT_CONNECT_NOW not in answer)


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
