"""How many requests nginx is working on, read from its table of TCP connections.

nginx opens one connection to core for each request or websocket. Websockets take one more hop, over a loopback port
(nginx/templates), so that they can be recognized and are not waited for; a second core that stands in for core has such
a port of its own. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from msgspec import Struct

CORE_PORT = 3000
WEBSOCKET_PORT = 8081
HANDOVER_WEBSOCKET_PORT = 8082
_ESTABLISHED = "01"
_CONNECTING = "02"
_LISTENING = "0A"
_NO_TIMER = "00"
_KEEPALIVE_TIMER = "02"


def is_of_nginx(tcp_table: str) -> bool:
    """Whether this can be the table of a running nginx, which listens; an empty one says nothing about requests."""
    return any(line.split()[3:4] == [_LISTENING] for line in tcp_table.splitlines())


class Connection(Struct, frozen=True):
    """An established connection: address and port of either side, in the usual notation."""

    local: tuple[str, int]
    remote: tuple[str, int]


def established(tcp_table: str) -> frozenset[Connection]:
    """All established connections, from the text of /proc/net/tcp."""
    rows = (line.split() for line in tcp_table.splitlines()[1:])
    return frozenset(
        Connection(_from_table(row[1]), _from_table(row[2])) for row in rows if len(row) > 3 and row[3] == _ESTABLISHED
    )


def only(tcp_table: str, wanted: Collection[Connection]) -> str:
    """The same table with only the wanted connections."""
    head, *lines = tcp_table.splitlines() or [""]
    kept = (line for line in lines if not established(f"{head}\n{line}").isdisjoint(wanted))
    return "\n".join([head, *kept])


def requests_in_flight(
    tcp_table: str, backends: Collection[tuple[str, int]], websocket_ports: Collection[int] = (WEBSOCKET_PORT,)
) -> int:
    """Count the requests to these addresses and ports, from the text of /proc/net/tcp in nginx's container.

    `websocket_ports` are the ports of the extra hop that websockets take. A hop alone does not lower the count: it may
    be the health check's, or have no connection behind it. A websocket's connection to the service has the kernel's
    timer for keep-alive, or for data it has just sent; a connection without a timer is a request that waits for its
    answer.
    """
    served = {_as_in_table(address, port) for address, port in backends}
    hops = {_as_in_table("127.0.0.1", port) for port in websocket_ports}
    requests = kept_alive = unclear = websockets = 0
    for line in tcp_table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 6:
            continue
        remote, state, timer = fields[2], fields[3], fields[5].partition(":")[0]
        if remote in hops:
            websockets += state == _ESTABLISHED
        elif remote in served and state in (_ESTABLISHED, _CONNECTING):
            if timer == _NO_TIMER:
                requests += 1
            elif timer == _KEEPALIVE_TIMER:
                kept_alive += 1
            else:
                unclear += 1
    return requests + max(0, kept_alive + unclear - websockets)


def _from_table(text: str) -> tuple[str, int]:
    address, _, port = text.partition(":")
    return str(ipaddress.IPv4Address(int(address, 16).to_bytes(4, "little"))), int(port, 16)


def _as_in_table(address: str, port: int) -> str:
    """`172.18.0.5`, 3000 → `050012AC:0BB8`: the kernel prints the address as one little-endian number."""
    number = int.from_bytes(ipaddress.IPv4Address(address).packed, "little")
    return f"{number:08X}:{port:04X}"
