"""One GET over one connection, for the two requests of every observation: the container list and the gate.

Implements as much of HTTP/1.1 as those answers need, because importing http.client or requests takes longer than all of
`status` may. Not a general client: no redirects, no TLS, no second request.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from msgspec import Struct

LONGEST_BYTES = 10_000_000
"""Larger than any page that is requested to see whether a site answers."""

_PIECE_BYTES = 65536


class NotHttpError(Exception):
    """The answer is not HTTP, or was cut off."""


class Answer(Struct, frozen=True):
    """An HTTP answer; `headers` are by lower-case name."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> str:
        return self.content.decode(errors="replace")


def get(connection: socket.socket, host: str, path: str, headers: Mapping[str, str], longest: int) -> Answer:
    """Ask on a fresh connection and read to its end, `longest` bytes at most. Raises OSError or NotHttpError."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
    received = bytearray()
    while piece := connection.recv(_PIECE_BYTES):
        received += piece
        if len(received) > longest:
            raise NotHttpError("the answer is too long")
    return parse(bytes(received))


def parse(received: bytes) -> Answer:
    """A whole answer, from its status line to the end of its connection. Raises NotHttpError. Pure."""
    head, separator, content = received.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    protocol, _, status = first.partition(" ")
    if not separator or not protocol.startswith("HTTP/1.") or not status[:3].isdecimal():
        raise NotHttpError("the answer is not in HTTP")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        content = _dechunked(content)
    elif len(content) < _length_said(headers):
        raise NotHttpError("the answer was cut off")
    return Answer(int(status[:3]), headers, content)


def _length_said(headers: Mapping[str, str]) -> int:
    said = headers.get("content-length", "0")
    if not said.isdecimal():
        raise NotHttpError("its length is not a number")
    return int(said)


def _dechunked(content: bytes) -> bytes:
    pieces: list[bytes] = []
    while True:
        size, separator, content = content.partition(b"\r\n")
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            raise NotHttpError("the answer was cut off") from None
        if length == 0:
            return b"".join(pieces)
        if not separator or len(content) < length:
            raise NotHttpError("the answer was cut off")
        pieces.append(content[:length])
        content = content[length + 2 :]
