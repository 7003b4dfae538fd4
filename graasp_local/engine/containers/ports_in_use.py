"""Why a port cannot be published: another container, a process, or an address that the engine's machine lacks."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from graasp_local.engine.containers import other_machine
from graasp_local.engine.reach.addresses import is_on_this_machine

if TYPE_CHECKING:
    from docker import DockerClient


def port_problem(client: DockerClient, address: str, port: int) -> str | None:
    """The predicate of a sentence about the port; None if it is free or unknown. Found by trying to bind it."""
    if not is_on_this_machine():
        holder = _container_on(client, port)
        return f"is in use by {holder}" if holder else other_machine.port_problem(client, address, port)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                holder = _container_on(client, port) or _process_on(port) or "a process of another user"
                return f"is in use by {holder}"
            if error.errno == errno.EADDRNOTAVAIL:
                return f"cannot be opened: {address} is not an address of this machine"
            # EACCES below 1024: the engine may bind ports that this user may not.
            return None
    return None


def _container_on(client: DockerClient, port: int) -> str | None:
    for container in client.api.containers():
        for published in container["Ports"]:
            if published.get("PublicPort") == port:
                return f"the container {container['Names'][0].lstrip('/')}"
    return None


def _process_on(port: int) -> str | None:
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    return None
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        return None
    return None
