"""How many bytes of the current uploads are still to come, according to nginx and the kernel of its container.

nginx notes an upload when it begins, with its size and its connection (nginx/templates). The kernel counts what a
connection has received since it was opened; what was announced on it and has not arrived is still to come. Finished
uploads arrived completely, so they add to both. TLS and headers count as received, so the result is a few percent low.
"""

from __future__ import annotations

import ipaddress
import struct
from collections import Counter
from collections.abc import Iterator

NOTES = "/run/graasp-uploads"

_END_OF_NOTES = "sockets"
_ASK = rf"""
[ -f {NOTES} ] || exit 1
cat {NOTES}
echo {_END_OF_NOTES}
exec perl -e '
  socket(my $kernel, 16, 3, 4) or exit 1;
  my $request = pack("LSSLL", 72, 20, 0x301, 1, 0) . pack("CCCCL", 2, 6, 2, 0, 1 << 1) . ("\0" x 48);
  defined(send($kernel, $request, 0)) or exit 1;
  for (;;) {{
    defined(recv($kernel, my $answer, 1 << 20, 0)) or exit 1;
    length $answer or exit 1;
    while (length($answer) >= 16) {{
      my ($length, $type) = unpack("LS", $answer);
      exit 0 if $type == 3;
      exit 1 if $type != 20;
      print unpack("H*", substr($answer, 16, $length - 16)), "\n";
      substr($answer, 0, ($length + 3) & ~3) = "";
    }}
  }}'
"""
COMMAND = ("sh", "-c", _ASK)
"""What is run in nginx's container: the notes, then the TCP connections from the kernel's socket diagnosis.

Exits with 1 if nginx keeps no notes or the kernel cannot be asked: the image must have perl, as Debian's have.
"""

_HEAD_BYTES = 72  # struct inet_diag_msg
_INFO = 2  # INET_DIAG_INFO: a struct tcp_info
_BYTES_RECEIVED = 128  # offset of tcpi_bytes_received in it


def bytes_to_come(said: str) -> int:
    """The total for all uploads, from the output of COMMAND."""
    notes, _, sockets = said.partition(f"{_END_OF_NOTES}\n")
    announced: Counter[tuple[str, int]] = Counter()
    for line in notes.splitlines():
        address, port, size = line.split()
        announced[address, int(port)] += int(size)
    brought = dict(received(bytes.fromhex(line)) for line in sockets.split())
    return sum(max(0, size - brought[peer]) for peer, size in announced.items() if peer in brought)


def received(message: bytes) -> tuple[tuple[str, int], int]:
    """The peer of a connection, and the bytes received from it."""
    (port,) = struct.unpack_from("!H", message, 6)
    peer = str(ipaddress.IPv4Address(message[24:28])), port
    for kind, value in _attributes(message[_HEAD_BYTES:]):
        if kind == _INFO and len(value) >= _BYTES_RECEIVED + 8:
            return peer, struct.unpack_from("=Q", value, _BYTES_RECEIVED)[0]
    return peer, 0


def _attributes(rest: bytes) -> Iterator[tuple[int, bytes]]:
    while len(rest) >= 4:
        length, kind = struct.unpack_from("=HH", rest)
        if length < 4:
            return
        yield kind, rest[4:length]
        rest = rest[(length + 3) & ~3 :]
