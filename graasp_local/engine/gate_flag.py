"""The file that opens the gate, written through the engine so that the engine may be on another host.

A regular file named `open` opens the gate; anything else, or nothing, keeps it closed. Closing puts a dangling
symbolic link in the file's place, since the engine's API can copy into a container but not delete. Both work on a
container that is stopped, and on a read-only one.
"""

from __future__ import annotations

import io
import tarfile

from graasp_local.states import Gate

GATE_DIRECTORY = "/var/lib/graasp-gate"
_FLAG = "open"


def flag_archive(gate: Gate) -> bytes:
    """The archive to unpack in GATE_DIRECTORY for a gate that is open or closed."""
    member = tarfile.TarInfo(_FLAG)
    content = b""
    if gate is Gate.OPEN:
        content = b"open\n"
        member.mode = 0o644
        member.size = len(content)
    else:
        member.type = tarfile.SYMTYPE
        member.linkname = "closed"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
