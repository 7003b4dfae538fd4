"""The names of databases during a restore, and the renames that put one in the place of another.

Decides from the names on the server, so that an interrupted swap is continued and a finished one is left alone. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graasp_local.errors import NeedsYou

DATABASES = ("graasp", "umami", "etherpad")
"""The databases that a backup looks for on the server; each belongs to a role of the same name."""

_KINDS = ("restored", "before", "undone")


def restored_name(database: str, number: str) -> str:
    """A database that was loaded from a backup and is not in place yet."""
    return f"{database}_restored_{number}"


def before_name(database: str, number: str) -> str:
    """The database that the restored one replaced."""
    return f"{database}_before_{number}"


def undone_name(database: str, number: str) -> str:
    """The restored database after the restore was undone: kept for inspection."""
    return f"{database}_undone_{number}"


def trial_name(database: str) -> str:
    """A database that a backup is loaded into only to check that it can be."""
    return f"{database}_trial"


def is_in_place(database: str, number: str, existing: Collection[str]) -> bool:
    """Whether this restore has already put the database in place."""
    return before_name(database, number) in existing


def renames_in(databases: Sequence[str], number: str, existing: Collection[str]) -> tuple[tuple[str, str], ...]:
    """The renames that put the restored databases in place, if they are not. Raises NeedsYou if one is missing."""
    renames = []
    for database in databases:
        if is_in_place(database, number, existing):
            continue
        restored = restored_name(database, number)
        if restored not in existing:
            raise NeedsYou(f"There is no database {restored} on the server to replace {database}.")
        renames += [(database, before_name(database, number)), (restored, database)]
    return tuple(renames)


def renames_out(databases: Sequence[str], number: str, existing: Collection[str]) -> tuple[tuple[str, str], ...]:
    """The renames that put the previous databases back; none for those that were not replaced."""
    renames = []
    for database in databases:
        if is_in_place(database, number, existing):
            if database in existing:
                renames.append((database, undone_name(database, number)))
            renames.append((before_name(database, number), database))
    return tuple(renames)


def half_loaded(existing: Collection[str], but: str) -> tuple[str, ...]:
    """Databases that other restores loaded but did not put in place."""
    return tuple(
        name
        for name in sorted(existing)
        for database in DATABASES
        if name.startswith(f"{database}_restored_") and name != restored_name(database, but)
    )


def left_over(existing: Collection[str], but: Collection[str]) -> tuple[str, ...]:
    """Databases that earlier restores left on the server, other than those of these numbers."""
    ours = [f"{database}_{kind}_" for database in DATABASES for kind in _KINDS]
    trials = {trial_name(database) for database in DATABASES}
    return tuple(
        name
        for name in sorted(existing)
        if name in trials or any(name.startswith(prefix) and name.removeprefix(prefix) not in but for prefix in ours)
    )
