"""What a dump holds, read from pg_restore's list of it, and which of its entries the owner can load.

A dump is not trusted, so everything in it is loaded with the owner's rights. Decides what the superuser creates
beforehand and what is left out, so that the rest can be loaded that way. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from msgspec import Struct

_LINE = re.compile(r"\d+; \d+ \d+ (?P<told>.+)")
_SUPERUSERS = (
    "EVENT TRIGGER",
    "SUBSCRIPTION",
    "ACCESS METHOD",
    "FOREIGN DATA WRAPPER",
    "SERVER",
    "USER MAPPING",
    "FOREIGN TABLE",
)
"""Only the superuser may create these, or what they need. Besides, a restored database must not connect to anything on
its own."""
_OWNED = ("PUBLICATION",)
"""Whoever owns one may create it: one of all tables is always a superuser's."""
_TOLD_OF = re.compile(r"(?:COMMENT|SECURITY LABEL) \S+ ")
_PRIVILEGES = ("ACL", "DEFAULT ACL")
_DATABASE_OWNER = "pg_database_owner"
"""The role that a database's owner is implicitly a member of, since Postgres 14."""


class Loading(Struct, frozen=True):
    """`entries` are loaded by the owner, `left_out` is reported, each as pg_restore calls it."""

    entries: tuple[str, ...]
    left_out: tuple[str, ...]


def extensions_in(listing: Sequence[str]) -> tuple[str, ...]:
    """The extensions that a dump creates."""
    told = (_told(line) for line in listing)
    return tuple(entry.removeprefix("EXTENSION - ").strip() for entry in told if entry.startswith("EXTENSION - "))


def to_load(listing: Sequence[str], owner: str, made: Collection[str], schemas: Collection[str]) -> Loading:
    """The entries of a dump that its owner loads, given the extensions and schemas that are already `made`."""
    entries: list[str] = []
    left_out: list[str] = []
    for line in listing:
        told = _told(line)
        if not told or _is_made(told, made, schemas):
            continue
        if _is_superusers(told, owner):
            left_out.append(told)
        else:
            entries.append(line)
    return Loading(tuple(entries), tuple(left_out))


def without_data(entries: Sequence[str]) -> tuple[str, ...]:
    """Everything but rows: it loads in a moment, and needs every role and type that the whole dump needs."""
    return tuple(
        line for line in entries if not re.match(r"\d+; \d+ \d+ (TABLE DATA|BLOBS|MATERIALIZED VIEW DATA) ", line)
    )


def missing_role(complaint: str) -> str:
    """The role that Postgres did not find, if that is the complaint; otherwise empty."""
    found = re.search(r'role "((?:[^"]|"")+)" does not exist', complaint)
    return found[1].replace('""', '"') if found else ""


def by_owner(
    listing: Sequence[str], owner: str, roles: Collection[str], made: Collection[str], schemas: Collection[str]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Everything in a dump of a database of this owner, in order, split wherever the owner of the entries changes.

    Entries without an owner, such as an extension, go with the database's owner.
    """
    runs: list[tuple[str, list[str]]] = []
    for line in listing:
        told = _told(line)
        if not told or _is_made(told, made, schemas):
            continue
        whose = max((role for role in roles if told.endswith(f" {role}")), key=len, default=owner)
        if whose.startswith("pg_"):
            whose = owner  # Postgres's own name for the database's owner
        if not runs or runs[-1][0] != whose:
            runs.append((whose, []))
        runs[-1][1].append(line)
    return tuple((whose, tuple(lines)) for whose, lines in runs)


def _told(line: str) -> str:
    """Kind, schema, name and owner; empty for a comment."""
    found = _LINE.fullmatch(line.rstrip("\n"))
    return found["told"] if found else ""


def _is_made(told: str, made: Collection[str], schemas: Collection[str]) -> bool:
    if any(told.strip() in (f"EXTENSION - {name}", f"COMMENT - EXTENSION {_quoted(name)}") for name in made):
        return True
    return any(told.startswith(f"SCHEMA - {schema} ") for schema in schemas)


def _is_superusers(told: str, owner: str) -> bool:
    if _TOLD_OF.sub("", told, count=1).startswith(tuple(f"{kind} " for kind in _SUPERUSERS)):
        return True
    # Only the role that granted a privilege can grant it again; in a new database `public` is the owner's.
    if told.startswith("ACL - SCHEMA public "):
        return False
    theirs = not told.endswith((f" {owner}", f" {_DATABASE_OWNER}"))
    if theirs and _TOLD_OF.sub("", told, count=1).startswith(tuple(f"{kind} " for kind in _OWNED)):
        return True
    return theirs and told.startswith(tuple(f"{kind} " for kind in _PRIVILEGES))


def _quoted(name: str) -> str:
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else f'"{name}"'
