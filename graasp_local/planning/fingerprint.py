"""What a whole database server holds, in a form that can be compared with another server's.

Decides whether one server is an exact copy of another, and lists the differences. Never holds a secret: a role's
password hash and the content of tables are in it as digests only. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

_MOST_SAID = 8


class DatabaseFingerprint(Struct, frozen=True):
    """One database: `facts` maps each object's name ("table public.item") to what is true of it.

    `extensions` maps name to version: a newer server brings newer ones, so only these may differ.
    """

    facts: Mapping[str, str]
    extensions: Mapping[str, str]
    tables: int
    rows: int


class ServerFingerprint(Struct, frozen=True):
    """All roles of a server and all its databases, by name."""

    roles: Mapping[str, str]
    databases: Mapping[str, DatabaseFingerprint]


def differences(old: ServerFingerprint, new: ServerFingerprint) -> tuple[str, ...]:
    """Where `new` is not an exact copy of `old`, a sentence each; empty when it is one."""
    found = [*_differing("", "role ", old.roles, new.roles), *_missing("database ", old.databases, new.databases)]
    for name in sorted(old.databases.keys() & new.databases.keys()):
        before, after = old.databases[name], new.databases[name]
        found += _differing(f"{name}: ", "", before.facts, after.facts)
        found += _missing(f"{name}: extension ", before.extensions, after.extensions)
        found += [
            f"{name}: extension {extension} is older: {version} before, {after.extensions[extension]} now."
            for extension, version in sorted(before.extensions.items())
            if extension in after.extensions and _numbers(after.extensions[extension]) < _numbers(version)
        ]
    return tuple(found)


def in_short(found: Sequence[str]) -> str:
    """Differences as a text short enough to read."""
    more = len(found) - _MOST_SAID
    return " ".join([*found[:_MOST_SAID], *([f"And {more} more."] if more > 0 else [])])


def described(old: ServerFingerprint, new: ServerFingerprint) -> Iterator[str]:
    """What was found to be the same, a line for each database; extensions with their version before and now."""
    for name, database in sorted(new.databases.items()):
        before = old.databases[name].extensions
        extensions = ", ".join(
            f"{extension} {version}" if before[extension] == version else f"{extension} {before[extension]} → {version}"
            for extension, version in sorted(database.extensions.items())
        )
        yield f"{name}: {database.tables} table(s), {database.rows} row(s), {extensions}"


def _differing(place: str, kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return _missing(place + kind, old, new) + [
        f"{place}{kind}{name} is not the same: {old[name]} before, {new[name]} now."
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    ]


def _missing(prefix: str, old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return [f"{prefix}{name} is missing." for name in sorted(old.keys() - new.keys())] + [
        f"{prefix}{name} was not there before." for name in sorted(new.keys() - old.keys())
    ]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
