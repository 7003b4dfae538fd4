"""Gives secrets their new values, in the database and in `.env`, so that a crash between the two can be repaired.

In this order: the new values are noted in the site, the database gets its new passwords in one transaction, the old
`.env` is kept, the new one replaces it, the note is removed. A command that finds the note finishes the rotation: every
part may be done twice. Does not choose the secrets (settings/rotation.py does), and restarts nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from graasp_local.clock import Clock
from graasp_local.errors import ConfigurationError
from graasp_local.files import append_record, records_in, write_atomically
from graasp_local.settings.rotation import Rotation, with_values
from graasp_local.settings.rules import read
from graasp_local.site import proven
from graasp_local.site.site import Site


class Roles(Protocol):
    """The roles of the database server. Every method raises NeedsYou if the server does not answer."""

    def check(self) -> None:
        """Check that passwords could be changed now; changes nothing."""
        ...

    def set_passwords(self, rotation: Rotation) -> None:
        """Give roles their new passwords: all or none. A missing role gets its password when it is created."""
        ...


def rotate(site: Site, rotation: Rotation, roles: Roles, clock: Clock) -> Path:
    """Give secrets these new values. Returns where the old `.env` is kept.

    Call with the site's lock held. Raises NeedsYou if the database does not answer; then nothing was changed, unless it
    stopped answering in the middle, which `finish` repairs.
    """
    if rotation.passwords:
        roles.check()
    with_values(site.read_env(), rotation.values)  # raises before anything is changed
    note = "".join(f"{key}={value}\n" for key, value in rotation.values.items())
    write_atomically(site.rotation_file, note, mode=0o600)
    return _carry_out(site, rotation, roles, clock)


def cut_off(site: Site) -> Rotation | None:
    """The rotation that was not finished, or None. Raises ConfigurationError for a damaged note."""
    try:
        text = site.rotation_file.read_text()
    except FileNotFoundError:
        return None
    reading = read(text)
    if reading.problems or not reading.values:
        raise ConfigurationError(
            f"{site.rotation_file}, which records an interrupted rotation of secrets, cannot be read.",
            "The database may have new passwords that are not in .env.",
            'Follow "A database password is lost" in docs/operate.md, then remove the file.',
        )
    return Rotation(reading.values)


def finish(site: Site, roles: Roles, clock: Clock) -> Path | None:
    """Finish a rotation that was cut off; None if there was none. Call with the site's lock held."""
    rotation = cut_off(site)
    return _carry_out(site, rotation, roles, clock) if rotation else None


def ages(site: Site) -> dict[str, str]:
    """When each secret was last rotated here, as ISO 8601 by key; without those that never were."""
    found: dict[str, str] = {}
    for record in records_in(site.rotations_file):
        match record:
            case {"at": str(at), "keys": [*keys]}:
                found |= {str(key): at for key in keys}
    return found


def _carry_out(site: Site, rotation: Rotation, roles: Roles, clock: Clock) -> Path:
    if rotation.passwords:
        roles.set_passwords(rotation)
    old = site.read_env()
    new = with_values(old, rotation.values)
    if new != old:
        write_atomically(site.old_env_file, old, mode=0o600)
        write_atomically(site.env_file, new, mode=0o600)
    proven.rotated(site, rotation.values)
    at = datetime.fromtimestamp(clock.now(), UTC).isoformat(timespec="seconds")
    append_record(site.rotations_file, {"at": at, "keys": [*rotation.keys]})
    site.rotation_file.unlink()
    return site.old_env_file
