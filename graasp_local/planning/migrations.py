"""Which migrations a version brings, which the database has, and what follows from the two.

Decides whether a version can be deployed onto a database, and whether a migration that reports success really
happened. Does not trust exit codes and output: drizzle-kit has been seen to report success without applying anything,
and an older version's migrate on a newer database exits 0. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct


class ImageMigration(Struct, frozen=True):
    """One entry of `meta/_journal.json` in the migrate image; `when` in milliseconds, `sha256` of the SQL file."""

    tag: str
    when: int
    sha256: str


class AppliedMigration(Struct, frozen=True):
    """One row of `drizzle.__drizzle_migrations`: `when` is its created_at (milliseconds), `sha256` its hash."""

    when: int
    sha256: str


class Pending(Struct, frozen=True):
    """The version can be deployed; `tags` are still to be applied, oldest first. Empty: nothing to migrate."""

    tags: tuple[str, ...]


class NotKnownYet(Struct, frozen=True):
    """The database or the migrate image could not be read yet; the operation reads them before it migrates."""


class DatabaseIsNewer(Struct, frozen=True):
    """The database has migrations that this version does not know: deploying it would be a downgrade."""

    unknown: int


class WouldBeSkipped(Struct, frozen=True):
    """drizzle silently skips an entry that is older than the newest applied one: these would never be applied."""

    tags: tuple[str, ...]


Comparison = Pending | DatabaseIsNewer | WouldBeSkipped
Forecast = Pending | NotKnownYet


def compare(image: Sequence[ImageMigration], applied: Sequence[AppliedMigration]) -> Comparison:
    """What deploying an image onto a database would do. Compares by `when`, as drizzle itself does."""
    known = {migration.when for migration in image}
    done = {migration.when for migration in applied}
    unknown = done - known
    if unknown:
        return DatabaseIsNewer(len(unknown))
    missing = [migration for migration in image if migration.when not in done]
    newest = max(done, default=0)
    skipped = tuple(migration.tag for migration in missing if migration.when <= newest)
    if skipped:
        return WouldBeSkipped(skipped)
    return Pending(tuple(migration.tag for migration in sorted(missing, key=lambda migration: migration.when)))


def proof_failures(
    image: Sequence[ImageMigration], applied: Sequence[AppliedMigration], newly: Sequence[str]
) -> tuple[str, ...]:
    """Why the database does not match this image's migrations, a sentence each; empty when it does.

    `newly` names the migrations of this operation: exactly their SQL must have been applied. Older rows are compared
    by `when` only, since a released SQL file may have been changed after it was applied.
    """
    applied_by_when = {migration.when: migration for migration in applied}
    failures = []
    for migration in image:
        row = applied_by_when.get(migration.when)
        if row is None:
            failures.append(f"Migration {migration.tag} is not in the database.")
        elif migration.tag in newly and row.sha256 != migration.sha256:
            failures.append(f"Migration {migration.tag} was applied from SQL that is not the same as this version's.")
    unknown = set(applied_by_when) - {migration.when for migration in image}
    if unknown:
        failures.append(f"The database has {len(unknown)} migration(s) that this version does not know.")
    return tuple(failures)
