"""The settings and the override with which the site was last known to work, kept next to those that a person changes.

A rollback starts the old version as it ran before: what is in `.env` now may be why the new version did not come up.
Decides which of them differ, and when the kept ones count. Secrets that a rotation changes in the database are changed
here too, since the old ones no longer work.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from graasp_local.errors import ConfigurationError
from graasp_local.files import text_if_there, write_atomically
from graasp_local.planning.states import ServiceGroup
from graasp_local.settings.rotation import with_values
from graasp_local.site.site import Site


class OwnFiles(Struct, frozen=True):
    """What a person has written for a site: `.env`, and the override, empty if there is none."""

    env: str
    override: str


def own_files(site: Site) -> OwnFiles:
    """The files that count now. Raises OSError."""
    # What is not text never works: reading it for a command says so.
    texts = [file.read_bytes().decode(errors="replace") if file.exists() else "" for file in _files(site)]
    return OwnFiles(*texts)


def _files(site: Site) -> tuple[Path, Path]:
    return site.env_file, site.override_file


def keep(site: Site, files: OwnFiles) -> None:
    """Keep these as the files that the site was last known to work with. Raises OSError."""
    directory = site.proven_directory
    kept = Site(site.directory, directory)
    if directory.is_dir() and own_files(kept) == files:
        return
    directory.mkdir(mode=0o700, exist_ok=True)
    if files.override:
        write_atomically(kept.override_file, files.override, mode=0o600)
    else:
        kept.override_file.unlink(missing_ok=True)
    write_atomically(kept.env_file, files.env, mode=0o600)


def as_proven(site: Site) -> Site | None:
    """The same site with the files that it was last known to work with.

    None if they say the same as its current ones, if none are kept, or if they can no longer be used.
    """
    kept = Site(site.directory, site.proven_directory)
    if not kept.env_file.exists():
        return None
    try:
        changed = changed_since(site, kept)
        if not changed or "COMPOSE_PROJECT_NAME" in changed:
            return None  # containers of another project belong to another site
        _ = kept.services
        return kept
    except (ConfigurationError, OSError):
        return None  # a newer graasp-local needs more in them


def changed_since(site: Site, kept: Site) -> tuple[str, ...]:
    """What a person has changed since: keys of `.env`, and the name of the override. Raises ConfigurationError."""
    site = Site(site.directory)  # as it is now: it may have been changed during an operation
    try:
        now: Mapping[str, str] = site.settings.values
    except ConfigurationError:
        return (site.env_file.name,)
    then = kept.settings.values
    keys = sorted(key for key in {*now, *then} if now.get(key) != then.get(key))
    files = [file for file in (site.override_file, kept.override_file) if file.exists()]
    same = len({file.read_bytes() for file in files}) == 1 if len(files) == 2 else not files
    return tuple(keys) if same else (*keys, site.override_file.name)


def changed_unnoticed(site: Site, kept: Site) -> tuple[str, ...]:
    """Services that are made from something else than with the kept files, though no running container tells so.

    For what graasp-local itself brings, the database and umami go on as they are until they are started the next time.
    Raises ConfigurationError.
    """
    groups = (ServiceGroup.DATABASE, ServiceGroup.ADMINISTRATION)
    then = {name: digest for group in groups for name, digest in kept.whole_digests(group).items()}
    now = {name: digest for group in groups for name, digest in site.whole_digests(group).items()}
    return tuple(sorted(name for name, digest in now.items() if then.get(name) != digest))


def changed_at(site: Site) -> float:
    """When a person last changed the files that count now, in seconds since 1970."""
    return max(file.stat().st_mtime for file in (site.env_file, site.override_file) if file.exists())


def rotated(site: Site, values: Mapping[str, str]) -> None:
    """Give the kept files these new values too. Raises OSError."""
    kept = Site(site.directory, site.proven_directory)
    text = text_if_there(kept.env_file)
    if not text:
        return
    try:
        write_atomically(kept.env_file, with_values(text, values), mode=0o600)
    except KeyError:  # it is from before this secret existed
        forget(site)


def forget(site: Site) -> None:
    with suppress(FileNotFoundError):
        Path(site.proven_directory / ".env").unlink()
    shutil.rmtree(site.proven_directory, ignore_errors=True)
