"""Which files others could change: what another user owns or may write to, including directories above and links.

The engine runs what is in a site, and is root on the machine: a user who can write there is effectively root. Reads
owners, modes and access lists; changes nothing.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from graasp_local.errors import Refused

_ROOT = 0
_GROUP_WRITES, _ALL_WRITE = stat.S_IWGRP, stat.S_IWOTH
_ACCESS_LIST = "system.posix_acl_access"
_ACL_USER, _ACL_GROUP, _ACL_WRITE = 0x02, 0x08, 0x02


class Stranger(Struct, frozen=True):
    """A file, directory or link that another user could change: in what way, and the command that fixes it."""

    path: Path
    said: str
    fix: str


def trusted_owners() -> frozenset[int]:
    """The user ids whose files count as ours: our own, root's, and under sudo that of the user who called it."""
    trusted = {os.geteuid(), _ROOT}
    caller = os.environ.get("SUDO_UID", "")
    if os.geteuid() == _ROOT and caller.isascii() and caller.isdecimal():
        trusted.add(int(caller))  # that user can be root anyway; git does the same
    return frozenset(trusted)


def strangers(
    directory: Path, parts: Iterable[Path] = (), trusted: frozenset[int] | None = None
) -> tuple[Stranger, ...]:
    """What others could change: `directory`, the path to it, these parts of it, and everything in them.

    What does not exist is skipped. Links are judged by their own owner and by what they point to.
    """
    known = trusted_owners() if trusted is None else trusted
    found = [*_leading_to(directory, known), *_itself(directory, known)]
    for part in parts:
        found += _with_content(part, known)
        if part.is_symlink():
            target = part.resolve()
            found += [*_leading_to(target, known), *_with_content(target, known)]
    return tuple({stranger.path: stranger for stranger in found}.values())


def refuse_strangers(found: tuple[Stranger, ...]) -> None:
    """Raises Refused if another user could change what is about to be run."""
    if not found:
        return
    more = f" {len(found) - 1} more like this: `graasp-local config check` lists them." if found[1:] else ""
    fixes = tuple(dict.fromkeys(stranger.fix for stranger in found))[:3]
    raise Refused(
        f"{found[0].said}{more}",
        "Whoever can change a site's files can run anything as root through the engine.",
        f"Make sure that nothing there was tampered with, then {', then '.join(fixes)}.",
    )


def owner_among_others(paths: Iterable[Path], trusted: frozenset[int] | None = None) -> str | None:
    """The first owner who is neither this user nor root; None if there is none. Missing files are skipped."""
    known = trusted_owners() if trusted is None else trusted
    for path in paths:
        with suppress(OSError):
            for uid in (path.lstat().st_uid, path.stat().st_uid):
                if uid not in known:
                    return user_name(uid)
    return None


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"


def _leading_to(path: Path, trusted: frozenset[int]) -> Iterator[Stranger]:
    """Directories above in which others could replace an entry; in a sticky one only owners can."""
    for above in path.parents:
        with suppress(OSError):
            found = above.stat()
            writer = "" if found.st_mode & stat.S_ISVTX else _other_writer(above, found, trusted)
            if found.st_uid not in trusted:
                said = (
                    f"{above}, a parent directory of the site, belongs to {user_name(found.st_uid)}, who can replace "
                    "anything in it."
                )
                yield Stranger(above, said, _other_place(above, found.st_uid))
            elif writer:
                mode = stat.S_IMODE(found.st_mode)
                said = f"{above}, a parent directory of the site, is writable by {writer} (mode {mode:04o})."
                yield Stranger(above, said, _closing(above, found.st_mode))


def _other_place(above: Path, uid: int) -> str:
    if os.geteuid() == _ROOT:
        return f"run graasp-local as {user_name(uid)}, or move the site to where only root can write, such as /srv"
    return f"move the site below your home directory (`sudo chown {_own_name()} {_quoted(above)}`, if it is yours)"


def _with_content(path: Path, trusted: frozenset[int]) -> Iterator[Stranger]:
    yield from _itself(path, trusted)
    if path.is_symlink() or not path.is_dir():
        return
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        yield from _with_content(Path(entry.path), trusted)


def _itself(path: Path, trusted: frozenset[int]) -> Iterator[Stranger]:
    try:
        found = path.lstat()
    except OSError:
        return
    is_link = stat.S_ISLNK(found.st_mode)
    if found.st_uid not in trusted:
        said = f"{path} belongs to {user_name(found.st_uid)}, neither to you nor to root."
        sudo, option = ("" if os.geteuid() == _ROOT else "sudo "), ("-h " if is_link else "")
        yield Stranger(path, said, f"`{sudo}chown {option}{_own_name()} {_quoted(path)}`")
    elif not is_link and (writer := _other_writer(path, found, trusted)):
        said = f"{path} is writable by {writer} (mode {stat.S_IMODE(found.st_mode):04o})."
        yield Stranger(path, said, _closing(path, found.st_mode))


def _closing(path: Path, mode: int) -> str:
    who = "g" * bool(mode & _GROUP_WRITES) + "o" * bool(mode & _ALL_WRITE)
    return f"`chmod {who}-w {_quoted(path)}`"


def _other_writer(path: Path, found: os.stat_result, trusted: frozenset[int]) -> str:
    """Who else may write, in words; empty if no one. A group with only its owner as a member does not count."""
    if found.st_mode & _ALL_WRITE:
        return "every user"
    if not found.st_mode & _GROUP_WRITES:
        return ""
    if not is_private_group(found.st_gid, trusted):
        return f"the group {_group_name(found.st_gid)}"
    # With an access list, the group's bits are the upper limit for everyone named in it.
    return _named_in_access_list(path, trusted)


def is_private_group(gid: int, trusted: frozenset[int]) -> bool:
    """Whether only this user and root are in the group, as in a user's own group (umask 002 relies on it)."""
    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return False
    users = pwd.getpwall()
    names = {user.pw_name for user in users if user.pw_uid in trusted}
    members = {*group.gr_mem, *(user.pw_name for user in users if user.pw_gid == gid)}
    # A directory service may not list its users: its groups count as shared unless they are named after the user.
    return members <= names and group.gr_name in names


def _named_in_access_list(path: Path, trusted: frozenset[int]) -> str:
    try:
        entries = os.getxattr(path, _ACCESS_LIST)[4:]
    except OSError:
        return ""
    for tag, rights, identity in struct.iter_unpack("<HHI", entries):
        if rights & _ACL_WRITE and tag == _ACL_USER and identity not in trusted:
            return f"{user_name(identity)} through an ACL"
        if rights & _ACL_WRITE and tag == _ACL_GROUP and not is_private_group(identity, trusted):
            return f"the group {_group_name(identity)} through an ACL"
    return ""


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"with the id {gid}"


def _own_name() -> str:
    return user_name(os.geteuid()) if _is_known(os.geteuid()) else str(os.geteuid())


def _is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
