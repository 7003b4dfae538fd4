"""How much of uploads is still to come, out of what nginx notes and what the kernel says of each connection."""

from __future__ import annotations

import struct

from graasp_local.engine.nginx.uploads import bytes_to_come, received


def connection(address: tuple[int, int, int, int], port: int, brought: int) -> str:
    """As the kernel's socket diagnosis answers it: the head, an attribute of another kind, the one with the count."""
    head = bytes([2, 1, 0, 0]) + struct.pack("!HH", 80, port) + bytes(16) + bytes(address) + bytes(44)
    info = struct.pack("=128xQ", brought) + bytes(100)
    other = struct.pack("=HH", 4 + 5, 8) + b"cubic" + bytes(3)
    return (head + other + struct.pack("=HH", 4 + len(info), 2) + info).hex()


def said(notes: list[str], sockets: list[str]) -> str:
    return "\n".join([*notes, "sockets", *sockets]) + "\n"


def test_a_connection_tells_its_other_end_and_what_it_brought() -> None:
    message = bytes.fromhex(connection((172, 18, 0, 1), 50000, 123456))
    assert received(message) == (("172.18.0.1", 50000), 123456)
    assert received(message[:72]) == (("172.18.0.1", 50000), 0)  # a kernel that does not count


def test_what_was_announced_and_has_not_come_is_still_to_come() -> None:
    sockets = [connection((172, 18, 0, 1), 50000, 400_000), connection((172, 18, 0, 1), 50001, 2_000_500)]
    notes = ["172.18.0.1 50000 1000000", "172.18.0.1 50001 2000000"]
    assert bytes_to_come(said(notes, sockets)) == 600_000


def test_uploads_by_the_same_connection_add_up_and_gone_connections_bring_nothing() -> None:
    sockets = [connection((172, 18, 0, 1), 50000, 1_500_000)]
    notes = ["172.18.0.1 50000 1000000", "172.18.0.9 4000 9000000", "172.18.0.1 50000 1000000"]
    assert bytes_to_come(said(notes, sockets)) == 500_000
    assert bytes_to_come(said([], sockets)) == 0
