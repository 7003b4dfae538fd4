"""How many requests nginx is working on, read from its table of TCP connections.

nginx opens one connection to core for each request or websocket. Websockets take one hop more, over the loopback
port WEBSOCKET_PORT (nginx/templates), so that they can be told apart and are not waited for. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

CORE_PORT = 3000
WEBSOCKET_PORT = 8081
_ESTABLISHED = "01"


def requests_in_flight(tcp_table: str, core_addresses: Collection[str]) -> int:
    """Count from the text of /proc/net/tcp, as nginx's container sees it."""
    core = {_as_in_table(address, CORE_PORT) for address in core_addresses}
    websocket_hop = _as_in_table("127.0.0.1", WEBSOCKET_PORT)
    to_core = websockets = 0
    for line in tcp_table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 4 or fields[3] != _ESTABLISHED:
            continue
        to_core += fields[2] in core
        websockets += fields[2] == websocket_hop
    return max(0, to_core - websockets)


def _as_in_table(address: str, port: int) -> str:
    """`172.18.0.5`, 3000 → `050012AC:0BB8`: the kernel prints the address as one little-endian number."""
    number = int.from_bytes(ipaddress.IPv4Address(address).packed, "little")
    return f"{number:08X}:{port:04X}"
