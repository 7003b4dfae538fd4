"""Which backups may be removed, and which is recent enough for a deployment to rely on.

Decides by count and by age together: a backup expires only if both say so. Refuses to remove what a rollback could
need, the newest backup, and anything dated in the future, because then the clock is wrong. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from graasp_local.backup.manifest import Manifest
from graasp_local.planning.server import GRAASP_DATABASE

FRESH_SECONDS = 3600.0
"""A deployment takes no second backup of a database that was backed up within the last hour."""

_DAY_SECONDS = 86400.0


class Policy(Struct, frozen=True):
    """Keep the newest `count` backups, and every one that is younger than `days`."""

    count: int
    days: int


def expired(backups: Sequence[Manifest], policy: Policy, needed: Collection[str], now: float) -> tuple[str, ...]:
    """Names of the backups that may be removed, oldest first. `needed` are names to keep whatever the policy says.

    Full backups and those of the database alone, taken by deployments, are counted separately, so that ten deployments
    in a day do not push out a month of full backups.
    """
    ordered = sorted(backups, key=lambda backup: (backup.taken_at, backup.name))
    kept = set(needed)
    for group in ([b for b in ordered if b.before], [b for b in ordered if not b.before]):
        kept |= {backup.name for backup in group[-max(1, policy.count) :]}
    limit = now - policy.days * _DAY_SECONDS
    return tuple(backup.name for backup in ordered if backup.name not in kept and backup.taken_at < limit)


def needed_for_a_rollback(backups: Sequence[Manifest], versions: Collection[str]) -> frozenset[str]:
    """The newest backup of the database for each of these versions, to which a rollback could lead."""
    newest: dict[str, Manifest] = {}
    for backup in sorted(backups, key=lambda backup: (backup.taken_at, backup.name)):
        if backup.database(GRAASP_DATABASE) is not None:
            newest[backup.version] = backup
    return frozenset(newest[version].name for version in versions if version in newest)


def fresh(backups: Sequence[Manifest], project: str, selected: str, now: float) -> Manifest | None:
    """The newest backup of this site's database that is recent enough and of the running version.

    One of another version has the database from before a migration: it would not restore the current data.
    """
    recent = [
        backup
        for backup in backups
        if backup.project == project
        and backup.version == selected
        and backup.database(GRAASP_DATABASE) is not None
        and 0 <= now - backup.taken_at <= FRESH_SECONDS
    ]
    return max(recent, key=lambda backup: backup.taken_at, default=None)
