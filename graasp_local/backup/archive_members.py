"""What may be in an archive of a volume: files, directories, and links that stay inside it.

A restore unpacks the archive as root inside the volume. So members that could lead out of it, give anyone more rights,
or replace what a restore keeps there are refused, whoever made the archive. Pure.
"""

from __future__ import annotations

import posixpath
import stat
import tarfile
from collections.abc import Collection

OWN_PREFIX = ".graasp-"
"""The prefix of a restore's own directories at the top of a volume."""


def problem_of(member: tarfile.TarInfo, links: Collection[str]) -> str:
    """Why this is not unpacked, as the end of a sentence; empty if it may be. `links` are earlier symbolic links."""
    name = inside(member.name)
    if name is None:
        return f"{member.name!r} points outside the volume"
    if name.partition("/")[0].startswith(OWN_PREFIX):
        return f"{member.name!r} has a name that is reserved for graasp-local"
    if any(name.startswith(f"{link}/") for link in links):
        return f"{member.name!r} goes through a link"
    if member.isdir():
        return ""
    if member.issym():
        return (
            ""
            if link_stays_inside(name, member.linkname)
            else f"{member.name!r} is a link that points outside the volume"
        )
    if member.islnk():
        target = inside(member.linkname)
        if target is None or any(target.startswith(f"{link}/") for link in links):
            return f"{member.name!r} is a link that points outside the volume"
    elif not member.isreg():
        return f"{member.name!r} is neither a file, nor a directory, nor a link"
    if member.mode & (stat.S_ISUID | stat.S_ISGID):
        return f"{member.name!r} is a set-uid or set-gid program"
    return ""


def inside(name: str) -> str | None:
    """A member's name, normalized; None if it leads out of the directory in which it is unpacked."""
    if name.startswith("/") or "\0" in name or ".." in name.split("/"):
        return None
    return posixpath.normpath(name) if name else "."


def link_stays_inside(name: str, target: str) -> bool:
    """Whether a symbolic link of this name stays inside, whatever other links there are.

    `..` is accepted only at the beginning: after another link it would be relative to that link's target.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    if not target or target.startswith("/") or "\0" in target:
        return False
    up = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    return ".." not in parts[up:] and up <= name.count("/")
