"""A port of a container as a port of this machine, through the engine: for an engine on another machine.

A container's published port is on a loopback address over there, which only the engine can reach. Each connection is a
`docker exec` of bash, which the images of Postgres and nginx have, so the engine's own access control covers it.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

from graasp_local.engine.reach.addresses import is_on_this_machine

_RELAY = 'exec 3<>"/dev/tcp/127.0.0.1/$0" || exit 1; { cat <&3; kill 0; } & cat >&3; kill 0'
"""Ends, and closes the connection, when either side closes it. After a half-close here there is no further answer.

A connection that stayed open until Postgres gave up on it would hold up the removal of a database for a minute.
"""

_POSTGRES_PORT = 5432

_tunnels: dict[tuple[str, int], tuple[str, int]] = {}
_making = threading.Lock()


def relay(connection: socket.socket, container: str, port: int) -> subprocess.Popen[bytes]:
    """Let a container's port answer on a connected socket. The caller may close its own copy of the socket."""
    command = ["docker", "exec", "--interactive", container, "bash", "-c", _RELAY, str(port)]
    return subprocess.Popen(
        command,
        stdin=connection.fileno(),
        stdout=connection.fileno(),
        stderr=subprocess.DEVNULL,
        # The terminal's Ctrl-C is for graasp-local, which may still need the connection.
        process_group=0,
    )


def connected(container: str, port: int, timeout: float) -> socket.socket:
    """A new connection to a container's port, with a timeout in seconds for each read and write."""
    here, there = socket.socketpair()
    with there:
        relay(there, container, port)
    here.settimeout(timeout)
    return here


def address_of(container: str, port: int) -> tuple[str, int]:
    """Host and port on this machine that lead to a container's port for as long as this process runs."""
    with _making:
        if (container, port) not in _tunnels:
            listener = socket.create_server(("127.0.0.1", 0))
            threading.Thread(target=_serve, args=(listener, container, port), daemon=True).start()
            _tunnels[container, port] = listener.getsockname()[:2]
        return _tunnels[container, port]


def postgres_address(container: Mapping[str, Any]) -> tuple[str, int] | None:
    """Where Postgres in a container, from the engine's list, is reachable from here; None if it publishes no port."""
    if not is_on_this_machine():
        return address_of(container["Id"], _POSTGRES_PORT)
    for port in container["Ports"]:
        if port["PrivatePort"] == _POSTGRES_PORT and port.get("PublicPort"):
            return "127.0.0.1", int(port["PublicPort"])
    return None


def _serve(listener: socket.socket, container: str, port: int) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            process = relay(connection, container, port)
        threading.Thread(target=process.wait, daemon=True).start()  # it would stay a zombie
