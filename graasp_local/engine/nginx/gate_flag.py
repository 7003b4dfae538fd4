"""The files that open, close and seal the gate and select the core that visitors are sent to.

They are written through the engine, which may be on another host.

A regular file named `open` opens the gate; anything else, or nothing, keeps it closed. One named `shut` seals it, so
that the bypass is closed too. One named `handover` sends visitors to the second core that stands in for core; without
it they are sent to core. A file is removed by replacing it with a dangling symbolic link, since the engine's API can
copy into a container but not delete. All of it works on a stopped container, and on a read-only one.
"""

from __future__ import annotations

import io
import tarfile

from graasp_local.planning.rolling_steps import Side
from graasp_local.planning.states import Gate

GATE_DIRECTORY = "/var/lib/graasp-gate"
_OPEN = "open"
_SHUT = "shut"
_HANDOVER = "handover"


def flag_archive(gate: Gate) -> bytes:
    """The archive to unpack in GATE_DIRECTORY for an open, closed or sealed gate; each sends visitors to core."""
    open_flag = _there(_OPEN) if gate is Gate.OPEN else _away(_OPEN)
    return _archive(open_flag, _there(_SHUT) if gate is Gate.SEALED else _away(_SHUT), _away(_HANDOVER))


def seal_archive() -> bytes:
    """The archive that seals the gate until it is opened or closed again."""
    return _archive(_there(_SHUT))


def leading_archive(to: Side) -> bytes:
    """The archive that selects the core visitors are sent to; the gate stays as it is."""
    return _archive(_there(_HANDOVER) if to is Side.HANDOVER else _away(_HANDOVER))


def as_command(archive: bytes) -> str:
    """The archive as a shell command that has the same effect in a running container."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        done = [
            f"ln -sfn away {member.name}" if member.issym() else f"rm -f {member.name} && : >{member.name}"
            for member in members
        ]
    return " && ".join([f"cd {GATE_DIRECTORY}", *done])


def _archive(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            archive.addfile(member)
    return buffer.getvalue()


def _there(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode = 0o644
    return member


def _away(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = tarfile.SYMTYPE
    member.linkname = "away"
    return member
